/** The sheet of keys: what each does, and where people choose keys of their own. */
import { iconButton, make } from "./dom.js";
import { GESTURES, keyNames, keyOf, SECTIONS } from "./keymap.js";

const HOW = "Choose a key to change it.";

export class KeySheet {
  constructor(keymap, close) {
    this.keymap = keymap;
    this.close = close;
    this.asked = null;
    this.list = make("div", { class: "pc-keys" });
    this.foot = make("footer", {});
    this.element = make("div", {
      class: "pc-panel pc-help",
      role: "dialog",
      "aria-label": "Keys",
      hidden: true,
      onkeydown: (event) => this.onKey(event),
      onfocusout: ({ relatedTarget }) => this.onLeave(relatedTarget),
    });
    const head = make(
      "header",
      {},
      make("h2", {}, "Keys"),
      iconButton("close", "Close", "escape", close),
    );
    this.element.append(head, this.list, this.foot);
    keymap.subscribe(() => this.fill());
    this.fill();
  }

  show(shown) {
    this.asked = null;
    this.element.hidden = !shown;
    if (shown) this.fill();
  }

  /** Build everything anew; what had the focus has it again. */
  fill() {
    if (this.element.hidden) return;
    const focused = document.activeElement?.dataset?.key;
    const sections = SECTIONS.map(({ title, actions }) =>
      make("section", {}, make("h3", {}, title), this.rows(actions)),
    );
    this.list.replaceChildren(...sections, gestureSection());
    this.fillFoot();
    if (!focused) return;
    const same = [...this.list.querySelectorAll("button")].find(
      ({ dataset }) => dataset.key === focused,
    );
    (same ?? this.element.querySelector("button")).focus();
  }

  rows(actions) {
    const rows = new Map();
    for (const action of actions) {
      const name = action.row ?? action.does;
      rows.set(name, [...(rows.get(name) ?? []), action]);
    }
    return make("ul", {}, ...[...rows].map(([name, sharing]) => this.row(name, sharing)));
  }

  row(name, actions) {
    const keys = actions.flatMap((action) => this.buttons(action));
    const changed = actions.filter(({ id }) => this.keymap.isChanged(id));
    const own = make("span", { class: "pc-key-list" }, ...keys);
    if (changed.length)
      own.append(
        iconButton("undo", `${name}: the usual keys again`, null, () =>
          changed.forEach(({ id }) => this.keymap.reset(id)),
        ),
      );
    return make("li", {}, make("span", { class: "pc-does" }, name), own);
  }

  /** A button for each key of an action; one to add a key where there is none. */
  buttons(action) {
    const keys = this.keymap.keysOf(action.id);
    return (keys.length ? keys : [null]).map((key) => {
      const isAsked = this.asked?.action === action && this.asked.key === key;
      const names = key === null ? ["none"] : keyNames(key);
      const attributes = {
        type: "button",
        class: "pc-key",
        "data-key": `${action.id} ${key}`,
        "aria-label": `${action.does}: ${names.join(" ")}`,
        "aria-pressed": String(isAsked),
        onclick: () => this.ask({ action, key }),
      };
      const faces = isAsked ? [make("kbd", {}, "…")] : names.map((name) => make("kbd", {}, name));
      return make("button", attributes, ...faces);
    });
  }

  /** @param {{action: object, key: string | null, wanted?: string} | null} question */
  ask(question) {
    this.asked = question;
    this.fill();
  }

  fillFoot() {
    const parts = this.asked ? this.question(this.asked) : [HOW];
    if (!this.asked && this.keymap.hasChanges)
      parts.push(link("Reset all keys", () => this.keymap.resetAll()));
    if (!this.asked) parts.push(link("Show the hints again", () => this.askHints()));
    const [text, ...links] = parts;
    this.foot.replaceChildren(make("p", { role: "status" }, text), ...links);
  }

  question({ action, key, wanted }) {
    const cancel = link("Cancel", () => this.ask(null));
    if (wanted) {
      const held = this.keymap.actionOf(wanted);
      const text = `${keyNames(wanted).join("+")} does “${held.does}”.`;
      return [text, link(`Use it for “${action.does}”`, () => this.take(wanted)), cancel];
    }
    const remove = link("No key", () => this.clear());
    const asked = `Press the new key for “${action.does}”, or Esc.`;
    return key === null ? [asked, cancel] : [asked, remove, cancel];
  }

  onKey(event) {
    if (!this.asked || this.asked.wanted) return;
    const key = keyOf(event);
    if (key === "tab" || key === "shift tab") return;
    // Neither the button nor the canvas may take it for what it does elsewhere.
    event.preventDefault();
    event.stopPropagation();
    if (key === null) return;
    const { action } = this.asked;
    const holder = this.keymap.actionOf(key);
    if (key === "escape" || holder === action) this.ask(null);
    else if (holder) this.ask({ ...this.asked, wanted: key });
    else this.take(key);
    if (this.asked?.wanted) this.foot.querySelector("button").focus();
  }

  /** Another part of the page says what to do next, unless somebody had enough of it. */
  askHints() {
    this.close();
    document.dispatchEvent(new CustomEvent("dinov:hints-asked"));
  }

  take(wanted) {
    const { action, key } = this.asked;
    this.asked = null;
    this.keymap.bind(action.id, wanted, key);
    this.focusOn(action, wanted);
  }

  clear() {
    const { action, key } = this.asked;
    this.asked = null;
    this.keymap.unbind(action.id, key);
    this.focusOn(action, this.keymap.keysOf(action.id)[0] ?? null);
  }

  focusOn({ id }, key) {
    const buttons = [...this.list.querySelectorAll("[data-key]")];
    buttons.find(({ dataset }) => dataset.key === `${id} ${key}`)?.focus();
  }

  /** Who goes elsewhere is not asked any longer. */
  onLeave(next) {
    if (this.asked && next && !this.foot.contains(next) && next.dataset.key === undefined)
      this.ask(null);
  }
}

function gestureSection() {
  const rows = GESTURES.map(([by, does]) =>
    make("li", {}, make("span", { class: "pc-does" }, does), make("span", {}, by)),
  );
  const title = make("h3", {}, "Mouse, fingers, pen");
  return make("section", { class: "pc-gestures" }, title, make("ul", {}, ...rows));
}

function link(text, onclick) {
  return make("button", { type: "button", class: "pc-link", onclick }, text);
}
