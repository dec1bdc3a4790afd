/** Building of elements. Text enters the page as text nodes only: names may hold anything. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {string} tag
 * @param {object} attributes `on*` functions become listeners; null and false are left out.
 * @param {...(Node|string)} children
 * @returns {HTMLElement}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false)
      element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

// 20 x 20, drawn with the text colour.
const ICONS = {
  compare: ["M3.5 4.5h13v11h-13zM10 4.5v11"],
  before: ["M12 5l-5 5 5 5"],
  after: ["M8 5l5 5-5 5"],
  outline: ["M4 6.5C6 2.5 14 3.5 16 8s-3 9-7.5 8.5S2.5 9.5 4 6.5"],
  hatch: ["M4 4h12v12h-12z", "M4 10l6-6M4 16L16 4M10 16l6-6"],
  palette: [
    "M10 3.5c4 0 6.5 2.5 6.5 5.5 0 2-1.5 2.5-3 2.5h-1.5c-1.5 0-1 1.5-.8 2.5.3 1.5-.5 2.5-1.7 2.5"
      + "-3.5 0-6-2.8-6-6.5s2.5-6.5 6.5-6.5",
    "M7 8h.01M10 6.5h.01M13 8h.01",
  ],
  select: ["M5 3l10.5 6.6-4.6 1-2.6 4.2z"],
  point: [
    "M10 2.5v4M10 13.5v4M2.5 10h4M13.5 10h4",
    "M10 8.7a1.3 1.3 0 1 1 0 2.6a1.3 1.3 0 1 1 0-2.6",
  ],
  box: ["M4.5 4.5h11v11h-11z", "M3 3h3v3h-3zM14 3h3v3h-3zM3 14h3v3h-3zM14 14h3v3h-3z"],
  scribble: ["M3 14.5c2.5-8 5-9.5 6-7s-2.5 7 .3 7.5S12 8 14.5 8.5s.5 4 2.5 4"],
  polygon: ["M10 3l6.5 5-2.5 8.5H6L3.500 8z"],
  mask: [
    "M10 3c4 0 7 2.500 6.500 6.500S14 17 9.500 17 3 13.500 3.500 9.500 6 3 10 3zM6 12l6-7M8.500 14.500l6.500-7",
  ],
  eraser: ["M8 16.500l-4.500-4.500 8.500-8.500 5 5-8 8zM7.500 8l5 5M8 16.500h8.500"],
  plus: ["M10 4.5v11M4.5 10h11"],
  minus: ["M4.5 10h11"],
  undo: ["M7.500 4L4 7.500 7.500 11M4.500 7.500h7a4.300 4.300 0 0 1 0 8.600H8"],
  redo: ["M12.500 4L16 7.500 12.500 11M15.500 7.500h-7a4.300 4.300 0 0 0 0 8.600H12"],
  fit: ["M3.500 7.500v-4h4M12.500 3.500h4v4M16.500 12.500v4h-4M7.500 16.500h-4v-4"],
  help: ["M7.300 7.600a2.800 2.800 0 1 1 4.300 2.300c-1 .7-1.600 1.200-1.600 2.400M10 15.300v.2"],
  eye: [
    "M2.500 10S5 5 10 5s7.500 5 7.500 5-2.500 5-7.500 5-7.500-5-7.500-5z",
    "M10 7.900a2.100 2.100 0 1 1 0 4.200a2.100 2.100 0 1 1 0-4.200",
  ],
  eyeOff: ["M2.500 10S5 5 10 5s7.500 5 7.500 5-2.500 5-7.500 5-7.500-5-7.500-5zM4 16.500L16 3.500"],
  tag: ["M3.500 3.500h6.500l6.500 6.500-6.500 6.500L3.500 10z", "M6.900 6.900h.1"],
  trash: [
    "M4 5.500h12M8 5.500V3.800h4v1.700M5.500 5.500l.7 10.700h7.600l.7-10.700M8.500 8.500v5M11.500 8.500v5",
  ],
  check: ["M4 10.500l4 4 8-9"],
  cut: [
    "M6 3.500l7.500 10.500M14 3.500L6.500 14",
    "M5 13a1.800 1.800 0 1 1 0 3.600a1.800 1.800 0 1 1 0-3.600M15 13a1.800 1.800 0 1 1 0 3.600a1.800 1.800 0 1 1 0-3.600",
  ],
  reshape: [
    "M5 5.500L15 4M16 5.500L14 14.500M12.500 16L6 15M4.800 13.500L4 7",
    "M2.500 4h3v3h-3zM14.500 2.500h3v3h-3zM12.500 14.500h3v3h-3zM3.500 13.500h3v3h-3z",
  ],
  parts: ["M3.500 5.500h5v9h-5zM11.500 5.500h5v9h-5z"],
  merge: ["M3.500 4.500h8v8h-8zM8.500 8.500h8v8h-8z"],
  fill: ["M10 3.500a6.500 6.500 0 1 1 0 13a6.500 6.500 0 1 1 0-13", "M8 10h4M10 8v4"],
  specks: ["M4 4.500h8v8H4z", "M15.500 6h.1M15.500 10h.1M7 15.700h.1M14.500 15h.1"],
  simplify: ["M3.500 13.500c2-6 3 1 5-4s2-5 4-2 2 3 4 0", "M3.500 16.500h13"],
  forward: ["M4 9h8v8H4z", "M8 5.500h8.500V14", "M12 12V3.500M9 6l3-2.800L15 6"],
  back: ["M4 3.500h8v8H4z", "M8 15h8.500V6.500", "M12 8v8.500M9 14l3 2.800 3-2.800"],
  object: ["M4.500 5.500l6-2 5.500 4-1 7.500-7 1.500-4-5z", "M7.500 10l2 2 3.500-4"],
  busy: ["M10 3.500a6.500 6.500 0 1 1-6.500 6.500"],
  warning: ["M10 3.500l7.500 13h-15zM10 8.500v3.500M10 14.300v.1"],
  chevron: ["M6 8l4 4 4-4"],
  close: ["M5 5l10 10M15 5L5 15"],
  image: ["M3 4.500h14v11H3zM3 13l4-4 3.500 3.200L13 10l4 3.500M13.200 7.700h.1"],
};

/** @returns {SVGElement} an icon by name; screen readers skip it. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "pc-icon");
  svg.dataset.icon = name;
  for (const d of ICONS[name]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}

/**
 * A button with an icon. `label` is its name for screen readers and, with its key, the tooltip.
 * @param {string | null} action the id of what it does in the table of keys.
 * @returns {HTMLButtonElement}
 */
export function iconButton(name, label, action, onclick, attributes = {}) {
  const options = { type: "button", class: "pc-button", "aria-label": label, title: label, onclick };
  return make("button", { ...options, "data-action": action, ...attributes }, icon(name));
}

/** Tell in the tooltips of buttons by which key each is done. */
export function showKeys(root, keymap) {
  for (const button of root.querySelectorAll("[data-action]")) {
    const [label, key] = [button.ariaLabel, keymap.shown(button.dataset.action)];
    button.title = key ? `${label} (${key})` : label;
    button.ariaKeyShortcuts = key.replace("Ctrl", "Control") || null;
  }
}

/** Show another icon in a button. */
export function setIcon(button, name) {
  if (button.querySelector("svg").dataset.icon !== name)
    button.querySelector("svg").replaceWith(icon(name));
}
