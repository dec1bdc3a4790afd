/** Outlines of masks along pixel edges: a 10x10 block gives a ring from (0, 0) to (10, 10). */
import { spansOf } from "./rle.js";

// Directions, clockwise on the screen.
const [RIGHT, DOWN, LEFT, UP] = [0, 1, 2, 3];

/**
 * Trace every border between inside and outside, inside on the right hand. Outer rings run
 * clockwise, holes anticlockwise; filled together (even-odd) they give the mask back exactly. What
 * it costs depends on the length of the borders, not on the size of the image.
 *
 * Where two inside pixels touch only by a corner they are kept apart (4-connectivity).
 * @param {Uint32Array} ends the runs of the mask.
 * @returns {number[][]} closed rings of corners; straight runs have no points in between.
 */
export function ringsOf(ends, height) {
  const edges = edgesOf(spansOf(ends, height));
  const leaving = edgesByStart(edges, height);
  const seen = new Uint8Array(edges.length);
  const rings = [];
  edges.forEach((_, first) => {
    const ring = [];
    let edge = first;
    while (!seen[edge]) {
      seen[edge] = 1;
      const next = following(edges, leaving, edge, height);
      if (edges[next].direction !== edges[edge].direction) ring.push(edges[edge].x1, edges[edge].y1);
      edge = next;
    }
    if (ring.length) rings.push(ring);
  });
  return rings;
}

/** The way on from the end of an edge: right if that keeps to this pixel, else what there is. */
function following(edges, leaving, edge, height) {
  const { x1, y1, direction } = edges[edge];
  const ways = leaving.get(x1 * (height + 1) + y1);
  return ways.find((way) => edges[way].direction === (direction + 1) % 4) ?? ways[0];
}

function edgesByStart(edges, height) {
  const leaving = new Map();
  edges.forEach(({ x0, y0 }, i) => {
    const key = x0 * (height + 1) + y0;
    const ways = leaving.get(key);
    if (ways) ways.push(i);
    else leaving.set(key, [i]);
  });
  return leaving;
}

/** The borders around the spans of all columns, cut wherever two of them can meet. */
function edgesOf(spans) {
  const edges = [];
  const add = (x0, y0, x1, y1, direction) => edges.push({ x0, y0, x1, y1, direction });
  let before = { x: -1, rows: [] };
  for (const column of columnsOf(spans)) {
    const { x, rows } = column;
    if (before.x < x - 1) sideEdges(before.rows, [], before.x + 1, add);
    sideEdges(before.x === x - 1 ? before.rows : [], rows, x, add);
    for (let i = 0; i < rows.length; i += 2) {
      add(x, rows[i], x + 1, rows[i], RIGHT);
      add(x + 1, rows[i + 1], x, rows[i + 1], LEFT);
    }
    before = column;
  }
  sideEdges(before.rows, [], before.x + 1, add);
  return edges;
}

/** @returns {{x: number, rows: number[]}[]} by column, where its spans begin and end. */
function columnsOf(spans) {
  const columns = [];
  for (let i = 0; i < spans.length; i += 3) {
    if (columns.at(-1)?.x !== spans[i]) columns.push({ x: spans[i], rows: [] });
    columns.at(-1).rows.push(spans[i + 1], spans[i + 2]);
  }
  return columns;
}

/** The upright borders at `x` between two columns: where only one of them is inside. */
function sideEdges(left, right, x, add) {
  let [i, j, from] = [0, 0, 0];
  while (i < left.length || j < right.length) {
    const to = Math.min(left[i] ?? Infinity, right[j] ?? Infinity);
    const [inLeft, inRight] = [i % 2 === 1, j % 2 === 1];
    if (to > from && inRight && !inLeft) add(x, to, x, from, UP);
    if (to > from && inLeft && !inRight) add(x, from, x, to, DOWN);
    if (left[i] === to) i += 1;
    if (right[j] === to) j += 1;
    from = to;
  }
}
