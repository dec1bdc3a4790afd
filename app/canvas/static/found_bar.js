/** How found objects are shown: the bar that floats at the upper right of the stage. */
import { iconButton, make, setIcon } from "./dom.js";
import { press } from "./toolbar.js";

export class FoundBar {
  constructor(surface, commands) {
    this.surface = surface;
    const { settings } = surface;
    const button = (icon, label, action) => iconButton(icon, label, action, () => commands[action]());
    this.count = make("span", { class: "pc-count" });
    this.eye = button("eye", "Show found objects", "overlay");
    this.outline = button("outline", "Outlines only", "outline");
    this.labels = button("tag", "Labels on all found objects", "labels");
    this.pattern = button("hatch", "A pattern for each category, beside its colour", "pattern");
    this.colors = button("palette", "A colour for each object, instead of its category's", "colors");
    const range = { type: "range", min: "0", max: "0.9", step: "0.05" };
    const title = "Opacity of found objects";
    const oninput = (event) => settings.set({ opacity: Number(event.target.value) });
    this.opacity = make("input", { ...range, title, "aria-label": title, oninput });
    this.element = make("div", {
      class: "pc-float pc-found",
      role: "group",
      "aria-label": "Found objects",
    });
    this.looks = [this.outline, this.labels, this.pattern, this.colors, this.opacity];
    this.element.append(this.count, this.eye, ...this.looks);
  }

  update() {
    const { settings, results, resultsState } = this.surface;
    this.element.hidden = resultsState === "none" || !results?.instances.length;
    if (this.element.hidden) return;
    const { left, shown } = this.surface;
    this.count.textContent =
      shown.length === left.length
        ? `${left.length} found`
        : `${shown.length} of ${left.length} found`;
    press(this.eye, settings.overlay);
    setIcon(this.eye, settings.overlay ? "eye" : "eyeOff");
    press(this.outline, settings.outline);
    press(this.labels, settings.labels);
    press(this.pattern, settings.pattern);
    press(this.colors, settings.colorBy === "instance");
    for (const control of this.looks) control.disabled = !settings.overlay;
    this.opacity.disabled ||= settings.outline;
    this.opacity.value = settings.opacity;
  }
}
