import assert from "node:assert/strict";
import { test } from "node:test";

import { areaOf, bitsIn, boxOf, contains, runEnds } from "../../app/canvas/static/rle.js";
import { MASKS, SMALL_MASKS } from "./masks.mjs";

for (const { name, size, counts, area, bbox } of MASKS) {
  test(`${name}: runs, area and box are those of pycocotools`, () => {
    const ends = runEnds(counts);
    assert.equal(ends.at(-1), size[0] * size[1]);
    assert.equal(areaOf(ends), area);
    const box = boxOf(ends, size[0]);
    if (area === 0) assert.equal(box, null);
    else assert.deepEqual([box.x0, box.y0, box.x1 - box.x0, box.y1 - box.y0], bbox);
  });
}

for (const { name, size, counts, rows } of SMALL_MASKS) {
  test(`${name}: every pixel is told right`, () => {
    const ends = runEnds(counts);
    const [height, width] = size;
    const { bits } = bitsIn(ends, height, { x0: 0, y0: 0, x1: width, y1: height });
    const drawn = rows.map((_, y) => [...bits.subarray(y * width, (y + 1) * width)]);
    assert.deepEqual(
      drawn,
      rows.map((row) => [...row].map((mark) => Number(mark === "#"))),
    );
    rows.forEach((row, y) => {
      [...row].forEach((mark, x) => assert.equal(contains(ends, height, x, y), mark === "#"));
    });
  });
}

test("what is no run-length mask is refused", () => {
  assert.throws(() => runEnds("<html>"), /not a run-length mask/);
  assert.throws(() => runEnds("Q"), /not a run-length mask/, "cut off in the middle of a number");
});
