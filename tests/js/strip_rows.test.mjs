import assert from "node:assert/strict";
import { test } from "node:test";

import { inSight, neighbourAt, rowsOf, withHeads } from "../../app/ui/static/strip_rows.js";

const card = (id, sequence_id = null, status = "unmarked") => ({ id, sequence_id, status });
const SEQUENCES = [{ id: 7, name: "walk" }, { id: 9, name: "none of it is shown" }];
const CARDS = [card(1), card(2, 7, "reviewed"), card(3, 7), card(4, 7, "empty"), card(5)];
const SIZES = { columns: 2, card: 100, head: 30 };
const ids = (items) => items.map(({ id }) => id);

test("a sequence has a head with its counts; folded, only the head", () => {
  const strip = { sequences: SEQUENCES, folded: [], currentId: 3 };
  const items = withHeads(CARDS, strip);
  assert.deepEqual(ids(items), [1, "sequence-7", 2, 3, 4, 5]);
  const { name, frames, reviewed, at, isFolded } = items[1];
  assert.deepEqual([name, frames, reviewed, at, isFolded], ["walk", 3, 2, 2, false]);
  assert.deepEqual(items.map(({ current }) => current), [false, undefined, false, true, false, false]);
  const folded = withHeads(CARDS, { ...strip, folded: [7] });
  assert.deepEqual(ids(folded), [1, "sequence-7", 5]);
  assert.deepEqual([folded[1].frames, folded[1].at, folded[2].place, folded[2].total], [3, 2, 5, 5]);
  assert.deepEqual(ids(withHeads(CARDS, { ...strip, sequences: [] })), [1, 2, 3, 4, 5]);
});

test("a head has a row of its own, and arrows lead past it", () => {
  const items = withHeads(CARDS, { sequences: SEQUENCES, folded: [], currentId: 1 });
  const rows = rowsOf(items, SIZES);
  assert.deepEqual(
    rows.map(({ top, first, last }) => [top, ids(items.slice(first, last))]),
    [[0, [1]], [100, ["sequence-7"]], [130, [2, 3]], [230, [4, 5]]],
  );
  const from = (index) =>
    ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"].map((key) => neighbourAt(rows, index, key));
  assert.deepEqual(from(0), [undefined, 1, undefined, 1]);
  assert.deepEqual(from(1), [0, 2, 0, 2]);
  assert.deepEqual(from(3), [2, 4, 1, 5]);
  assert.deepEqual(from(5), [4, undefined, 3, undefined]);
});

test("of a long list only rows in sight are made, wherever it is scrolled to", () => {
  const cards = Array.from({ length: 2000 }, (_, id) => card(id, id % 400 < 200 ? 7 : null));
  const items = withHeads(cards, { sequences: SEQUENCES, folded: [], currentId: 0 });
  const rows = rowsOf(items, SIZES);
  const end = rows.at(-1).top + rows.at(-1).height;
  for (let scroll = 0; scroll <= end; scroll += 977) {
    const seen = inSight(rows, { scroll, extent: 600 });
    const made = rows.filter(({ first }) => first >= seen.first && first < seen.last);
    assert.ok(made.length >= 2 && made.length <= 12);
    assert.ok(seen.before <= scroll);
    assert.ok(end - seen.after >= Math.min(scroll + 600, end));
    // What is made and the room before and after are as long as everything.
    const height = made.reduce((sum, row) => sum + row.height, 0);
    assert.equal(seen.before + height + seen.after, end);
  }
  const none = { first: 0, last: 0, before: 0, after: 0 };
  assert.deepEqual(inSight([], { scroll: 500, extent: 600 }), none);
});
