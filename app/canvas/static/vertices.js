/** Editing of the corners of a closed ring [x0, y0, x1, y1, …]. Pure; rings are never changed. */
import { distanceToSegment } from "./geometry.js";

/** @returns {{x: number, y: number}[]} the corners. */
export function verticesOf(ring) {
  const vertices = [];
  for (let i = 0; i < ring.length; i += 2) vertices.push({ x: ring[i], y: ring[i + 1] });
  return vertices;
}

/** @returns {{x: number, y: number, length: number}[]} the middle of each side; side i begins at corner i. */
export function sidesOf(ring) {
  const vertices = verticesOf(ring);
  return vertices.map((a, i) => {
    const b = vertices[(i + 1) % vertices.length];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, length: Math.hypot(b.x - a.x, b.y - a.y) };
  });
}

/** @returns {number} the side nearest to a place. */
export function nearestSide(ring, { x, y }) {
  const vertices = verticesOf(ring);
  const distances = vertices.map((a, i) => {
    const b = vertices[(i + 1) % vertices.length];
    return distanceToSegment(x, y, a.x, a.y, b.x, b.y);
  });
  return distances.indexOf(Math.min(...distances));
}

/** @returns {number[]} the ring with one corner at another place. */
export function withVertexAt(ring, index, { x, y }) {
  return ring.toSpliced(2 * index, 2, x, y);
}

/** @returns {number[]} the ring with a new corner, number `side` + 1, on a side. */
export function withVertexOn(ring, side, { x, y }) {
  return ring.toSpliced(2 * side + 2, 0, x, y);
}

/** @returns {number[] | null} the ring without one corner; null if it would be no area any more. */
export function withoutVertex(ring, index) {
  return ring.length > 6 ? ring.toSpliced(2 * index, 2) : null;
}
