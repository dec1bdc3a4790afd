import assert from "node:assert/strict";
import { test } from "node:test";

import { actionFor } from "../../app/canvas/static/keymap.js";

const press = (key, held = {}) =>
  actionFor({ key, ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, ...held });

test("letters choose tools, also with caps lock", () => {
  assert.deepEqual(press("b"), ["tool", "box"]);
  assert.deepEqual(press("B"), ["tool", "box"]);
});

test("digits choose categories, counted from the first", () => {
  assert.deepEqual(press("1"), ["category", 0]);
  assert.deepEqual(press("9"), ["category", 8]);
  assert.equal(press("0"), null);
});

test("undo and redo by either habit, on a Mac too", () => {
  assert.deepEqual(press("z", { ctrlKey: true }), ["undo"]);
  assert.deepEqual(press("Z", { metaKey: true, shiftKey: true }), ["redo"]);
  assert.deepEqual(press("y", { ctrlKey: true }), ["redo"]);
});

test("the browser keeps its own shortcuts", () => {
  assert.equal(press("s", { ctrlKey: true }), null);
  assert.equal(press("l", { ctrlKey: true }), null);
  assert.equal(press("b", { altKey: true }), null);
  assert.equal(press("Tab"), null);
  assert.equal(press("constructor"), null);
});

test("arrows move by one, with shift by ten", () => {
  assert.deepEqual(press("ArrowLeft"), ["move", [-1, 0]]);
  assert.deepEqual(press("ArrowDown", { shiftKey: true }), ["move", [0, 10]]);
});
