import assert from "node:assert/strict";
import { test } from "node:test";

import * as vertices from "../../app/canvas/static/vertices.js";

const SQUARE = [0, 0, 10, 0, 10, 10, 0, 10];

test("sides are known by their middle and length; the last one closes the ring", () => {
  assert.deepEqual(vertices.sidesOf(SQUARE).at(-1), { x: 0, y: 5, length: 10 });
  assert.equal(vertices.nearestSide(SQUARE, { x: 1, y: 6 }), 3);
});

test("a corner can be moved, added on any side and taken away", () => {
  assert.deepEqual(
    vertices.withVertexAt(SQUARE, 1, { x: 12, y: 1 }),
    [0, 0, 12, 1, 10, 10, 0, 10],
  );
  const more = vertices.withVertexOn(SQUARE, 3, { x: -2, y: 5 });
  assert.deepEqual(more, [...SQUARE, -2, 5]);
  assert.deepEqual(vertices.withoutVertex(more, 4), SQUARE);
});

test("a triangle keeps its corners", () => {
  assert.equal(vertices.withoutVertex([0, 0, 10, 0, 10, 10], 0), null);
});
