/** How the filmstrip lies: heads of sequences, rows of cards, what of it is in sight. No DOM. */

/**
 * Put a head before the frames of each sequence, and leave out those of folded ones.
 * @param {object[]} cards that are shown, frames of one sequence beside each other
 * @param {{sequences: {id: number, name: string}[], folded: number[], currentId: number}} strip
 * @returns {object[]} cards with their `place` among `total`, and heads, which have `isHead`
 */
export function withHeads(cards, { sequences, folded, currentId }) {
  const names = new Map(sequences.map(({ id, name }) => [id, name]));
  const heads = new Map();
  const items = [];
  cards.forEach((card, index) => {
    const id = card.sequence_id;
    const isCurrent = card.id === currentId;
    if (names.has(id)) {
      if (!heads.has(id)) {
        const isFolded = folded.includes(id);
        const head = { id: `sequence-${id}`, isHead: true, sequence_id: id, name: names.get(id) };
        heads.set(id, { ...head, isFolded, frames: 0, reviewed: 0, at: 0 });
        items.push(heads.get(id));
      }
      const head = heads.get(id);
      head.frames += 1;
      head.reviewed += card.status === "reviewed" || card.status === "empty" ? 1 : 0;
      if (isCurrent) head.at = head.frames;
      if (head.isFolded) return;
    }
    items.push({ ...card, current: isCurrent, place: index + 1, total: cards.length });
  });
  return items;
}

/**
 * Lay items out in rows: as many cards as there are columns, a head alone.
 * @param {{columns: number, card: number, head: number}} sizes heights in pixels (widths, across)
 * @returns {{top: number, height: number, first: number, last: number}[]} the last item not included
 */
export function rowsOf(items, { columns, card, head }) {
  const rows = [];
  let top = 0;
  for (let first = 0; first < items.length; ) {
    let last = first + 1;
    if (!items[first].isHead)
      while (last < items.length && last - first < columns && !items[last].isHead) last += 1;
    const height = items[first].isHead ? head : card;
    rows.push({ top, height, first, last });
    top += height;
    first = last;
  }
  return rows;
}

/**
 * Which of the rows are in sight, with some to spare on both sides.
 * @returns {{first: number, last: number, before: number, after: number}} the last item not
 *   included, and the pixels that the rows left out on both sides would take
 */
export function inSight(rows, { scroll, extent }, spare = 2) {
  const end = rows.length ? rows.at(-1).top + rows.at(-1).height : 0;
  const from = rows.findIndex(({ top, height }) => top + height > scroll);
  if (from < 0) {
    const last = rows.slice(-spare);
    return { first: last[0]?.first ?? 0, last: last.at(-1)?.last ?? 0, before: last[0]?.top ?? 0, after: 0 };
  }
  let to = from;
  while (to < rows.length && rows[to].top < scroll + extent) to += 1;
  const seen = rows.slice(Math.max(0, from - spare), to + spare);
  const below = seen.at(-1);
  return {
    first: seen[0].first,
    last: below.last,
    before: seen[0].top,
    after: end - below.top - below.height,
  };
}

/** The item to which an arrow key leads from the one with this index; undefined at an end. */
export function neighbourAt(rows, index, key) {
  const at = rows.findIndex(({ first, last }) => first <= index && index < last);
  if (at < 0) return undefined;
  const end = rows.at(-1).last;
  const sideways = { ArrowLeft: index - 1, ArrowRight: index + 1 }[key];
  if (sideways !== undefined) return sideways >= 0 && sideways < end ? sideways : undefined;
  const row = rows[at + { ArrowUp: -1, ArrowDown: 1 }[key]];
  return row && Math.min(row.first + index - rows[at].first, row.last - 1);
}
