/**
 * The outline of an object as it is edited by its corners. Pure; nothing is changed in place.
 *
 * A mask has far more corners than anyone wants to handle, so few are shown. Each side keeps those
 * that it stands for: where nothing is moved, the outline stays as it was, to the pixel.
 */
import { distanceToPath, simplifiedRing } from "./geometry.js";
import { nearestSide, verticesOf, withoutVertex, withVertexAt, withVertexOn } from "./vertices.js";

/**
 * @typedef {object} Ring
 * @property {number[]} points the corners, [x0, y0, x1, y1, …].
 * @property {number[][]} between for each corner the path to the next one; [] if it is straight.
 */

/**
 * @param {number[][]} rings closed rings of a mask.
 * @param {number} tolerance how far a side may lie from what it stands for, in pixels.
 * @returns {Ring[]}
 */
export function simplifiedOutline(rings, tolerance) {
  return rings.map((ring) => {
    const simple = simplifiedRing(ring, tolerance);
    return divided(ring, simple.length < 6 ? ring : simple);
  });
}

/** Divide a ring at some of its points, the first among them. */
function divided(ring, points) {
  const between = [];
  for (let i = 0; i < ring.length; i += 2) {
    const corner = 2 * between.length;
    if (ring[i] === points[corner] && ring[i + 1] === points[corner + 1]) between.push([]);
    else between.at(-1).push(ring[i], ring[i + 1]);
  }
  return { points, between };
}

/** @returns {number[]} all points of a ring. */
export function wholeRing({ points, between }) {
  return verticesOf(points).flatMap(({ x, y }, i) => [x, y, ...between[i]]);
}

/** @returns {{side: number, distance: number}} the side nearest to a place; sides count through all rings. */
export function sideNear(rings, at) {
  let best = { side: -1, distance: Infinity };
  let before = 0;
  for (const { points, between } of rings) {
    const distance = distanceToPath(at.x, at.y, points, true);
    if (distance < best.distance) best = { side: before + nearestSide(points, at), distance };
    before += between.length;
  }
  return best;
}

/** @returns {Ring[]} with one corner at another place; corners count through all rings. */
export function withCornerAt(rings, corner, at) {
  return withRing(rings, corner, ({ points, between }, i) => ({
    points: withVertexAt(points, i, at),
    between: straightened(between, i),
  }));
}

/** @returns {Ring[]} with a new corner, number `side` + 1. */
export function withCornerOn(rings, side, at) {
  return withRing(rings, side, ({ points, between }, i) => ({
    points: withVertexOn(points, i, at),
    between: between.toSpliced(i, 1, [], []),
  }));
}

/** @returns {Ring[] | null} without one corner; of a triangle nothing is left. Null if that was all. */
export function withoutCorner(rings, corner) {
  const left = withRing(rings, corner, ({ points, between }, i) => {
    const fewer = withoutVertex(points, i);
    return fewer && { points: fewer, between: straightened(between, i).toSpliced(i, 1) };
  }).filter(Boolean);
  return left.length ? left : null;
}

/** Change the ring of a corner; `change` gets the number of the corner in it. */
function withRing(rings, corner, change) {
  let [ring, i] = [0, corner];
  while (i >= rings[ring].between.length) {
    i -= rings[ring].between.length;
    ring += 1;
  }
  return rings.with(ring, change(rings[ring], i));
}

/** The paths on both sides of a corner are straight once it has moved. */
function straightened(between, corner) {
  const before = (corner || between.length) - 1;
  return between.map((path, i) => (i === corner || i === before ? [] : path));
}
