/** Small helpers every panel shares. Text only ever enters the page as text nodes, never as HTML. */

const SVG = "http://www.w3.org/2000/svg";

/** 16x16 stroke drawings, one path list per icon. */
const ICONS = {
  plus: ["M8 3v10M3 8h10"],
  trash: ["M3 4.5h10M6.5 4.5V3h3v1.5M4.5 4.5l.6 8.5h5.8l.6-8.5M6.7 7v3.7M9.3 7v3.7"],
  pencil: ["M10.8 2.8l2.4 2.4-7.6 7.6-3 .6.6-3zM9.3 4.3l2.4 2.4"],
  chevron: ["M4 6l4 4 4-4"],
  check: ["M3 8.5l3.2 3.2L13 4.8"],
  image: ["M2.5 3.5h11v9h-11zM2.5 10.5l3.2-3 2.6 2.4 2-1.8 3.2 2.9", "M10.4 6.2h.01"],
  upload: ["M8 10.5v-7M5 6l3-3 3 3M3 10.5v2.5h10v-2.5"],
  download: ["M8 3v7.5M5 8l3 3 3-3M3 11v2h10v-2"],
  mark: ["M3 12.5c3.5.5 2-4.5 4.8-4.5S9.5 11 13 9.5", "M9 5.5l2-2 1.8 1.8-2 2"],
  target: [
    "M8 2.5a5.5 5.5 0 1 1 0 11a5.5 5.5 0 1 1 0-11M8 5.5a2.5 2.5 0 1 1 0 5a2.5 2.5 0 1 1 0-5",
  ],
  sparkle: ["M8 2l1.4 4.6L14 8l-4.6 1.4L8 14l-1.4-4.6L2 8l4.6-1.4z"],
  stop: ["M4.5 4.5h7v7h-7z"],
  sun: [
    "M8 5.2a2.8 2.8 0 1 1 0 5.6a2.8 2.8 0 1 1 0-5.6M8 1.5v1.4M8 13.1v1.4M1.5 8h1.4M13.1 8h1.4M3.4 3.4l1 1M11.6 11.6l1 1M12.6 3.4l-1 1M4.4 11.6l-1 1",
  ],
  moon: ["M13 9.6A5.6 5.6 0 0 1 6.4 3 5.6 5.6 0 1 0 13 9.6z"],
  close: ["M4 4l8 8M12 4l-8 8"],
  left: ["M10 4L6 8l4 4"],
  right: ["M6 4l4 4-4 4"],
  eye: [
    "M1.8 8C4.5 3.4 11.5 3.4 14.2 8 11.5 12.6 4.5 12.6 1.8 8z",
    "M8 6.2a1.8 1.8 0 1 1 0 3.6a1.8 1.8 0 1 1 0-3.6",
  ],
  eyeOff: ["M2 2l12 12M1.8 8C4.5 3.4 11.5 3.4 14.2 8M4 10.4c2.7 1.8 6 1.6 8-.4"],
  sliders: ["M2.5 5h5M11.5 5h2M9.5 3v4M2.5 11h2M8.5 11h5M6.5 9v4"],
  circle: ["M8 3a5 5 0 1 1 0 10a5 5 0 1 1 0-10"],
  half: ["M8 3a5 5 0 1 1 0 10a5 5 0 1 1 0-10M8 5.5v3l2 1.2"],
  none: ["M8 3a5 5 0 1 1 0 10a5 5 0 1 1 0-10M4.5 11.5l7-7"],
  dot: ["M8 5.5a2.5 2.5 0 1 1 0 5a2.5 2.5 0 1 1 0-5"],
  clock: ["M8 2.5a5.5 5.5 0 1 1 0 11a5.5 5.5 0 1 1 0-11M8 5v3.2l2.2 1.6"],
  play: ["M5 3.5l7 4.5-7 4.5z"],
  copy: ["M5.5 5.5h7.5v7.5H5.5zM10.5 5.5V3H3v7.5h2.5"],
  undo: ["M6 3.5L3 6.5l3 3M3 6.5h6.5a3.5 3.5 0 0 1 0 7H7"],
  gear: [
    "M6.7 3.5L6.9 1.7L9.1 1.7L9.3 3.5L10.3 3.9L11.7 2.8L13.2 4.3L12.1 5.7L12.5 6.7L14.3 6.9L14.3 9.1L12.5 9.3L12.1 10.3L13.2 11.7L11.7 13.2L10.3 12.1L9.3 12.5L9.1 14.3L6.9 14.3L6.7 12.5L5.7 12.1L4.3 13.2L2.8 11.7L3.9 10.3L3.5 9.3L1.7 9.1L1.7 6.9L3.5 6.7L3.9 5.7L2.8 4.3L4.3 2.8L5.7 3.9z",
    "M8 6a2 2 0 1 1 0 4a2 2 0 1 1 0-4",
  ],
  chart: ["M2.5 13.5h11M4.5 11V8M8 11V3.5M11.5 11V6"],
  help: ["M8 2.5a5.5 5.5 0 1 1 0 11a5.5 5.5 0 1 1 0-11M6.4 6.4a1.7 1.7 0 1 1 2.4 1.7q-.8.4-.8 1.2", "M8 11.3h.01"],
  grid: ["M3 3h4v4H3zM9 3h4v4H9zM3 9h4v4H3zM9 9h4v4H9z"],
  warning: ["M8 2.5l6 10.5H2zM8 6.5v3", "M8 11.2h.01"],
};

/**
 * Build an element.
 * @param {string} tag
 * @param {object} [attributes] `class`, `on*` listeners, `style` object, booleans and plain attributes
 * @param {...(Node|string|number|null|false|Array)} children
 * @returns {HTMLElement}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style")
      for (const [key, text] of Object.entries(value)) element.style.setProperty(key, text);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(
    ...children.flat().filter((child) => child !== null && child !== false && child !== undefined),
  );
  return element;
}

/** An icon by name, drawn in the current text colour and hidden from screen readers. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "st-icon");
  svg.setAttribute("aria-hidden", "true");
  for (const d of ICONS[name]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}

/** A button showing only an icon; `label` is its tooltip and accessible name. */
export function iconButton(name, label, onclick, attributes = {}) {
  return h(
    "button",
    {
      type: "button",
      class: "st-icon-button",
      title: label,
      "aria-label": label,
      onclick,
      ...attributes,
    },
    icon(name),
  );
}

/**
 * Make the children of `list` show `items`, touching only those that changed, so that focus, hover
 * and scroll position survive an update. A row whose text field is being edited is left alone.
 */
export function syncList(list, items, build) {
  const old = new Map([...list.children].map((node) => [node.dataset.key, node]));
  items.forEach((item, index) => {
    const key = String(item.id);
    const signature = JSON.stringify(item);
    let node = old.get(key);
    old.delete(key);
    if (!node || (node.signature !== signature && !isEditing(node))) {
      const focused = node?.contains(document.activeElement)
        ? document.activeElement.dataset.focus
        : null;
      const fresh = build(item);
      fresh.dataset.key = key;
      fresh.signature = signature;
      if (node) node.replaceWith(fresh);
      node = fresh;
      if (focused)
        (fresh.dataset.focus === focused
          ? fresh
          : fresh.querySelector(`[data-focus="${focused}"]`)
        )?.focus();
    }
    if (list.children[index] !== node) list.insertBefore(node, list.children[index] ?? null);
  });
  for (const node of old.values()) node.remove();
}

function isEditing(node) {
  const active = document.activeElement;
  return node.contains(active) && active.matches("input[type=text]");
}

/** Replace `label` by a text field until Enter or leaving it saves, or Escape gives up. */
export function editInPlace(label, { value, name, save }) {
  const field = h("input", {
    type: "text",
    class: "st-field",
    "aria-label": name,
    maxlength: "100",
    spellcheck: "false",
  });
  field.value = value;
  let finished = false;
  const finish = (keep) => {
    if (finished) return;
    finished = true;
    const text = field.value.trim();
    field.replaceWith(label);
    if (keep && text && text !== value) {
      label.textContent = text;
      save(text);
    }
  };
  field.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Enter") finish(true);
    if (event.key === "Escape") finish(false);
  });
  field.addEventListener("blur", () => finish(true));
  label.replaceWith(field);
  field.focus();
  field.select();
}

/**
 * Ask before something is lost for good.
 * @returns {Promise<boolean>} true if the person agreed
 */
export function confirmDialog({ title, text, action }) {
  return new Promise((resolve) => {
    const dialog = h(
      "dialog",
      { class: "st-dialog", "aria-label": title },
      h(
        "form",
        { method: "dialog" },
        h("h2", {}, title),
        h("p", {}, text),
        h(
          "div",
          { class: "st-dialog-actions" },
          h("button", { class: "st-button", value: "no", autofocus: true }, "Cancel"),
          h("button", { class: "st-button st-danger", value: "yes" }, action),
        ),
      ),
    );
    dialog.addEventListener("close", () => {
      resolve(dialog.returnValue === "yes");
      dialog.remove();
    });
    document.querySelector(".gradio-container").append(dialog);
    dialog.showModal();
  });
}

/** Tell the other panels and the canvas something that needs no answer from the server. */
export function tell(name, detail) {
  document.dispatchEvent(new CustomEvent(`dinov:${name}`, { detail }));
}

/** Hear what `tell` said, for as long as `element` is on the page. */
export function hear(element, name, listener) {
  const handler = (event) => {
    if (element.isConnected) listener(event.detail);
    else document.removeEventListener(`dinov:${name}`, handler);
  };
  document.addEventListener(`dinov:${name}`, handler);
}

/**
 * Call `render(value)` now and whenever the server sends this panel another value. Answers may
 * arrive in another order than they were made in: what was seen earlier never replaces what was
 * seen later.
 */
export function follow({ props, watch }, render) {
  let last = 0;
  const update = () => {
    const value = props.value ? JSON.parse(props.value) : null;
    if (value === null || value.taken < last) return;
    last = value.taken;
    render(value);
  };
  watch("value", update);
  update();
}

/** 1 mark, 2 marks. */
export function plural(count, noun) {
  return `${count.toLocaleString()} ${noun}${count === 1 ? "" : "s"}`;
}
