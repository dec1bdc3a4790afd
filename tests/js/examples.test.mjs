import assert from "node:assert/strict";
import { test } from "node:test";

import { addExample } from "../../app/canvas/static/examples.js";
import { Store } from "../../app/canvas/static/store.js";

const RLE = { size: [4, 4], counts: "53:" };

function loaded() {
  const store = new Store();
  store.load(
    { image_id: 1, categories: [{ id: 3, name: "coin" }, { id: 4, name: "cup" }] },
    [],
  );
  return store;
}

test("a found object becomes a mask of its category, as an edit of the marks", () => {
  const store = loaded();
  const said = addExample(store, { categoryId: 3, rle: RLE }, "U");
  assert.equal(said, "Now a reference of coin; U takes it back");
  const [prompt] = store.prompts;
  assert.ok(prompt.id);
  assert.deepEqual(
    { ...prompt, id: "" },
    { id: "", type: "mask", category_id: 3, positive: true, rle: RLE },
  );
  assert.ok(store.canUndo);
});

test("the same object is no second example of its category, but may be one of another", () => {
  const store = loaded();
  addExample(store, { categoryId: 3, rle: RLE }, "");
  assert.match(addExample(store, { categoryId: 3, rle: { ...RLE } }, ""), /already/);
  assert.equal(store.prompts.length, 1);
  addExample(store, { categoryId: 4, rle: RLE }, "");
  addExample(store, { categoryId: 3, rle: { ...RLE, counts: "62:" } }, "");
  assert.equal(store.prompts.length, 3);
});
