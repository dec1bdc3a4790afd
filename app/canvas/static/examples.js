/** Found objects as examples of what to look for. No DOM. */
import { newId } from "./ids.js";

/**
 * Mark the object with its own mask, unless that is marked already.
 * @param {import("./store.js").Store} store
 * @param {{categoryId: number, rle: {size: number[], counts: string}}} found
 * @param {string} undoKey the key that undoes; "" if there is none.
 * @returns {string} what has happened, in words.
 */
export function addExample(store, { categoryId, rle }, undoKey) {
  const name = store.category(categoryId)?.name ?? "its category";
  const same = (prompt) =>
    prompt.type === "mask" &&
    prompt.positive &&
    prompt.category_id === categoryId &&
    prompt.rle.counts === rle.counts;
  if (store.prompts.some(same)) return `This object is a reference of ${name} already`;
  store.addPrompt({ id: newId(), type: "mask", category_id: categoryId, positive: true, rle });
  return `Now a reference of ${name}${undoKey && `; ${undoKey} takes it back`}`;
}
