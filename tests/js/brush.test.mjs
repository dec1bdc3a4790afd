import assert from "node:assert/strict";
import { test } from "node:test";

import * as brush from "../../app/canvas/static/brush.js";
import { distanceToPath } from "../../app/canvas/static/geometry.js";
import { areaOf, runEnds } from "../../app/canvas/static/rle.js";
import { endsOfRows, rowsOf } from "./masks.mjs";

const IMAGE = { width: 30, height: 20 };
const NEW = { category_id: 1, positive: true };

function within(points, radius) {
  return Array.from({ length: IMAGE.height }, (_, y) =>
    Array.from({ length: IMAGE.width }, (__, x) =>
      distanceToPath(x + 0.5, y + 0.5, points) <= radius ? "#" : ".",
    ).join(""),
  );
}

for (const [name, points, radius] of [
  ["a dab", [10.3, 7.8], 3.2],
  ["a level line", [5, 5, 20, 5], 2.4],
  ["an upright line", [8.5, 3, 8.5, 15], 2.6],
  ["a slope", [4.2, 3.1, 22.9, 16.4], 3.3],
  ["a path with corners that crosses itself", [5, 5, 25, 9, 12, 17, 9, 2], 1.7],
  ["a line along the border", [0, 0, 0, 20], 4.5],
]) {
  test(`${name} paints exactly the pixels whose centres it reaches`, () => {
    assert.deepEqual(rowsOf(brush.strokeOf(points, radius, IMAGE), IMAGE), within(points, radius));
  });
}

test("the thinnest brush leaves a mark wherever it is put", () => {
  for (const at of [3, 3.25, 3.5, 3.75])
    assert.ok(areaOf(brush.strokeOf([at, at], 0.5, IMAGE)) >= 1);
});

function painted(prompt, path, options) {
  const [first, ...others] = path.map(([x, y]) => ({ x, y }));
  const begun = brush.begunStroke(prompt, first, { image: IMAGE, radius: 2, ...options });
  return brush.finishedStroke(brush.extendedStroke(begun, others));
}

test("strokes add to a mask and erase from it, drawn in one go or in parts", () => {
  const path = [
    [5, 5],
    [12, 9],
    [20, 5],
  ];
  const once = painted(NEW, path, { erases: false });
  const parts = painted(painted(NEW, path.slice(0, 2), {}), path.slice(1), {});
  assert.deepEqual(once, parts);
  assert.deepEqual(Object.keys(once).sort(), ["category_id", "positive", "rle", "type"]);
  const hole = painted(once, [[12, 9]], { erases: true, radius: 1 });
  assert.equal(areaOf(runEnds(once.rle.counts)) - areaOf(runEnds(hole.rle.counts)), 4);
});

test("nothing is left of a mask that is erased, nor of erasing nothing", () => {
  const dab = painted(NEW, [[5, 5]], { erases: false });
  assert.equal(painted(dab, [[5, 5]], { erases: true, radius: 4 }), null);
  assert.equal(painted(NEW, [[5, 5]], { erases: true }), null);
});

test("a mask is moved as a whole, up to the border", () => {
  const image = { width: 4, height: 3 };
  const ends = endsOfRows(["##..", "#...", "...."]);
  const mask = { id: "m", type: "mask", rle: { size: [3, 4], ends } };
  const moved = brush.movedMask(mask, 9, 0.6, image);
  assert.deepEqual(rowsOf(brush.endsOfMask(moved), image), ["....", "..##", "..#."]);
});

test("a brush on 12 megapixels is quick: what counts is what is painted", () => {
  const image = { width: 4000, height: 3000 };
  let draft = brush.begunStroke(NEW, { x: 10, y: 10 }, { image, radius: 60, erases: false });
  for (let x = 20; x < 3900; x += 10)
    draft = brush.extendedStroke(draft, [{ x, y: 1500 + 1200 * Math.sin(x / 200) }]);
  const { counts } = brush.finishedStroke(draft).rle;
  assert.ok(counts.length < 60_000, `${counts.length} characters for the longest stroke`);
});
