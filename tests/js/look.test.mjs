import assert from "node:assert/strict";
import { test } from "node:test";

import * as look from "../../app/canvas/static/look.js";
import { Store } from "../../app/canvas/static/store.js";
import { isShown, withThreshold } from "../../app/ui/static/thresholds.js";

const categories = [
  { id: 3, name: "bolt", color: "#112233" },
  { id: 8, name: "nut", color: "#445566" },
];
const store = { categories, category: (id) => categories.find((one) => one.id === id) };

test("colours tell categories apart, or instances; patterns tell categories", () => {
  const found = { id: 40, categoryId: 8 };
  assert.deepEqual(look.lookOf(found, store, { colorBy: "category", pattern: false }), {
    color: "#445566",
    hatch: null,
  });
  const own = look.lookOf(found, store, { colorBy: "instance", pattern: true });
  assert.equal(own.hatch, 1);
  assert.match(own.color, /^#[0-9a-f]{6}$/);
  const colors = Array.from({ length: 60 }, (_, id) => look.instanceColor(id));
  assert.equal(new Set(colors).size, 60);
});

test("objects of a hidden category are not drawn", () => {
  assert.ok(look.isVisible({ categoryId: 3 }, { hidden: [8] }));
  assert.ok(!look.isVisible({ categoryId: 8 }, { hidden: [8] }));
});

test("a category's own threshold goes before that of all, on the canvas and beside it", () => {
  const canvas = new Store();
  canvas.setThreshold(0.5);
  canvas.setCategoryThreshold(8, 0.2);
  assert.deepEqual([canvas.thresholdOf(3), canvas.thresholdOf(8)], [0.5, 0.2]);
  canvas.setCategoryThreshold(8, null);
  assert.equal(canvas.thresholdOf(8), 0.5);

  const chosen = { score_threshold: 0.5, category_thresholds: withThreshold({}, { category_id: 8, score_threshold: 0.2 }) };
  const shown = (category_id, score, status = "proposed") =>
    isShown({ category_id, score, status }, chosen);
  assert.deepEqual([shown(3, 0.4), shown(3, 0.5), shown(8, 0.2), shown(8, 0.1)], [false, true, true, false]);
  assert.deepEqual([shown(3, 0, "accepted"), shown(8, 1, "rejected")], [true, false]);
  assert.deepEqual(withThreshold(chosen.category_thresholds, { category_id: 8, score_threshold: null }), {});
});
