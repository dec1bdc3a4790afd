/** The instances found in the shown image: read from the server, decoded, and found under the pointer. */
import { simplifiedRing } from "./geometry.js";
import { ringsOf } from "./contour.js";
import { areaOf, boxOf, contains, runEnds } from "./rle.js";

/** How far, in mask pixels, a smoothed outline may leave the exact one. */
const SMOOTHING = 0.75;

/**
 * @typedef {object} Found an instance: {id, rev, categoryId, score, status, accepted, origin, zOrder,
 *   area, ends, box}, where `ends` and `box` are in pixels of the mask.
 * @typedef {{runId: number | null, width: number, height: number, instances: Found[]}} Results
 */

/**
 * @param {object} document a results document.
 * @returns {Results} as they are painted, the lowest first.
 */
export function decoded(document) {
  const [height, width] = document.size;
  const instances = stacked(document.instances.map((one) => decodedInstance(one, height)));
  return { runId: document.run_id, width, height, instances };
}

/** @returns {Results} with instances of a document in the place of those before, or gone. */
export function updated(results, documents, removed) {
  const gone = new Set([...removed, ...documents.map(({ id }) => id)]);
  const kept = results.instances.filter(({ id }) => !gone.has(id));
  const fresh = documents.map((one) => decodedInstance(one, results.height));
  return { ...results, instances: stacked([...kept, ...fresh]) };
}

function decodedInstance(document, height) {
  const { id, rev, category_id: categoryId, score, status, origin, z_order: zOrder } = document;
  const ends = runEnds(document.counts);
  const accepted = status === "accepted";
  const [area, box] = [areaOf(ends), boxOf(ends, height)];
  return { id, rev, categoryId, score, status, accepted, origin, zOrder, area, ends, box };
}

/** Small ones lie on large ones, unless someone has brought one forward or sent it back. */
function stacked(instances) {
  return instances
    .filter(({ box }) => box !== null)
    .sort((a, b) => a.zOrder - b.zOrder || b.area - a.area);
}

/** @returns {boolean} whether the score slider lets an instance through; accepted ones always are. */
export function passes({ status, score }, threshold) {
  return status === "accepted" || (status === "proposed" && score >= threshold);
}

/**
 * @param {{x: number, y: number}} at in image pixels.
 * @returns {Found | null} the uppermost of the instances at a place.
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
