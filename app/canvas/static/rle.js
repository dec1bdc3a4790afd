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
 * The part of the mask inside `box`, which must hold all of it.
 * @returns {{bits: Uint8Array, width: number, height: number}} row-major, 1 inside.
 */
export function bitsIn(ends, maskHeight, box) {
  const width = box.x1 - box.x0;
  const height = box.y1 - box.y0;
  const bits = new Uint8Array(width * height);
  for (let i = 1; i < ends.length; i += 2) {
    for (let pixel = ends[i - 1]; pixel < ends[i]; pixel += 1) {
      const x = Math.floor(pixel / maskHeight);
      bits[(pixel - x * maskHeight - box.y0) * width + x - box.x0] = 1;
    }
  }
  return { bits, width, height };
}
