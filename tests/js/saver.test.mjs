import assert from "node:assert/strict";
import { test } from "node:test";

import { Saver } from "../../app/canvas/static/saver.js";

const MARKS = [[{ id: "a" }], [{ id: "a" }, { id: "b" }], [{ id: "c" }]];

/** A saver whose server answers when told to, and whose clock strikes when told to. */
function made() {
  const log = { sent: [], asked: [], merged: [], states: [], saved: [], timers: [] };
  const saver = new Saver({
    send: (text) =>
      new Promise((resolve, reject) => log.sent.push({ ...JSON.parse(text), resolve, reject })),
    fetchMarks: () => new Promise((resolve, reject) => log.asked.push({ resolve, reject })),
    onMerged: (imageId, { prompts, conflicts }) => log.merged.push({ prompts, conflicts }),
    onState: ({ kind }) => log.states.push(kind),
    onSaved: (saved) => log.saved.push(saved),
    later: (callback, ms) => log.timers.push({ callback, ms }),
  });
  saver.track(1, 10, []);
  saver.track(2, 20, []);
  return { saver, log };
}

async function answer(request, reply) {
  if (reply) request.resolve(reply);
  else request.reject(new Error("offline"));
  await new Promise((resolve) => setImmediate(resolve));
}

test("an edit is sent at once with the revision it was made from", async () => {
  const { saver, log } = made();
  saver.put(1, MARKS[0]);
  const [{ kind, image_id, base_rev, prompts }] = log.sent;
  assert.deepEqual(
    { kind, image_id, base_rev, prompts },
    { kind: "prompts", image_id: 1, base_rev: 10, prompts: MARKS[0] },
  );
  assert.ok(saver.isDirty);
  await answer(log.sent[0], { ok: true, rev: 11 });
  assert.deepEqual(log.states, ["saving", "saved"]);
  assert.deepEqual(log.saved, [{ image_id: 1, rev: 11, count: 1 }]);
  assert.ok(!saver.isDirty);
});

test("edits during a save wait; each is a step, made from the revision before it", async () => {
  const { saver, log } = made();
  for (const marks of MARKS) saver.put(1, marks, marks === MARKS[2] ? "move c" : null);
  assert.equal(log.sent.length, 1);
  assert.deepEqual(saver.unsaved(1), MARKS[2]);
  for (let i = 0; i < 3; i += 1) await answer(log.sent[i], { ok: true, rev: 11 + i });
  assert.deepEqual(
    log.sent.map(({ base_rev, prompts, merge_key }) => [base_rev, prompts, merge_key]),
    [
      [10, MARKS[0], null],
      [11, MARKS[1], null],
      [12, MARKS[2], "move c"],
    ],
  );
  assert.deepEqual(log.states.slice(-1), ["saved"]);
});

test("whoever waits learns that all is saved, or that it is not", async () => {
  const { saver, log } = made();
  assert.equal(await saver.idle(), true);
  saver.put(1, MARKS[0]);
  const saved = saver.idle();
  await answer(log.sent[0], { ok: true, rev: 11 });
  assert.equal(await saved, true);
  saver.put(1, MARKS[1]);
  const lost = saver.idle();
  await answer(log.sent[1], null);
  assert.equal(await lost, false);
  assert.equal(await saver.idle(), false, "as long as the server is away");
});

test("another image does not push an unsaved one aside", async () => {
  const { saver, log } = made();
  saver.put(1, MARKS[0]);
  saver.put(1, MARKS[1]);
  saver.put(2, MARKS[2]);
  await answer(log.sent[0], { ok: true, rev: 11 });
  await answer(log.sent[1], { ok: true, rev: 12 });
  await answer(log.sent[2], { ok: true, rev: 21 });
  assert.deepEqual(
    log.sent.map(({ image_id, prompts }) => [image_id, prompts]),
    [
      [1, MARKS[0]],
      [1, MARKS[1]],
      [2, MARKS[2]],
    ],
  );
});

test("without a server nothing is lost: it is tried again, less and less often", async () => {
  const { saver, log } = made();
  saver.put(1, MARKS[0]);
  for (let i = 0; i < 7; i += 1) {
    await answer(log.sent[i], null);
    log.timers[i].callback();
  }
  assert.deepEqual(
    log.timers.map(({ ms }) => ms),
    [1000, 2000, 5000, 10000, 30000, 30000, 30000],
  );
  assert.deepEqual(saver.unsaved(1), MARKS[0]);
  await answer(log.sent[7], { ok: true, rev: 11 });
  assert.equal(log.states.at(-1), "saved");
});

test("an old timer does not send twice", async () => {
  const { saver, log } = made();
  saver.put(1, MARKS[0]);
  await answer(log.sent[0], null);
  saver.retry();
  log.timers[0].callback();
  assert.equal(log.sent.length, 2);
  await answer(log.sent[1], { ok: true, rev: 11 });
  log.timers[0].callback();
  assert.equal(log.sent.length, 2);
});

test("what the server refuses is kept, and sent again when asked to", async () => {
  const { saver, log } = made();
  saver.put(1, MARKS[0]);
  await answer(log.sent[0], { ok: false, reason: "refused", message: "disk full" });
  assert.equal(log.states.at(-1), "refused");
  assert.equal(log.timers.length, 0);
  saver.put(1, MARKS[1]);
  saver.retry();
  assert.deepEqual(log.sent.at(-1).prompts, MARKS[1]);
});

test("marks of somebody else are merged with those drawn meanwhile", async () => {
  const { saver, log } = made();
  const [mine, others, more] = [{ id: "mine" }, { id: "others" }, { id: "more" }];
  saver.put(1, [mine]);
  await answer(log.sent[0], { ok: false, reason: "stale", message: "changed elsewhere" });
  saver.put(1, [mine, more]);
  assert.equal(log.sent.length, 1, "nothing is sent before the server's marks are here");
  await answer(log.asked[0], { rev: 15, prompts: [others] });
  assert.equal(log.sent[1].base_rev, 15);
  assert.deepEqual(log.sent[1].prompts, [others, mine, more]);
  assert.deepEqual(log.merged[0].prompts, [others, mine, more]);
  await answer(log.sent[1], { ok: true, rev: 16 });
  assert.ok(!saver.isDirty);
});

test("what both changed is theirs, and told as a conflict", async () => {
  const { saver, log } = made();
  const mark = (x) => ({ id: "a", points: [x, x] });
  saver.put(1, [mark(1)]);
  await answer(log.sent[0], { ok: true, rev: 11 });
  saver.put(1, [mark(2)]);
  await answer(log.sent[1], { ok: false, reason: "stale", message: "changed elsewhere" });
  await answer(log.asked[0], { rev: 12, prompts: [mark(3)] });
  assert.deepEqual(log.merged[0].conflicts, [{ id: "a", mine: mark(2), theirs: mark(3) }]);
  assert.deepEqual(log.sent[2].prompts, [mark(3)]);
});

test("a server that is lost while marks are merged is asked again", async () => {
  const { saver, log } = made();
  saver.put(1, MARKS[0]);
  await answer(log.sent[0], { ok: false, reason: "stale", message: "changed elsewhere" });
  await answer(log.asked[0], null);
  assert.equal(log.states.at(-1), "offline");
  log.timers[0].callback();
  assert.deepEqual(log.sent[1].prompts, MARKS[0]);
});

test("marks of an image that is gone are not kept for ever", async () => {
  const { saver, log } = made();
  saver.put(1, MARKS[0]);
  await answer(log.sent[0], { ok: false, reason: "gone", message: "no such image" });
  assert.ok(!saver.isDirty);
});

test("a revision from the server does not replace the base of an unsaved edit", () => {
  const { saver, log } = made();
  saver.put(1, MARKS[0]);
  saver.track(1, 99, MARKS[1]);
  assert.equal(log.sent[0].base_rev, 10);
  assert.equal(saver.revs.get(1), 10);
});
