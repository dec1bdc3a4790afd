import assert from "node:assert/strict";
import { test } from "node:test";

import { ringsOf } from "../../app/canvas/static/contour.js";
import { insideRing, ringArea, simplifiedRing } from "../../app/canvas/static/geometry.js";
import { endsOfRows, mask, SMALL_MASKS } from "./masks.mjs";

function ringsOfRows(rows) {
  return ringsOf(endsOfRows(rows), rows.length);
}

for (const { name, rows } of SMALL_MASKS) {
  test(`${name}: filled by the even-odd rule, the rings give the mask back`, () => {
    const rings = ringsOfRows(rows);
    const filled = rows.map((row, y) =>
      [...row]
        .map((_, x) => rings.filter((ring) => insideRing(x + 0.5, y + 0.5, ring)).length % 2)
        .map((odd) => (odd ? "#" : "."))
        .join(""),
    );
    assert.deepEqual(filled, rows);
  });
}

test("a block has four corners, on pixel edges", () => {
  assert.deepEqual(ringsOfRows(["....", ".##.", ".##.", "...."]), [[1, 1, 3, 1, 3, 3, 1, 3]]);
});

test("a hole is a ring of its own", () => {
  const rings = ringsOfRows(mask("block with a hole").rows);
  assert.deepEqual(rings.map(ringArea), [100, 12]);
});

test("parts that touch at a corner stay apart", () => {
  const rings = ringsOfRows(mask("two parts touching at a corner").rows);
  assert.deepEqual(rings.map(ringArea), [4, 4]);
});

test("smoothing takes the stairs off a slope and keeps a rectangle", () => {
  const stairs = Array.from({ length: 20 }, (_, y) => "#".repeat(y + 1).padEnd(20, "."));
  const [ring] = ringsOfRows(stairs);
  assert.ok(simplifiedRing(ring, 0.75).length <= ring.length / 4);
  const block = [0, 0, 10, 0, 10, 10, 0, 10];
  assert.deepEqual(simplifiedRing(block, 0.75), block);
});
