/** The bar of tools above the stage, and the buttons that float on it. */
import { icon, iconButton, make, setIcon } from "./dom.js";
import { colorOf, inkOn } from "./color.js";

const TOOLS = [
  ["select", "Select"],
  ["point", "Point"],
  ["box", "Box"],
  ["scribble", "Scribble"],
  ["polygon", "Polygon"],
  ["mask", "Brush"],
];

/** The main toolbar: tool, sign, category, width of a scribble, undo and redo. */
export class Toolbar {
  constructor(surface, commands, menu) {
    Object.assign(this, { surface, commands });
    this.tools = TOOLS.map(([tool, label]) =>
      iconButton(tool, label, `tool-${tool}`, () => commands.tool(tool), { "data-tool": tool }),
    );
    this.signs = [
      iconButton("plus", "Positive: find such objects", "sign", () => commands.sign(true)),
      iconButton("minus", "Negative: do not find such objects", "sign", () => commands.sign(false)),
    ];
    this.signGroup = make(
      "div",
      { class: "pc-group pc-signs", role: "group", "aria-label": "Sign" },
      ...this.signs,
    );
    this.menu = menu;
    this.annotate = iconButton(
      "object",
      "Draw finished objects instead of examples, without the model",
      "annotate",
      () => commands.annotate(),
    );
    this.eraser = iconButton("eraser", "Erase with the brush", "erase", () => commands.erase());
    this.done = iconButton("check", "Mask done: begin a new one", "enter", () =>
      commands.finishMask(),
    );
    this.brush = make(
      "div",
      { class: "pc-group", role: "group", "aria-label": "Brush" },
      this.eraser,
      this.done,
    );
    this.width = this.widthSlider();
    this.trash = iconButton("trash", "Delete what is selected", "delete", () => commands.delete());
    this.undo = iconButton("undo", "Undo", "undo", () => commands.undo());
    this.redo = iconButton("redo", "Redo", "redo", () => commands.redo());
    const help = iconButton("help", "Keys and help", "help", () => commands.help(), {
      "data-panel": "help",
    });
    this.element = make(
      "div",
      {
        class: "pc-toolbar",
        role: "toolbar",
        "aria-label": "Drawing tools",
        onkeydown: walkButtons,
      },
      make("div", { class: "pc-group", role: "group", "aria-label": "Tool" }, ...this.tools),
      this.annotate,
      this.signGroup,
      menu.element,
      this.brush,
      this.width.label,
      make("span", { class: "pc-spacer" }),
      make("div", { class: "pc-group pc-plain" }, this.trash, this.undo, this.redo, help),
    );
  }

  widthSlider() {
    const onInput = (event) => this.commands.setStrokeWidth(Number(event.target.value));
    const title = "Width of the stroke in image pixels";
    const input = make("input", {
      ...{ type: "range", min: "1", step: "1" },
      ...{ title, "aria-label": title, oninput: onInput },
    });
    const value = make("output", {});
    const label = make("label", { class: "pc-width" }, make("span", {}, "Width"), input, value);
    return { label, input, value };
  }

  /** Bring the buttons in line with the state. */
  update() {
    const { store, settings, image } = this.surface;
    const locked = !image || store.readOnly;
    for (const button of this.tools) {
      press(button, settings.tool === button.dataset.tool);
      button.disabled = locked && button.dataset.tool !== "select";
    }
    const positive = store.selectedPrompt?.positive ?? settings.positive;
    press(this.signs[0], positive);
    press(this.signs[1], !positive);
    for (const button of this.signs) button.disabled = locked;
    // A finished object has no sign.
    this.signGroup.hidden = settings.annotates;
    press(this.annotate, settings.annotates);
    this.annotate.disabled = locked;
    const { selectedPrompt, selectedInstanceId } = store;
    this.trash.disabled = locked || (!selectedPrompt && selectedInstanceId === null);
    this.brush.hidden = locked || !["mask", "retouch"].includes(settings.tool);
    this.done.hidden = settings.tool !== "mask";
    press(this.eraser, settings.erasing);
    this.done.disabled = !selectedPrompt;
    this.undo.disabled = locked || !(store.canUndo || this.surface.draft);
    this.redo.disabled = locked || !store.canRedo;
    this.updateWidth(locked);
    this.menu.update();
  }

  updateWidth(locked) {
    const { image } = this.surface;
    const width = this.commands.strokeWidth;
    this.width.label.hidden = locked || width === null;
    if (this.width.label.hidden) return;
    const usual = Math.round(Math.max(image.width, image.height) / 8);
    this.width.input.max = Math.max(40, usual, width);
    this.width.input.value = width;
    this.width.value.textContent = `${width} px`;
  }
}

/** The category of the next mark, with a menu of all. */
export class CategoryMenu {
  constructor(surface, choose) {
    this.surface = surface;
    this.choose = choose;
    this.swatch = make("span", { class: "pc-swatch" });
    this.name = make("span", { class: "pc-name" });
    const attributes = {
      type: "button",
      class: "pc-chip",
      "aria-haspopup": "listbox",
      onclick: () => this.toggle(),
    };
    this.button = make("button", attributes, this.swatch, this.name, icon("chevron"));
    this.list = make("ul", {
      class: "pc-menu",
      role: "listbox",
      "aria-label": "Category",
      hidden: true,
    });
    this.element = make(
      "div",
      { class: "pc-category", onkeydown: (event) => this.onKey(event) },
      this.button,
      this.list,
    );
  }

  get isOpen() {
    return !this.list.hidden;
  }

  toggle(open = !this.isOpen) {
    if (open === this.isOpen) return false;
    this.list.hidden = !open;
    this.button.setAttribute("aria-expanded", String(open));
    if (open) {
      this.fill();
      (this.list.querySelector("[aria-selected=true]") ?? this.list.firstElementChild)?.focus();
    } else if (this.element.contains(document.activeElement)) this.button.focus();
    return true;
  }

  fill() {
    const { categories, activeCategoryId } = this.surface.store;
    const rows = categories.map(({ id, name, color }, index) => {
      const attributes = {
        role: "option",
        tabindex: "-1",
        "aria-selected": String(id === activeCategoryId),
      };
      const row = make("li", { ...attributes, onclick: () => this.pick(index) });
      row.append(swatch(color), make("span", { class: "pc-name" }, name));
      const key = this.surface.keymap.shown(`category-${index + 1}`);
      if (key) row.append(make("kbd", {}, key));
      return row;
    });
    this.list.replaceChildren(...rows);
  }

  pick(index) {
    this.choose(index);
    this.toggle(false);
  }

  onKey(event) {
    if (!this.isOpen) return;
    const rows = [...this.list.children];
    const at = rows.indexOf(document.activeElement);
    if (event.key === "ArrowDown") rows[Math.min(at + 1, rows.length - 1)]?.focus();
    else if (event.key === "ArrowUp") rows[Math.max(at - 1, 0)]?.focus();
    else if (event.key === "Enter" || event.key === " ") this.pick(at);
    else if (event.key === "Tab") this.toggle(false);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  update() {
    const { activeCategory, selectedPrompt, image } = this.surface.store;
    const category = selectedPrompt
      ? this.surface.store.category(selectedPrompt.category_id)
      : activeCategory;
    this.button.disabled = !image || this.surface.store.categories.length === 0;
    this.name.textContent = category?.name ?? "No category";
    this.button.title = `Category: ${category?.name ?? "none"} (keys 1 to 9)`;
    this.swatch.style.setProperty("--swatch", colorOf(category));
    if (this.isOpen) this.fill();
  }
}

/** @returns {HTMLElement} a dot in a category's colour. */
export function swatch(color) {
  const dot = make("span", { class: "pc-swatch" });
  dot.style.setProperty("--swatch", color);
  dot.style.setProperty("--ink", inkOn(color));
  return dot;
}

/** Zoom buttons, floating at the lower right. */
export class ZoomBar {
  constructor(surface, commands) {
    this.surface = surface;
    this.percent = make("span", { class: "pc-percent", title: "Zoom" });
    this.compare = iconButton("compare", "Reference beside the image", "compare", () =>
      commands.compare(),
    );
    this.element = make(
      "div",
      { class: "pc-float pc-zoom", role: "group", "aria-label": "Zoom" },
      iconButton("minus", "Zoom out", "zoom-out", () => commands.zoom(0.8)),
      this.percent,
      iconButton("plus", "Zoom in", "zoom-in", () => commands.zoom(1.25)),
      iconButton("fit", "Fit the image", "fit", () => commands.fit()),
      this.compare,
    );
  }

  update() {
    this.element.hidden = !this.surface.image;
    press(this.compare, this.surface.settings.compare);
    this.percent.textContent = `${Math.round(100 * this.surface.view.scale)}%`;
  }
}

export function press(button, pressed) {
  button.setAttribute("aria-pressed", String(pressed));
}

/** Left and right go from button to button, as in every toolbar. */
function walkButtons(event) {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step || event.target.type === "range") return;
  const buttons = [...event.currentTarget.querySelectorAll("button:not(:disabled)")];
  const next = buttons[buttons.indexOf(document.activeElement) + step];
  next?.focus();
  event.preventDefault();
  event.stopPropagation();
}
