/** How found objects look: in which colour, with which pattern, or not at all. */
import { colorOf } from "./color.js";

const GOLDEN_ANGLE = 137.508;
const TILE = 12;

/** Lines of one tile of each pattern, in units of it; parallel ones meet at the tile's edges. */
const HATCHES = [
  ["M0 1L1 0"],
  ["M0 0L1 1"],
  ["M0 .5L1 .5"],
  ["M.5 0L.5 1"],
  ["M0 .5L1 .5", "M.5 0L.5 1"],
  ["M0 1L1 0", "M0 0L1 1"],
];

/** @returns {boolean} whether an object's category is not hidden. */
export function isVisible({ categoryId }, { hidden }) {
  return !hidden.includes(categoryId);
}

/**
 * @param {{id: number, categoryId: number}} found
 * @returns {{color: string, hatch: number | null}} colours tell categories apart, or else instances;
 *   patterns tell categories apart for whom colours do not.
 */
export function lookOf(found, store, { colorBy, pattern }) {
  const category = store.category(found.categoryId);
  const place = store.categories.indexOf(category);
  return {
    color: colorBy === "instance" ? instanceColor(found.id) : colorOf(category),
    hatch: pattern ? Math.max(0, place) % HATCHES.length : null,
  };
}

/** Neighbouring ids get hues far apart. @returns {string} "#rrggbb" */
export function instanceColor(id) {
  const hue = (id * GOLDEN_ANGLE) % 360;
  const channel = (n) => {
    const k = (n + hue / 30) % 12;
    const value = 0.55 - 0.38 * Math.max(-1, Math.min(k - 3, 9 - k, 1));
    return Math.round(255 * value)
      .toString(16)
      .padStart(2, "0");
  };
  return `#${channel(0)}${channel(8)}${channel(4)}`;
}

/** @returns {CanvasPattern} whose lines are as wide on the screen at any zoom. */
export function hatching(context, hatch, color, pixel) {
  const density = window.devicePixelRatio || 1;
  const side = TILE * density;
  const tile = new OffscreenCanvas(side, side);
  const pen = tile.getContext("2d");
  pen.scale(side, side);
  pen.strokeStyle = color;
  pen.lineWidth = 1.6 / TILE;
  for (const line of HATCHES[hatch]) pen.stroke(new Path2D(line));
  const pattern = context.createPattern(tile, "repeat");
  pattern.setTransform(new DOMMatrix().scale(pixel / density));
  return pattern;
}
