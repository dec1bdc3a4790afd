/** How this person likes to work: the tool in hand and what is shown. Remembered by the browser. */

import { OBJECT_TOOLS } from "./object_strokes.js";

const KEY = "prompt-canvas";
const LOOKS = ["overlay", "labels", "opacity", "outline", "pattern", "colorBy"];
const REMEMBERED = ["tool", "compare", ...LOOKS];
/** Of the longer side of the image, the width of a stroke until one is chosen. */
const USUAL_SHARE = { scribble: 1 / 100, mask: 1 / 30, retouch: 1 / 60 };
const DEFAULTS = {
  tool: "scribble",
  positive: true,
  widths: {},
  erasing: false,
  annotates: false,
  overlay: true,
  labels: false,
  opacity: 0.4,
  outline: false,
  pattern: false,
  colorBy: "category",
  hidden: [],
  compare: false,
};

export class Settings {
  constructor() {
    Object.assign(this, DEFAULTS, remembered());
    this.listeners = new Set();
  }

  subscribe(listener) {
    this.listeners.add(listener);
  }

  /** @param {Partial<typeof DEFAULTS>} changes */
  set(changes) {
    Object.assign(this, changes);
    const kept = Object.fromEntries(REMEMBERED.map((name) => [name, this[name]]));
    try {
      localStorage.setItem(KEY, JSON.stringify(kept));
    } catch {
      // Storage may be switched off; the settings then last until the page is left.
    }
    for (const listener of this.listeners) listener(changes);
  }

  /** The width of a tool's strokes in image pixels: as chosen, else what suits the image's size. */
  widthOf(tool, image) {
    const share = USUAL_SHARE[tool];
    return this.widths[tool] ?? Math.max(2, Math.round(share * Math.max(image.width, image.height)));
  }
}

function remembered() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    // What works on a selected object would have none to work on.
    if (OBJECT_TOOLS.includes(kept.tool)) delete kept.tool;
    const usable = REMEMBERED.filter((name) => typeof kept[name] === typeof DEFAULTS[name]);
    return Object.fromEntries(usable.map((name) => [name, kept[name]]));
  } catch {
    return {};
  }
}
