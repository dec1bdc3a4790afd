import assert from "node:assert/strict";
import test from "node:test";

import { perImage } from "../../app/ui/static/statistics.js";

test("numbers of instances that go far are counted in groups of equal width", () => {
  const few = perImage([[0, 2], [2, 1]]);
  assert.deepEqual(few.map(({ label, parts }) => [label, ...parts]), [["0", 2], ["1", 0], ["2", 1]]);
  const many = perImage([[0, 1], [9, 2], [10, 4], [99, 3]], 10);
  assert.deepEqual(many.map(({ parts: [images] }) => images), [3, 4, 0, 0, 0, 0, 0, 0, 0, 3]);
  assert.equal(many[9].name, "90–99 instances: 3 images");
  assert.equal(perImage([])[0].name, "0 instances: 0 images");
});
