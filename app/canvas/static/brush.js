/**
 * Painting with a round brush, exactly in image pixels: a pixel belongs to a stroke if its centre is
 * within the radius. All is done on run-length masks (see rle.js), so that the size of the image
 * does not matter, only what is painted. No DOM.
 */
import { clamp } from "./geometry.js";
import { boxOf, countsOf, endsOf, nothing, runEnds, shifted, united, without } from "./rle.js";

/** With less, a dab between four pixels would meet the centre of none. */
const SMALLEST_RADIUS = Math.SQRT1_2;

/**
 * @param {number[]} points the path of the stroke, [x0, y0, x1, y1, …] in image pixels.
 * @returns {Uint32Array} the runs of the stroke.
 */
export function strokeOf(points, radius, image) {
  let ends = nothing(image);
  for (let i = 0; i < points.length; i += 2) {
    const from = points.slice(Math.max(0, i - 2), Math.max(2, i));
    ends = united(ends, capsule(from, points.slice(i, i + 2), radius, image));
  }
  return ends;
}

/** Everything within `radius` of the line from a to b. */
function capsule([ax, ay], [bx, by], radius, image) {
  const reach = Math.max(radius, SMALLEST_RADIUS);
  const { width, height } = image;
  const first = clamp(Math.floor(Math.min(ax, bx) - reach), 0, width);
  const last = clamp(Math.ceil(Math.max(ax, bx) + reach), 0, width);
  const spans = [];
  for (let x = first; x < last; x += 1) {
    const [low, high] = crossed(x + 0.5, ax, ay, bx, by, reach);
    const top = Math.max(0, Math.ceil(low - 0.5));
    const bottom = Math.min(height, Math.floor(high - 0.5) + 1);
    if (top < bottom) spans.push(x, top, bottom);
  }
  return endsOf(spans, image);
}

/** Where a vertical line enters and leaves a capsule, which is the hull of its two discs. */
function crossed(x, ax, ay, bx, by, radius) {
  let [low, high] = [Infinity, -Infinity];
  const meet = (y0, y1) => {
    low = Math.min(low, y0);
    high = Math.max(high, y1);
  };
  for (const [cx, cy] of [
    [ax, ay],
    [bx, by],
  ]) {
    const half2 = radius * radius - (x - cx) * (x - cx);
    if (half2 >= 0) meet(cy - Math.sqrt(half2), cy + Math.sqrt(half2));
  }
  const length = Math.hypot(bx - ax, by - ay);
  for (const side of length && ax !== bx ? [-radius, radius] : []) {
    const [dx, dy] = [(-side * (by - ay)) / length, (side * (bx - ax)) / length];
    const t = (x - ax - dx) / (bx - ax);
    const y = ay + dy + t * (by - ay);
    if (t >= 0 && t <= 1) meet(y, y);
  }
  return [low, high];
}

/** @returns {Uint32Array} the runs of a mask prompt, also of one in the making. */
export function endsOfMask({ rle }) {
  return rle.ends ?? runEnds(rle.counts);
}

/**
 * Begin a stroke on a mask prompt, or on a new one that has no id.
 * @returns {object} a mask prompt in the making: its `rle` holds `ends` in place of `counts`.
 */
export function begunStroke(prompt, at, { radius, erases, image }) {
  const from = [at.x, at.y];
  const base = prompt.rle ? endsOfMask(prompt) : nothing(image);
  const brush = { base, stroke: nothing(image), from, radius, erases, image };
  return extendedStroke({ ...prompt, type: "mask", brush }, [at]);
}

/** @returns {object} the prompt in the making after the brush has moved through places {x, y}. */
export function extendedStroke(draft, places) {
  const { base, radius, erases, image } = draft.brush;
  let { stroke, from } = draft.brush;
  for (const { x, y } of places) {
    stroke = united(stroke, capsule(from, [x, y], radius, image));
    from = [x, y];
  }
  const ends = erases ? without(base, stroke) : united(base, stroke);
  const rle = { size: [image.height, image.width], ends };
  return { ...draft, rle, brush: { ...draft.brush, stroke, from } };
}

/** @returns {object | null} the finished prompt; null if nothing is left of it. */
export function finishedStroke({ brush, ...prompt }) {
  const { size, ends } = prompt.rle;
  return ends.length > 1 ? { ...prompt, rle: { size, counts: countsOf(ends) } } : null;
}

/** @returns {object} a mask prompt moved by whole pixels; it stays inside the image. */
export function movedMask(prompt, dx, dy, image) {
  const ends = endsOfMask(prompt);
  const box = boxOf(ends, image.height);
  const [x, y] = [
    clamp(Math.round(dx), -box.x0, image.width - box.x1),
    clamp(Math.round(dy), -box.y0, image.height - box.y1),
  ];
  const { size } = prompt.rle;
  return { ...prompt, rle: { size, counts: countsOf(shifted(ends, x, y, image)) } };
}
