/**
 * The marks of two people who edited the same image at once. Both began with `base`; whatever only
 * one of them added, changed or deleted counts. No DOM.
 */

/**
 * @typedef {{id: string, mine: object | null, theirs: object}} Conflict a mark that both changed;
 *   `mine` is null where I have deleted it.
 * @param {object[]} base the marks that both began with.
 * @param {object[]} mine
 * @param {object[]} theirs
 * @returns {{prompts: object[], conflicts: Conflict[]}} theirs and mine together. Of a mark in
 *   conflict theirs is taken, and mine can still be chosen; a mark that they deleted and I changed
 *   stays as mine.
 */
export function merged(base, mine, theirs) {
  const [before, here, there] = [base, mine, theirs].map(byId);
  const conflicts = [];
  const prompts = [];
  for (const other of theirs) {
    const [old, own] = [before.get(other.id), here.get(other.id) ?? null];
    const [iChanged, theyChanged] = [!same(old, own), !same(old, other)];
    const differ = iChanged && theyChanged && !same(own, other);
    if (differ) conflicts.push({ id: other.id, mine: own, theirs: other });
    const kept = iChanged && !theyChanged ? own : other;
    if (kept) prompts.push(kept);
  }
  const added = mine.filter(({ id }) => !there.has(id));
  prompts.push(...added.filter((own) => !same(before.get(own.id), own)));
  return { prompts, conflicts };
}

function byId(prompts) {
  return new Map(prompts.map((prompt) => [prompt.id, prompt]));
}

/** Whether two marks, or their absence, are the same; fields that are not set do not count. */
function same(one, other) {
  return text(one) === text(other);
}

function text(prompt) {
  const fields = Object.entries(prompt ?? {}).filter(([, value]) => value !== null);
  return JSON.stringify(fields.sort(([a], [b]) => (a < b ? -1 : 1)));
}
