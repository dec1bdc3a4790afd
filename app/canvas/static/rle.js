/**
 * COCO compressed run-length masks: column-major runs, starting with a run of outside, written
 * as base-32 digits with continuation and sign bits; from the third run on, as the difference to
 * the run two before. Source: pycocotools, maskApi.c, rleFrString.
 */

/**
 * @param {string} counts the compressed text.
 * @returns {Uint32Array} where each run ends, in column-major pixels. Odd runs are inside.
 */
export function runEnds(counts) {
  const runs = [];
  for (let at = 0; at < counts.length;) {
    let value = 0;
    let shift = 0;
    let digit;
    do {
      digit = counts.charCodeAt(at) - 48;
      if (!(digit >= 0 && digit < 64)) throw new Error("this is not a run-length mask");
      value |= (digit & 31) << shift;
      shift += 5;
      at += 1;
    } while (digit & 32);
    if (digit & 16) value |= -1 << shift;
    runs.push(runs.length > 2 ? value + runs[runs.length - 2] : value);
  }
  const ends = new Uint32Array(runs.length);
  let sum = 0;
  runs.forEach((run, i) => {
    sum += run;
    ends[i] = sum;
  });
  return ends;
}

/** @returns {number} how many pixels are inside. */
export function areaOf(ends) {
  let area = 0;
  for (let i = 1; i < ends.length; i += 2) area += ends[i] - ends[i - 1];
  return area;
}

/** @returns {boolean} whether the pixel (x, y) of a mask of `height` rows is inside. */
export function contains(ends, height, x, y) {
  const pixel = x * height + y;
  let low = 0;
  let high = ends.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ends[middle] > pixel) high = middle;
    else low = middle + 1;
  }
  return low < ends.length && low % 2 === 1;
}

/** @returns {{x0: number, y0: number, x1: number, y1: number} | null} pixel edges; null if empty. */
export function boxOf(ends, height) {
  const box = { x0: Infinity, y0: Infinity, x1: 0, y1: 0 };
  for (let i = 1; i < ends.length; i += 2) {
    const [start, end] = [ends[i - 1], ends[i]];
    if (start === end) continue;
    const [left, right] = [Math.floor(start / height), Math.floor((end - 1) / height)];
    box.x0 = Math.min(box.x0, left);
    box.x1 = Math.max(box.x1, right + 1);
    // A run that goes on in the next column touches the top and the bottom.
    box.y0 = Math.min(box.y0, right > left ? 0 : start % height);
    box.y1 = Math.max(box.y1, right > left ? height : ((end - 1) % height) + 1);
  }
  return box.x1 > 0 ? box : null;
}

/**
 * @returns {string} the compressed text of runs, as `runEnds` reads it.
 */
export function countsOf(ends) {
  let text = "";
  for (let i = 0; i < ends.length; i += 1) {
    const run = lengthOf(ends, i);
    let value = i > 2 ? run - lengthOf(ends, i - 2) : run;
    let more;
    do {
      const digit = value & 31;
      value >>= 5;
      more = digit & 16 ? value !== -1 : value !== 0;
      text += String.fromCharCode(48 + digit + (more ? 32 : 0));
    } while (more);
  }
  return text;
}

function lengthOf(ends, i) {
  return ends[i] - (i ? ends[i - 1] : 0);
}

/** @returns {Uint32Array} the runs of a mask of the image's size in which nothing is inside. */
export function nothing({ width, height }) {
  return Uint32Array.of(width * height);
}

/** @returns {Uint32Array} what lies in at least one of two masks of the same size. */
export function united(a, b) {
  return combined(a, b, (inA, inB) => inA || inB);
}

/** @returns {Uint32Array} what lies in `a` and not in `b`. */
export function without(a, b) {
  return combined(a, b, (inA, inB) => inA && !inB);
}

/** @param {(inA: boolean, inB: boolean) => boolean} keep tells what is inside; never what is in neither. */
function combined(a, b, keep) {
  const size = a.at(-1);
  const ends = [];
  let [i, j, inA, inB, inside] = [0, 0, false, false, false];
  for (let at = Math.min(a[0], b[0]); at < size; at = Math.min(a[i], b[j])) {
    for (; a[i] === at; i += 1) inA = !inA;
    for (; b[j] === at; j += 1) inB = !inB;
    if (keep(inA, inB) === inside) continue;
    inside = !inside;
    ends.push(at);
  }
  ends.push(size);
  return Uint32Array.from(ends);
}

/**
 * @returns {number[]} the inside runs cut at columns, flat: x, first row, last row + 1; from left to
 *   right and from top to bottom.
 */
export function spansOf(ends, height) {
  const spans = [];
  for (let i = 1; i < ends.length; i += 2) {
    for (let from = ends[i - 1]; from < ends[i];) {
      const x = Math.floor(from / height);
      const to = Math.min(ends[i], (x + 1) * height);
      spans.push(x, from - x * height, to - x * height);
      from = to;
    }
  }
  return spans;
}

/** @returns {Uint32Array} the runs of spans in the order of `spansOf`; they may touch. */
export function endsOf(spans, { width, height }) {
  const ends = [];
  for (let i = 0; i < spans.length; i += 3) {
    const start = spans[i] * height + spans[i + 1];
    if (ends.length && ends.at(-1) === start) ends.pop();
    else ends.push(start);
    ends.push(spans[i] * height + spans[i + 2]);
  }
  if (ends.at(-1) !== width * height) ends.push(width * height);
  return Uint32Array.from(ends);
}

/** @returns {Uint32Array} the mask moved by whole pixels; what leaves the image is lost. */
export function shifted(ends, dx, dy, { width, height }) {
  const moved = [];
  const spans = spansOf(ends, height);
  for (let i = 0; i < spans.length; i += 3) {
    const x = spans[i] + dx;
    const [top, bottom] = [Math.max(0, spans[i + 1] + dy), Math.min(height, spans[i + 2] + dy)];
    if (x >= 0 && x < width && top < bottom) moved.push(x, top, bottom);
  }
  return endsOf(moved, { width, height });
}
