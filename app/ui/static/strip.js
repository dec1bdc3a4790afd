/** What the filmstrip holds and shows of it: messages, filters, order, steps, progress. No DOM. */

/** By status: the words on the page, and what they mean. */
export const STATUSES = {
  unmarked: { word: "Unmarked", icon: "circle", means: "never segmented, nothing on it" },
  proposed: { word: "To review", icon: "half", means: "to be looked at" },
  reviewed: { word: "Reviewed", icon: "check", means: "what is shown was accepted" },
  empty: { word: "Empty", icon: "none", means: "reviewed, and nothing is on it" },
};

export const ORDERS = {
  added: { word: "As added", compare: () => 0 },
  name: {
    word: "By name",
    compare: (a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }),
  },
  unsure: {
    word: "Least sure first",
    compare: (a, b) => b.uncertainty - a.uncertainty,
    isOfImages: true,
  },
};

export const EVERYTHING = { status: "", role: "", category: "" };

/**
 * Take in a message of the server, which holds what has changed since the one it builds on.
 * @param {{number: number, cards: object[]}} known
 * @returns {{number: number, cards: object[]} | null} null if a message in between was missed
 */
export function merged(known, { base, number, cards, order }) {
  if (base !== 0 && base !== known.number) return null;
  const byId = new Map(base === 0 ? [] : known.cards.map((card) => [card.id, card]));
  for (const card of cards) byId.set(card.id, card);
  const ids = order ?? known.cards.map(({ id }) => id);
  return { number, cards: ids.map((id) => byId.get(id)) };
}

/**
 * All cards in the chosen order; equal ones stay in the order they were added in. The frames of a
 * sequence stand together, in their own order, where the first of them would: unless the order is
 * one of single images.
 */
export function sorted(cards, order) {
  const inOrder = [...cards].sort(ORDERS[order].compare);
  return ORDERS[order].isOfImages ? inOrder : together(inOrder);
}

function together(cards) {
  const frames = new Map();
  for (const card of cards) {
    if (!frames.has(card.sequence_id)) frames.set(card.sequence_id, []);
    frames.get(card.sequence_id).push(card);
  }
  return cards.flatMap((card) => {
    if (card.sequence_id === null) return [card];
    const own = frames.get(card.sequence_id) ?? [];
    frames.delete(card.sequence_id);
    return own.sort((a, b) => a.frame - b.frame);
  });
}

/** @returns {boolean} whether a card passes the filters; an empty one lets all through. */
export function passes(card, { status, role, category }) {
  return (
    (!status || card.status === status)
    && (!role || card[role])
    && (!category || card.categories.includes(Number(category)))
  );
}

export function isReviewed({ status }) {
  return status === "reviewed" || status === "empty";
}

/**
 * The next card from the current one on for which `wanted` holds.
 * @param {object[]} cards in the order shown, also those that a filter hides: the current may be one
 * @param {1 | -1} step forward or back
 * @param {boolean} around go on at the other end
 */
export function neighbour(cards, currentId, step, wanted, around = false) {
  const at = cards.findIndex(({ id }) => id === currentId);
  const [before, after] = at < 0 ? [[], cards] : [cards.slice(0, at), cards.slice(at + 1)];
  const ahead = step > 0 ? after : before.reverse();
  const behind = step > 0 ? before : after.reverse();
  return ahead.find(wanted) ?? (around ? behind.find(wanted) : undefined) ?? null;
}

/** How many images have each status, and how many were reviewed. */
export function progress(cards) {
  const counts = Object.fromEntries(Object.keys(STATUSES).map((status) => [status, 0]));
  for (const { status } of cards) counts[status] += 1;
  return { counts, total: cards.length, reviewed: counts.reviewed + counts.empty };
}
