import assert from "node:assert/strict";
import test from "node:test";

import { duration } from "../../app/ui/static/format.js";
import { perImage, timeBars } from "../../app/ui/static/statistics.js";

test("numbers of instances that go far are counted in groups of equal width", () => {
  const few = perImage([[0, 2], [2, 1]]);
  assert.deepEqual(few.map(({ label, parts }) => [label, ...parts]), [["0", 2], ["1", 0], ["2", 1]]);
  const many = perImage([[0, 1], [9, 2], [10, 4], [99, 3]], 10);
  assert.deepEqual(many.map(({ parts: [images] }) => images), [3, 4, 0, 0, 0, 0, 0, 0, 0, 3]);
  assert.equal(many[9].name, "90–99 instances: 3 images");
  assert.equal(perImage([])[0].name, "0 instances: 0 images");
});

test("times are told in the units people use", () => {
  const told = [null, 0, 4.25, 9.99, 59.6, 125, 3600, 4860].map(duration);
  assert.deepEqual(told, ["–", "0 s", "4.3 s", "10 s", "1 min", "2 min 5 s", "1 h", "1 h 21 min"]);
  const bin = (low, high) => ({ low, high, reviewed: 1, to_review: 2 });
  const bars = timeBars([bin(5, 10), bin(60, 120), bin(1800, 3600), bin(3600, null)]);
  assert.deepEqual(bars.map(({ label }) => label), ["5–10 s", "1–2 min", "30–60 min", "≥ 1 h"]);
  assert.equal(bars[0].name, "5–10 s: 3 images, 1 reviewed");
});
