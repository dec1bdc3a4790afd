import assert from "node:assert/strict";
import { test } from "node:test";

import {
  areaOf,
  boxOf,
  countsOf,
  endsOf,
  nothing,
  runEnds,
  shifted,
  spansOf,
  united,
  without,
} from "../../app/canvas/static/rle.js";
import { endsOfRows, MASKS, rowsOf } from "./masks.mjs";

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

for (const { name, size, counts, rows } of MASKS) {
  test(`${name}: written as pycocotools writes it, also after a round trip by columns`, () => {
    const [height, width] = size;
    const ends = runEnds(counts);
    assert.equal(countsOf(ends), counts);
    assert.equal(countsOf(endsOf(spansOf(ends, height), { width, height })), counts);
    if (rows) assert.deepEqual(rowsOf(ends, { width, height }), rows);
  });
}

test("what is united, cut out and moved is so pixel by pixel", () => {
  const size = { width: 6, height: 4 };
  const a = endsOfRows(["##....", "##....", "##..##", "....##"]);
  const b = endsOfRows([".##...", ".##...", "......", "#....#"]);
  const rows = (ends) => rowsOf(ends, size);
  assert.deepEqual(rows(united(a, b)), ["###...", "###...", "##..##", "#...##"]);
  assert.deepEqual(rows(without(a, b)), ["#.....", "#.....", "##..##", "....#."]);
  assert.deepEqual(rows(shifted(a, 1, -1, size)), [".##...", ".##..#", ".....#", "......"]);
  assert.equal(countsOf(without(a, a)), countsOf(nothing(size)));
});

test("what is no run-length mask is refused", () => {
  assert.throws(() => runEnds("<html>"), /not a run-length mask/);
  assert.throws(() => runEnds("Q"), /not a run-length mask/, "cut off in the middle of a number");
});
