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

test("every edit can be undone and done again", () => {
  const store = loaded();
  store.addPrompt(point("b"));
  store.removePrompt("a");
  store.replacePrompt(point("b", 9));
  assert.deepEqual(ids(store), ["b"]);
  for (let i = 0; i < 3; i += 1) store.undo();
  assert.deepEqual(ids(store), ["a"]);
  assert.equal(store.canUndo, false);
  for (let i = 0; i < 3; i += 1) store.redo();
  assert.deepEqual(store.prompts, [point("b", 9)]);
});

test("a new edit ends what could be done again", () => {
  const store = loaded();
  store.addPrompt(point("b"));
  store.undo();
  store.addPrompt(point("c"));
  assert.equal(store.canRedo, false);
  assert.deepEqual(ids(store), ["a", "c"]);
});

test("steps with the same key are undone together, others are not", () => {
  const store = loaded();
  for (const x of [6, 7, 8]) store.replacePrompt(point("a", x), "move a");
  store.undo();
  assert.deepEqual(store.prompts, [point("a")]);
  store.replacePrompt(point("a", 6), "move a");
  assert.equal(store.past.length, 1, "after an undo a new step begins");
});

test("deleting an instance is told, and undoing it too", () => {
  const store = loaded();
  store.select({ instanceId: 4 });
  store.deleteInstance(4);
  assert.equal(store.selectedInstanceId, null);
  store.undo();
  const told = store.heard.filter((change) => change.deleted || change.restored);
  assert.deepEqual(told, [{ deleted: 4 }, { restored: 4 }]);
  assert.ok(!store.heard.includes("prompts"), "the marks did not change, nothing is to be saved");
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
