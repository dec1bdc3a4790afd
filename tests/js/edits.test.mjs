import assert from "node:assert/strict";
import { test } from "node:test";

import { Editor } from "../../app/canvas/static/edits.js";

const HISTORY = { head: 7, undo: "mark added", redo: null };

/** An editor whose server answers as told to. */
function made({ replies, idle = true, history = HISTORY }) {
  const log = { sent: [], said: [], taken: [], reloaded: [] };
  const store = { image: { id: 3 }, history, readOnly: false };
  const editor = new Editor({
    store,
    saver: { idle: () => Promise.resolve(idle) },
    find: (id) => (id < 10 ? { id, rev: id + 100 } : undefined),
    send: (text) => {
      log.sent.push(JSON.parse(text));
      const reply = replies.shift();
      return reply ? Promise.resolve(reply) : Promise.reject(new Error("offline"));
    },
    take: (imageId, reply) => log.taken.push([imageId, reply]),
    reload: (imageId) => log.reloaded.push(imageId),
    say: (text) => log.said.push(text),
  });
  return { editor, store, log };
}

test("an edit says which revisions it is about, and is told once it is done", async () => {
  const { editor, log } = made({ replies: [{ ok: true }] });
  await editor.run({ do: "delete", ids: [1, 2] }, "2 objects deleted");
  const operation = { do: "delete", ids: [1, 2] };
  const message = { schema: 1, kind: "edit", image_id: 3, operation };
  assert.deepEqual(log.sent, [{ ...message, seen: { 1: 101, 2: 102 } }]);
  assert.deepEqual(log.said, ["2 objects deleted"]);
  assert.equal(log.taken.length, 1);
});

test("undo names the step it means and is not sent where there is none", async () => {
  const { editor, log } = made({ replies: [{ ok: true }] });
  await editor.travel("undo");
  await editor.travel("redo");
  assert.deepEqual(
    log.sent.map(({ operation }) => operation),
    [{ do: "undo", head: 7 }],
  );
  assert.deepEqual(log.said, ["Undone: mark added"]);
});

test("edits are sent one after the other", async () => {
  const { editor, log } = made({ replies: [{ ok: true }, { ok: true }] });
  const first = editor.run({ do: "delete", ids: [1] });
  const second = editor.run({ do: "delete", ids: [2] });
  await first;
  assert.equal(log.taken.length, 1);
  await second;
  assert.equal(log.taken.length, 2);
});

test("what another window has changed is shown, not overwritten", async () => {
  const stale = { ok: false, reason: "stale", message: "changed in another window" };
  const { editor, log } = made({ replies: [stale] });
  assert.equal(await editor.run({ do: "delete", ids: [1] }, "deleted"), null);
  assert.deepEqual([log.said, log.reloaded, log.taken], [[stale.message], [3], []]);
});

test("what the server refuses is said, and the image stays as it is", async () => {
  const refused = { ok: false, reason: "refused", message: "does not cut through" };
  const { editor, log } = made({ replies: [refused] });
  assert.equal(await editor.run({ do: "split", ids: [1], points: [] }), null);
  assert.deepEqual([log.said, log.reloaded], [[refused.message], []]);
});

test("without a server, or with unsaved marks, nothing is claimed", async () => {
  const away = made({ replies: [] });
  assert.equal(await away.editor.travel("undo"), null);
  assert.match(away.log.said[0], /cannot be reached/);
  const unsaved = made({ replies: [{ ok: true }], idle: false });
  assert.equal(await unsaved.editor.travel("undo"), null);
  assert.match(unsaved.log.said[0], /not saved yet/);
  assert.deepEqual(unsaved.log.sent, []);
});

test("what was done to an image is not lost when another one is shown meanwhile", async () => {
  const changed = { ok: true, instances: [{ id: 1, rev: 102 }] };
  const { editor, store, log } = made({ replies: [changed, { ok: true }] });
  const first = editor.run({ do: "outline", ids: [1], rings: [] }, "Outline changed");
  const second = editor.run({ do: "decide", ids: [1], status: "accepted" });
  const third = editor.travel("undo");
  store.image = { id: 4 };
  assert.equal(editor.isBusy, true);
  await Promise.all([first, second]);
  // The second is about the object as the first has left it.
  assert.deepEqual(
    log.sent.map(({ image_id, seen }) => [image_id, seen]),
    [[3, { 1: 101 }], [3, { 1: 102 }]],
  );
  assert.deepEqual(log.taken.map(([imageId]) => imageId), [3, 3]);
  assert.deepEqual(log.said, []);
  // Which step is meant is not known any more.
  assert.equal(await third, null);
  await editor.turn;
  assert.equal(editor.isBusy, false);
});
