import assert from "node:assert/strict";
import { test } from "node:test";

import { Drafts, isUnfinished } from "../../app/canvas/static/drafts.js";

const POLYGON = { type: "polygon", category_id: 7, positive: true, points: [1, 1, 5, 1] };

/** What of a surface counts here, on an image; it notes which tool was taken in hand. */
function surfaceOn(imageId, { draft = null, categories = [7, 8], readOnly = false } = {}) {
  const tools = [];
  return {
    image: { id: imageId },
    draft,
    crosshair: null,
    tools,
    store: {
      image: { id: imageId },
      readOnly,
      activeCategoryId: 8,
      category: (id) => (categories.includes(id) ? { id } : null),
    },
    settings: { set: ({ tool }) => tools.push(tool) },
    keymap: { shown: () => "Enter" },
    say() {},
  };
}

test("what was begun on an image goes on there, once, and nowhere else", () => {
  const drafts = new Drafts();
  drafts.park(surfaceOn(1, { draft: POLYGON }));
  const other = surfaceOn(2);
  drafts.resume(other);
  assert.equal(other.draft, null);
  assert.ok(drafts.any);
  const same = surfaceOn(1);
  drafts.resume(same);
  assert.deepEqual(same.draft, POLYGON);
  assert.deepEqual(same.tools, ["polygon"]);
  assert.ok(!drafts.any);
});

test("the category may have been deleted meanwhile", () => {
  const drafts = new Drafts();
  drafts.park(surfaceOn(1, { draft: POLYGON }));
  const surface = surfaceOn(1, { categories: [8] });
  drafts.resume(surface);
  assert.equal(surface.draft.category_id, 8);
});

test("outlines and strokes on their way to the server are not put by", () => {
  const drafts = new Drafts();
  drafts.park(surfaceOn(1, { draft: { type: "outline", rings: [] } }));
  drafts.park(surfaceOn(1, { draft: { type: "scribble", isSent: true } }));
  drafts.park(surfaceOn(1));
  assert.ok(!drafts.any);
  assert.ok(isUnfinished(POLYGON));
});

test("what was begun on an image that was deleted is given up, shown or not", () => {
  const drafts = new Drafts();
  drafts.park(surfaceOn(1, { draft: POLYGON }));
  drafts.forget([1, 2]);
  drafts.park(surfaceOn(2, { draft: POLYGON }));
  assert.ok(!drafts.any);
  drafts.park(surfaceOn(3, { draft: POLYGON }));
  assert.ok(drafts.any);
});
