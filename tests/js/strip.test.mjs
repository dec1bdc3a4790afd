import assert from "node:assert/strict";
import { test } from "node:test";

import * as strip from "../../app/ui/static/strip.js";

const card = (id, status, more = {}) => ({
  id,
  name: `${id}.png`,
  status,
  uncertainty: 0,
  categories: [],
  is_reference: false,
  is_target: true,
  sequence_id: null,
  frame: 0,
  ...more,
});
const ids = (cards) => cards.map(({ id }) => id);

test("messages build on each other, and a missed one is noticed", () => {
  const first = { base: 0, number: 1, cards: [card(1, "unmarked"), card(2, "unmarked")], order: [1, 2] };
  let known = strip.merged({ number: 0, cards: [] }, first);
  known = strip.merged(known, { base: 1, number: 2, cards: [card(2, "reviewed")], order: null });
  assert.deepEqual(known.cards.map(({ status }) => status), ["unmarked", "reviewed"]);
  known = strip.merged(known, { base: 2, number: 3, cards: [card(3, "unmarked")], order: [3, 2] });
  assert.deepEqual(ids(known.cards), [3, 2]);
  assert.equal(strip.merged(known, { base: 4, number: 5, cards: [], order: null }), null);
  assert.deepEqual(strip.merged(known, { base: 0, number: 9, cards: [], order: [] }).cards, []);
});

test("images are ordered as added, by name with numbers as numbers, or least sure first", () => {
  const cards = [
    card(1, "proposed", { name: "b10", uncertainty: 0.5 }),
    card(2, "proposed", { name: "b9", uncertainty: 2 }),
    card(3, "proposed", { name: "a", uncertainty: 0.5 }),
  ];
  assert.deepEqual(ids(strip.sorted(cards, "added")), [1, 2, 3]);
  assert.deepEqual(ids(strip.sorted(cards, "name")), [3, 2, 1]);
  assert.deepEqual(ids(strip.sorted(cards, "unsure")), [2, 1, 3]);
});

test("filters by status, role and category let through what has all of them", () => {
  const one = card(1, "proposed", { is_reference: true, categories: [4, 7] });
  const filter = (chosen) => strip.passes(one, { ...strip.EVERYTHING, ...chosen });
  assert.ok(filter({}));
  assert.ok(filter({ status: "proposed", role: "is_reference", category: "7" }));
  assert.ok(!filter({ status: "reviewed" }));
  assert.ok(!filter({ category: "5" }));
  assert.ok(!strip.passes(card(2, "empty"), { ...strip.EVERYTHING, role: "is_reference" }));
});

test("the next image that is not reviewed comes round again, and none is no image", () => {
  const cards = [card(1, "proposed"), card(2, "reviewed"), card(3, "empty"), card(4, "unmarked")];
  const open = (one) => !strip.isReviewed(one);
  assert.equal(strip.neighbour(cards, 1, 1, open, true).id, 4);
  assert.equal(strip.neighbour(cards, 4, 1, open, true).id, 1);
  assert.equal(strip.neighbour(cards, 4, -1, open, true).id, 1);
  assert.equal(strip.neighbour(cards, 1, -1, open, true).id, 4);
  assert.equal(strip.neighbour(cards, 4, 1, open), null);
  assert.equal(strip.neighbour(cards, 99, 1, open).id, 1);
  assert.equal(strip.neighbour(cards.slice(1, 3), 2, 1, open, true), null);
});

test("progress counts reviewed and empty images as done", () => {
  const cards = [card(1, "proposed"), card(2, "reviewed"), card(3, "empty"), card(4, "unmarked")];
  const { counts, total, reviewed } = strip.progress(cards);
  assert.deepEqual([total, reviewed], [4, 2]);
  assert.deepEqual(counts, { unmarked: 1, proposed: 1, reviewed: 1, empty: 1 });
});

test("frames of a sequence stand together where the first of them would, in their own order", () => {
  const frame = (id, sequence_id, at, name) => card(id, "unmarked", { sequence_id, frame: at, name });
  const cards = [
    card(1, "unmarked", { name: "b" }),
    frame(2, 7, 1, "f2"),
    card(3, "unmarked", { name: "a" }),
    frame(4, 7, 0, "f1"),
    frame(5, 8, 0, "c"),
  ];
  assert.deepEqual(ids(strip.sorted(cards, "added")), [1, 4, 2, 3, 5]);
  assert.deepEqual(ids(strip.sorted(cards, "name")), [3, 1, 5, 4, 2]);
  // How sure the model is tells about single images.
  assert.deepEqual(ids(strip.sorted(cards, "unsure")), [1, 2, 3, 4, 5]);
  assert.equal(strip.neighbour(strip.sorted(cards, "added"), 4, 1, () => true).id, 2);
});
