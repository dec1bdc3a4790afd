/** The instances found in the shown image: read from the server, decoded, and found under the pointer. */
import { simplifiedRing } from "./geometry.js";
import { ringsOf } from "./contour.js";
import { areaOf, boxOf, contains, runEnds } from "./rle.js";

/** How far, in mask pixels, a smoothed outline may leave the exact one. */
const SMOOTHING = 0.75;

/**
 * @typedef {object} Found an instance: {id, categoryId, score, accepted, area, ends, box}, where
 *   `ends` and `box` are in pixels of the mask.
 * @typedef {{runId: number | null, width: number, height: number, instances: Found[]}} Results
 */

/**
 * @param {object} document a results document.
 * @returns {Results} largest first, so that small ones are painted on top.
 */
export function decoded(document) {
  const [height, width] = document.size;
  const instances = document.instances
    .map((instance) => decodedInstance(instance, height))
    .filter((instance) => instance.box !== null)
    .sort((a, b) => b.area - a.area);
  return { runId: document.run_id, width, height, instances };
}

function decodedInstance({ id, category_id: categoryId, score, status, counts }, height) {
  const ends = runEnds(counts);
  const accepted = status === "accepted";
  const [area, box] = [areaOf(ends), boxOf(ends, height)];
  return { id, categoryId, score, accepted, area, ends, box };
}

/** @returns {boolean} whether the score slider lets an instance through; accepted ones always are. */
export function passes(instance, threshold) {
  return instance.accepted || instance.score >= threshold;
}

/**
 * @param {{x: number, y: number}} at in image pixels.
 * @returns {Found | null} the smallest of the instances at a place.
 */
export function instanceAt(results, instances, { x, y }, image) {
  const column = Math.floor((x * results.width) / image.width);
  const row = Math.floor((y * results.height) / image.height);
  const here = ({ box, ends }) =>
    column >= box.x0 &&
    column < box.x1 &&
    row >= box.y0 &&
    row < box.y1 &&
    contains(ends, results.height, column, row);
  return instances.findLast(here) ?? null;
}

/**
 * The outline of a mask along its pixel edges, in mask pixels; made once, when first painted.
 * @returns {{exact: Path2D, smooth: Path2D}}
 */
export function pathsOf(mask, maskHeight) {
  mask.paths ??= outlined(mask, maskHeight);
  return mask.paths;
}

function outlined({ ends }, maskHeight) {
  const [exact, smooth] = [new Path2D(), new Path2D()];
  for (const ring of ringsOf(ends, maskHeight)) {
    addRing(exact, ring);
    addRing(smooth, simplifiedRing(ring, SMOOTHING));
  }
  return { exact, smooth };
}

function addRing(path, ring) {
  path.moveTo(ring[0], ring[1]);
  for (let i = 2; i < ring.length; i += 2) path.lineTo(ring[i], ring[i + 1]);
  path.closePath();
}

/** Gets results documents; only the answer to the newest request counts. */
export class ResultsLoader {
  constructor() {
    this.abort = null;
  }

  /** Forget a request that is under way. */
  cancel() {
    this.abort?.abort();
    this.abort = null;
  }

  /**
   * @param {string} url
   * @returns {Promise<Results | null>} null if another request has taken its place.
   */
  async get(url) {
    this.cancel();
    const abort = new AbortController();
    this.abort = abort;
    try {
      const response = await fetch(new URL(url, document.baseURI), { signal: abort.signal });
      if (!response.ok) throw new Error(`the server answered ${response.status}`);
      const results = decoded(await response.json());
      return this.abort === abort ? results : null;
    } catch (error) {
      if (abort.signal.aborted) return null;
      throw error;
    }
  }
}
