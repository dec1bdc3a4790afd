import assert from "node:assert/strict";
import { test } from "node:test";

import { merged } from "../../app/canvas/static/merge.js";

const mark = (id, x = 1, more = {}) => ({ id, type: "point", points: [x, x], ...more });
const [a, b, c] = [mark("a"), mark("b"), mark("c")];
const ids = ({ prompts }) => prompts.map(({ id }) => id);

test("what either added is there", () => {
  const result = merged([a], [a, b], [a, c]);
  assert.deepEqual(ids(result), ["a", "c", "b"]);
  assert.deepEqual(result.conflicts, []);
});

test("what either deleted is gone", () => {
  assert.deepEqual(ids(merged([a, b, c], [b, c], [a, b])), ["b"]);
  assert.deepEqual(ids(merged([a, b], [], [a, b])), []);
  assert.deepEqual(ids(merged([a, b], [a, b], [])), []);
});

test("what either changed is changed", () => {
  const result = merged([a, b], [mark("a", 2), b], [a, mark("b", 3)]);
  assert.deepEqual(result.prompts, [mark("a", 2), mark("b", 3)]);
  assert.deepEqual(result.conflicts, []);
});

test("the same change by both is no conflict, whatever the order of the fields", () => {
  const mine = { points: [2, 2], width: null, type: "point", id: "a" };
  assert.deepEqual(merged([a], [mine], [mark("a", 2)]).conflicts, []);
});

test("a mark that both changed is theirs until mine is chosen", () => {
  const [mine, theirs] = [mark("a", 2), mark("a", 3)];
  const result = merged([a], [mine], [theirs]);
  assert.deepEqual(result, { prompts: [theirs], conflicts: [{ id: "a", mine, theirs }] });
});

test("a mark that I deleted and they changed is a conflict, and stays", () => {
  const theirs = mark("a", 3);
  const result = merged([a], [], [theirs]);
  assert.deepEqual(result, { prompts: [theirs], conflicts: [{ id: "a", mine: null, theirs }] });
});

test("a mark that they deleted and I changed stays as mine", () => {
  const mine = mark("a", 2);
  assert.deepEqual(merged([a], [mine], []), { prompts: [mine], conflicts: [] });
});

test("merging again changes nothing", () => {
  const once = merged([a], [a, b], [a, c]).prompts;
  assert.deepEqual(merged([a, c], once, [a, c]).prompts, once);
});
