import assert from "node:assert/strict";
import { test } from "node:test";

import { decoded, instanceAt, passes, updated } from "../../app/canvas/static/results.js";
import { mask } from "./masks.mjs";

const IMAGE = { width: 60, height: 40 };
const [block, ring] = [mask("block"), mask("block with a hole")];

function document() {
  const instances = [
    { id: 1, category_id: 1, score: 0.4, status: "proposed", z_order: 0, counts: ring.counts },
    { id: 2, category_id: 1, score: 0.2, status: "accepted", z_order: 0, counts: block.counts },
  ];
  return { schema: 1, run_id: 3, size: block.size, instances };
}

test("large instances come first, to be painted below small ones", () => {
  const { instances } = decoded(document());
  assert.deepEqual(
    instances.map(({ id, area }) => [id, area]),
    [
      [2, 100],
      [1, 88],
    ],
  );
});

test("the smallest instance at a place is found, at image scale; holes are not inside", () => {
  const all = decoded(document());
  const found = (x, y) => instanceAt(all, all.instances, { x, y }, IMAGE)?.id;
  assert.equal(found(14, 10), 1);
  assert.equal(found(20, 16), 2, "in the hole of 1");
  assert.equal(found(5, 5), undefined);
  assert.equal(found(-1, 10), undefined);
});

test("an empty mask is left out instead of breaking the rest", () => {
  const received = document();
  const { counts } = mask("empty");
  const more = { id: 9, category_id: 1, score: 1, status: "proposed", z_order: 0, counts };
  received.instances.push(more);
  assert.deepEqual(
    decoded(received).instances.map(({ id }) => id),
    [2, 1],
  );
});

test("the threshold lets equal scores and all accepted ones through", () => {
  assert.ok(passes({ status: "proposed", score: 0.5 }, 0.5));
  assert.ok(!passes({ status: "proposed", score: 0.49 }, 0.5));
  assert.ok(passes({ status: "accepted", score: 0.1 }, 0.5));
  assert.ok(!passes({ status: "rejected", score: 0.9 }, 0.5));
});

test("what was changed takes the place of what was there, brought forward it lies on top", () => {
  const all = decoded(document());
  const [ringFirst] = document().instances;
  const after = updated(all, [{ ...ringFirst, z_order: -1, rev: 4 }], []);
  assert.deepEqual(
    after.instances.map(({ id, rev }) => [id, rev]),
    [
      [1, 4],
      [2, undefined],
    ],
  );
  assert.deepEqual(
    updated(after, [], [1]).instances.map(({ id }) => id),
    [2],
  );
  assert.equal(all.instances.length, 2);
});
