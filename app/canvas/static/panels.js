/** What lies over the stage when asked for: the sheet of keys, the list of marks, and notices. */
import { icon, iconButton, make } from "./dom.js";
import { colorOf } from "./color.js";
import { described } from "./gestures.js";
import { KeySheet } from "./keysheet.js";
import { swatch } from "./toolbar.js";

/** All panels that can be open; at most one is. */
export class Panels {
  constructor(surface) {
    this.surface = surface;
    this.sheet = new KeySheet(surface.keymap, () => this.closeAll());
    this.help = this.sheet.element;
    this.marks = make("div", {
      class: "pc-panel pc-marks",
      role: "region",
      "aria-label": "Marks on this image",
      hidden: true,
    });
    this.marksButton = make("button", {
      type: "button",
      class: "pc-link",
      title: "List of all marks on this image",
      "aria-expanded": "false",
      onclick: () => this.toggleMarks(),
    });
    this.menu = null;
  }

  /** Close whatever is open; tells whether anything was. */
  closeAll() {
    const open = [this.help, this.marks].filter((panel) => !panel.hidden);
    for (const panel of open) panel.hidden = true;
    this.marksButton.setAttribute("aria-expanded", "false");
    return this.menu.toggle(false) || open.length > 0;
  }

  toggleHelp() {
    const show = this.help.hidden;
    this.closeAll();
    this.sheet.show(show);
    (show ? this.help.querySelector("button") : this.surface.element).focus();
  }

  toggleMarks() {
    const show = this.marks.hidden;
    this.closeAll();
    this.marks.hidden = !show;
    this.marksButton.setAttribute("aria-expanded", String(show));
    this.update();
    if (show) this.marks.querySelector("button")?.focus();
  }

  update() {
    const { prompts, image } = this.surface.store;
    this.marksButton.hidden = !image;
    this.marksButton.textContent = prompts.length === 1 ? "1 mark" : `${prompts.length} marks`;
    if (!this.marks.hidden) this.fillMarks();
  }

  fillMarks() {
    const { store } = this.surface;
    const focused = [...this.marks.querySelectorAll("button")].indexOf(document.activeElement);
    const rows = store.prompts.map((prompt) => this.markRow(prompt, store));
    const empty = make("p", {}, "No marks yet. Choose a tool and draw on an object.");
    this.marks.replaceChildren(rows.length ? make("ul", {}, ...rows) : empty);
    const buttons = this.marks.querySelectorAll("button");
    if (focused >= 0) buttons[Math.min(focused, buttons.length - 1)]?.focus();
  }

  markRow(prompt, store) {
    const text = described(prompt, store);
    const select = () => store.select({ promptId: prompt.id });
    const row = make(
      "button",
      {
        type: "button",
        class: "pc-row",
        "aria-pressed": String(prompt.id === store.selectedPromptId),
        onclick: select,
      },
      icon(prompt.type),
      swatch(colorOf(store.category(prompt.category_id))),
      make("span", { class: "pc-name" }, text),
    );
    const remove = iconButton("trash", `Delete: ${text}`, "", () => store.removePrompt(prompt.id));
    remove.disabled = store.readOnly;
    return make("li", {}, row, remove);
  }
}

/** What is said on the stage itself: nothing to show, loading, failed, nothing found. */
export class Notices {
  constructor(surface) {
    this.surface = surface;
    this.blank = make("div", { class: "pc-blank", hidden: true });
    this.note = make("div", { class: "pc-float pc-note", hidden: true });
    this.shownBlank = "";
  }

  update() {
    this.showBlank(this.blankKind());
    const text = this.noteText();
    this.note.hidden = text === "";
    if (this.note.textContent !== text) this.note.textContent = text;
  }

  blankKind() {
    if (!this.surface.image) return "empty";
    return { loading: "loading", failed: "failed" }[this.surface.pictureState] ?? "";
  }

  showBlank(kind) {
    if (kind === this.shownBlank) return;
    this.shownBlank = kind;
    this.blank.hidden = kind === "";
    this.blank.dataset.kind = kind;
    this.blank.replaceChildren(...(kind === "" ? [] : this.blankContent(kind)));
  }

  blankContent(kind) {
    if (kind === "loading") return [icon("busy"), make("p", {}, "Loading the image…")];
    if (kind === "empty") {
      const how = "Add photos, mark a few objects, and have every other one found.";
      return [icon("image"), make("h2", {}, "No image yet"), make("p", {}, how)];
    }
    const retry = {
      type: "button",
      class: "pc-action",
      onclick: () => this.surface.retryPicture(),
    };
    const text = `${this.surface.image.name ?? "The image"} could not be loaded.`;
    return [icon("warning"), make("p", {}, text), make("button", retry, "Try again")];
  }

  noteText() {
    const { results, resultsState, settings, keymap, left, shown } = this.surface;
    if (resultsState === "failed") return "The found objects could not be loaded";
    if (!results || resultsState === "none") return "";
    if (left.length === 0)
      return results.instances.length ? "All found objects are rejected" : "Nothing found in this image";
    if (!settings.overlay) return `Found objects are hidden${byKey(keymap, "overlay", "shows them")}`;
    if (shown.length > 0) return "";
    const them =
      left.length === 1 ? "The one object found is" : `All ${left.length} objects found are`;
    return `${them} below the score threshold. Lower it to see more.`;
  }
}

/** The line below the stage: what to do or what happened, where the pointer is, what is saved. */
export class StatusLine {
  constructor(surface, marksButton, retry) {
    this.surface = surface;
    this.retry = retry;
    this.message = make("span", { class: "pc-message", role: "status" });
    this.position = make("span", { class: "pc-position", "aria-hidden": "true" });
    this.saved = make("span", { class: "pc-saved", "data-kind": "saved", role: "status" });
    this.element = make(
      "div",
      { class: "pc-status" },
      this.message,
      this.position,
      marksButton,
      this.saved,
    );
    this.timer = null;
    this.showSaved({ kind: "saved", message: "" });
  }

  /** Tell what happened; after a while what to do next is shown again. */
  say(text) {
    clearTimeout(this.timer);
    this.hint = hintFor(this.surface);
    this.message.textContent = text;
    this.timer = setTimeout(() => this.showHint(hintFor(this.surface)), 5000);
  }

  update() {
    const hint = hintFor(this.surface);
    this.saved.hidden = !this.surface.image;
    if (this.timer === null || hint !== this.hint) this.showHint(hint);
  }

  showHint(hint) {
    clearTimeout(this.timer);
    this.timer = null;
    this.hint = hint;
    this.setText(this.message, hint);
  }

  updatePosition() {
    const { pointerAt, image } = this.surface;
    const at = pointerAt && image ? this.surface.toImage(pointerAt) : null;
    const inside = at && at.x >= 0 && at.y >= 0 && at.x < image.width && at.y < image.height;
    this.setText(this.position, inside ? `${Math.floor(at.x)}, ${Math.floor(at.y)}` : "");
  }

  setText(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  /** @param {{kind: string, message: string}} state from the Saver. */
  showSaved({ kind, message }) {
    const { retry } = this;
    const [name, text, label, action] = {
      saved: ["check", "Saved"],
      saving: ["busy", "Saving…"],
      offline: ["warning", "Not saved", "Retry", retry],
      refused: ["warning", "Not saved", "Retry", retry],
    }[kind];
    this.saved.dataset.kind = kind;
    this.saved.title = message;
    this.saved.replaceChildren(icon(name), make("span", {}, text));
    if (!action) return;
    const attributes = { type: "button", class: "pc-link", onclick: action };
    this.saved.append(make("button", attributes, label));
    this.say(message);
  }
}

const OBJECT_HINTS = {
  box: "Drag a box: it becomes an object",
  mask: "Paint an object; further strokes go on with it",
  polygon: "Click corner after corner: the polygon becomes an object",
};

const HINTS = {
  retouch: "Paint on the selected object; the right button or the eraser takes away",
  cut: "Draw a stroke right across the selected object, from outside to outside",
  select: "Click a mark or a found object to select it",
  point: "Click on an object",
  box: "Drag a box around an object",
  scribble: "Scribble over an object",
  mask: "Paint over an object; the right button or the eraser takes away",
  polygon: "Click corner after corner around an object; click the first again to close",
};

/** " (H shows them)", with the key in use; nothing if there is none. */
function byKey(keymap, action, does) {
  const key = keymap.shown(action);
  return key && ` (${key} ${does})`;
}

/** What keys do to the object under the pointer. */
function pointing(keymap) {
  const keys = [
    [keymap.shown("accept"), "to accept"],
    [keymap.shown("reject"), "to reject"],
  ];
  const named = keys.filter(([key]) => key).map((pair) => pair.join(" "));
  return named.length ? `; point at it and press ${named.join(", ")}` : "";
}

function hintFor({ image, store, settings, keymap, draft, shown }) {
  if (!image) return "";
  if (store.readOnly) return "This image can be looked at, not changed";
  if (!store.activeCategory) return "Add a category first: what should be found?";
  if (draft?.type === "outline")
    return `Drag corners and sides; Ctrl+click removes a corner${byKey(keymap, "enter", "keeps the outline")}${byKey(keymap, "escape", "drops it")}`;
  if (store.selectedPrompt && settings.tool === "mask")
    return `Painting: ${described(store.selectedPrompt, store)}${byKey(keymap, "enter", "begins a new one")}`;
  if (store.selectedPrompt)
    return `${described(store.selectedPrompt, store)}: drag to move${byKey(keymap, "delete", "deletes")}`;
  if (settings.tool === "cut") return HINTS.cut;
  if (settings.tool === "retouch") return HINTS.retouch + byKey(keymap, "escape", "ends");
  if (settings.annotates && OBJECT_HINTS[settings.tool])
    return OBJECT_HINTS[settings.tool] + (settings.tool === "mask" ? byKey(keymap, "escape", "begins another") : "");
  if (store.selectedInstanceIds.length) return "Shift+click selects more objects";
  if (settings.tool === "select" && shown.length)
    return `Click an object to select it${pointing(keymap)}`;
  const negative = settings.positive || settings.tool === "select" ? "" : " that must not be found";
  return HINTS[settings.tool] + negative;
}
