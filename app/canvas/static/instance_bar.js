/** What can be done with the selected objects, floating beside them; also what a tool does. */
import { iconButton, make } from "./dom.js";
import { editsOutline } from "./outline_tool.js";
import { floating } from "./placing.js";

/** Icon, name, action in the table of keys, command with its argument; null: a gap. */
const ACTIONS = [
  ["check", "Accept", "accept", ["decide", "accepted"]],
  ["close", "Reject", "reject", ["decide", "rejected"]],
  ["tag", "Another category", "relabel", ["relabel"]],
  null,
  ["mask", "Paint on the mask", "retouch", ["tool", "retouch"]],
  ["reshape", "Edit the outline", "reshape", ["reshape"]],
  ["cut", "Cut along a stroke", "cut", ["tool", "cut"]],
  ["parts", "Separate the parts", "separate", ["separate"]],
  ["merge", "Merge the selected", "merge", ["change", "merge"]],
  null,
  ["fill", "Fill holes", "fill-holes", ["change", "fill_holes"]],
  ["specks", "Remove specks", "specks", ["change", "remove_specks"]],
  ["simplify", "Simplify the outline", "simplify", ["change", "simplify"]],
  null,
  ["forward", "Bring forward", "forward", ["change", "bring_forward"]],
  ["back", "Send back", "back", ["change", "send_back"]],
  ["trash", "Delete for good", "delete", ["delete"]],
];
const FOR_ONE = new Set(["retouch", "reshape", "cut", "separate"]);

/** What there is instead while an outline is edited. */
const OUTLINE_ACTIONS = [
  ["check", "Keep the outline", "enter", ["enter"]],
  ["close", "Drop the changes", "escape", ["escape"]],
];

export class InstanceBar {
  constructor(surface, commands) {
    this.surface = surface;
    this.count = make("span", { class: "pc-count" });
    this.buttons = new Map();
    const buttonOf = ([image, label, id, [name, argument]]) =>
      iconButton(image, label, id, () => commands[name](argument));
    this.parts = ACTIONS.map((action) => {
      if (!action) return make("span", { class: "pc-gap" });
      const button = buttonOf(action);
      this.buttons.set(action[2], button);
      return button;
    });
    this.outline = [make("span", { class: "pc-count" }, "Outline"), ...OUTLINE_ACTIONS.map(buttonOf)];
    this.element = make(
      "div",
      {
        class: "pc-float pc-instance-bar",
        role: "toolbar",
        "aria-label": "Selected objects",
        hidden: true,
      },
      this.count,
      ...this.parts,
      ...this.outline,
    );
  }

  update() {
    const { store, settings, selectedInstances } = this.surface;
    const isOutline = editsOutline(this.surface);
    this.element.hidden = store.readOnly || (selectedInstances.length === 0 && !isOutline);
    if (this.element.hidden) return;
    for (const part of this.parts) part.hidden = isOutline;
    for (const part of this.outline) part.hidden = !isOutline;
    this.count.textContent = selectedInstances.length > 1 ? String(selectedInstances.length) : "";
    this.count.hidden = isOutline || selectedInstances.length < 2;
    for (const [id, button] of this.buttons) {
      const isMany = selectedInstances.length > 1;
      button.disabled = (FOR_ONE.has(id) && isMany) || (id === "merge" && !isMany);
      if (id === "retouch" || id === "cut")
        button.setAttribute("aria-pressed", String(settings.tool === id));
    }
    const all = (status) => selectedInstances.every((one) => one.status === status);
    this.buttons.get("accept").disabled = all("accepted");
    this.buttons.get("reject").disabled = all("rejected");
    if (selectedInstances.length) this.place();
  }

  /** Out of the way of the selected objects and of what else floats on the stage. */
  place() {
    const { element, surface } = this;
    const { left, top } = surface.element.getBoundingClientRect();
    const size = { width: element.offsetWidth, height: element.offsetHeight };
    const taken = [...document.querySelectorAll(".pc-float, .st-review")]
      .filter((other) => other !== element && other.offsetWidth)
      .map((other) => other.getBoundingClientRect())
      .map((box) => ({ x0: box.left - left, y0: box.top - top, x1: box.right - left, y1: box.bottom - top }));
    const place = floating(size, surface.boxOfSelected, surface.stage, taken);
    element.style.left = `${surface.element.offsetLeft + place.left}px`;
    element.style.top = `${place.top}px`;
  }
}
