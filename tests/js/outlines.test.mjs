import assert from "node:assert/strict";
import { test } from "node:test";

import { ringsOf } from "../../app/canvas/static/contour.js";
import { ringArea } from "../../app/canvas/static/geometry.js";
import * as outlines from "../../app/canvas/static/outlines.js";
import { cornerCount, handlesOf, reshaped, withoutCorner } from "../../app/canvas/static/shapes.js";
import { endsOfRows, mask, SMALL_MASKS } from "./masks.mjs";

const RADIUS = 30;
const DISC = Array.from({ length: 64 }, (_, y) =>
  Array.from({ length: 64 }, (__, x) => (Math.hypot(x - 31.5, y - 31.5) <= RADIUS ? "#" : ".")).join(""),
);

function ringsOfRows(rows) {
  return ringsOf(endsOfRows(rows), rows.length);
}

function outlineOf(rows, tolerance = 1.5) {
  return { type: "outline", rings: outlines.simplifiedOutline(ringsOfRows(rows), tolerance) };
}

const IMAGE = { width: 64, height: 64 };
const BLOCK_WITH_HOLE = outlineOf(mask("block with a hole").rows);

for (const { name, rows } of [...SMALL_MASKS, { name: "disc", rows: DISC }]) {
  test(`${name}: where nothing is moved, the outline is that of the mask`, () => {
    assert.deepEqual(outlineOf(rows).rings.map(outlines.wholeRing), ringsOfRows(rows));
  });
}

test("a disc has few corners, and a moved one bends only the sides next to it", () => {
  const [exact] = ringsOfRows(DISC);
  const disc = outlineOf(DISC);
  const count = cornerCount(disc);
  assert.ok(count >= 8 && count <= 20, `${count} corners`);
  const { x, y } = handlesOf(disc)[3];
  const pulled = reshaped(disc, 3, { x: x + 2, y: y + 1 }, IMAGE);
  const [{ between }] = pulled.rings;
  assert.deepEqual([between[2], between[3]], [[], []]);
  const kept = between.filter((_, i) => i !== 2 && i !== 3).flat();
  const before = disc.rings[0].between.filter((_, i) => i !== 2 && i !== 3).flat();
  assert.deepEqual(kept, before);
  assert.deepEqual(outlines.wholeRing(disc.rings[0]), exact, "the first one is as it was");
});

test("the first corner bends the last side, too", () => {
  const [{ between }] = reshaped(outlineOf(DISC), 0, { x: 1, y: 1 }, IMAGE).rings;
  assert.deepEqual([between[0], between.at(-1)], [[], []]);
});

test("corners count through the rings: a hole is changed like the outer border", () => {
  assert.equal(cornerCount(BLOCK_WITH_HOLE), 8);
  const { x, y } = handlesOf(BLOCK_WITH_HOLE)[5];
  const { rings } = reshaped(BLOCK_WITH_HOLE, 5, { x: x + 1, y }, IMAGE);
  assert.deepEqual(rings[0], BLOCK_WITH_HOLE.rings[0]);
  assert.deepEqual(rings[1].points.slice(2, 4), [x + 1, y]);
});

test("a side gets a corner, which can be taken away again", () => {
  const middle = handlesOf(BLOCK_WITH_HOLE)[8 + 4];
  const more = reshaped(BLOCK_WITH_HOLE, 8 + 4, middle, IMAGE);
  assert.equal(cornerCount(more), 9);
  assert.deepEqual(more.rings.map(outlines.wholeRing).map(ringArea), [100, 12]);
  assert.deepEqual(withoutCorner(more, 5).rings, BLOCK_WITH_HOLE.rings);
});

test("a ring goes with the corner of its triangle; the last ring stays", () => {
  const triangle = withoutCorner(BLOCK_WITH_HOLE, 4);
  const filled = withoutCorner(triangle, 4);
  assert.deepEqual(filled.rings, [BLOCK_WITH_HOLE.rings[0]]);
  assert.equal(withoutCorner(withoutCorner(filled, 0), 0), null);
});

test("the side nearest to a place is found in any ring", () => {
  const { x, y } = handlesOf(BLOCK_WITH_HOLE)[8 + 6];
  assert.deepEqual(outlines.sideNear(BLOCK_WITH_HOLE.rings, { x, y }), { side: 6, distance: 0 });
});
