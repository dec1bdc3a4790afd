import assert from "node:assert/strict";
import { test } from "node:test";

import { Store } from "../../app/canvas/static/store.js";

const CATEGORIES = [
  { id: 1, name: "coin", color: "#ff0000" },
  { id: 2, name: "bus", color: "#0000ff" },
];

function point(id, x = 5) {
  return { id, type: "point", category_id: 1, positive: true, points: [x, 5] };
}

function loaded(changes = {}) {
  const store = new Store();
  const document = { image_id: 7, url: "u", width: 10, height: 10, read_only: false };
  store.load({ ...document, categories: CATEGORIES, score_threshold: 0.5, ...changes }, [
    point("a"),
  ]);
  store.heard = [];
  store.subscribe((change) => store.heard.push(change));
  return store;
}

const ids = (store) => store.prompts.map(({ id }) => id);

test("what can be undone and redone is what the server says", () => {
  const store = loaded({ history: { head: 4, undo: "mark added", redo: null } });
  assert.ok(store.canUndo && !store.canRedo);
  store.receive({ history: { head: 3, undo: null, redo: "mark added" }, prompts: [] });
  assert.ok(!store.canUndo && store.canRedo);
  assert.deepEqual(store.prompts, []);
  assert.ok(!store.heard.includes("prompts"), "it is not to be saved again");
});

test("with a new edit there is something to undo at once, and nothing to redo any more", () => {
  const store = loaded({ history: { head: 3, undo: null, redo: "mark added" } });
  store.addPrompt(point("c"));
  assert.ok(store.canUndo && !store.canRedo);
  assert.deepEqual(ids(store), ["a", "c"]);
  store.setHistory({ head: 5, undo: "mark added", redo: null });
  assert.equal(store.history.head, 5);
});

test("edits say with which others they are undone together", () => {
  const store = loaded();
  store.replacePrompt(point("a", 6), "move a");
  assert.equal(store.mergeKey, "move a");
  store.addPrompt(point("b"));
  assert.equal(store.mergeKey, null);
});

test("several instances are selected, and those that are gone no longer are", () => {
  const store = loaded();
  store.select({ instanceIds: [4] });
  store.toggleInstance(5);
  store.toggleInstance(6);
  store.toggleInstance(4);
  assert.deepEqual(store.selectedInstanceIds, [5, 6]);
  assert.equal(store.selectedInstanceId, 6);
  store.receive({ history: store.history, removed: [6] });
  assert.deepEqual(store.selectedInstanceIds, [5]);
  store.select({ promptId: "a" });
  assert.deepEqual(store.selectedInstanceIds, []);
});

test("a mark that goes takes its selection along", () => {
  const store = loaded();
  store.select({ promptId: "a" });
  store.removePrompt("a");
  assert.equal(store.selectedPrompt, null);
  assert.equal(store.selectedPromptId, null);
});

test("another image has a history of its own", () => {
  const store = loaded();
  store.addPrompt(point("b"));
  assert.ok(store.canUndo);
  store.load({ image_id: 8, url: "v", width: 5, height: 5 }, []);
  assert.equal(store.canUndo, false);
  assert.deepEqual(store.prompts, []);
});

test("the active category stays while it exists, else the first takes its place", () => {
  const store = loaded();
  store.activate(2);
  store.update({ categories: CATEGORIES });
  assert.equal(store.activeCategory.name, "bus");
  store.update({ categories: CATEGORIES.slice(0, 1) });
  assert.equal(store.activeCategory.name, "coin");
  store.update({ categories: [] });
  assert.equal(store.activeCategory, null);
});

test("an update changes what it names only", () => {
  const store = loaded({ results_url: "r" });
  store.addPrompt(point("b"));
  store.update({ score_threshold: 0.2 });
  assert.deepEqual(ids(store), ["a", "b"]);
  assert.equal(store.resultsUrl, "r");
  assert.equal(store.scoreThreshold, 0.2);
  assert.ok(store.canUndo);
});
