/** The head of a sequence in the filmstrip: its name and counts; it folds the frames away. */
import { editInPlace, h, icon, iconButton } from "./dom.js";

/**
 * @param {object} head of `withHeads`
 * @param {(sequenceId: number) => void} fold
 * @param {(sequenceId: number, name: string) => void} rename
 */
export function sequenceHead({ sequence_id, name, frames, reviewed, at, isFolded }, fold, rename) {
  const count = `${reviewed.toLocaleString()} of ${frames.toLocaleString()} reviewed`;
  const toggle = h(
    "button",
    {
      type: "button",
      class: "st-section-toggle",
      "data-focus": "open",
      "aria-expanded": String(!isFolded),
      title: `${name}: ${frames.toLocaleString()} frames, ${count}${at ? `; frame ${at} is open` : ""}`,
      onclick: () => fold(sequence_id),
    },
    icon("chevron"),
    h("span", { class: "st-sequence-name" }, name),
    h("span", { class: "st-subtle" }, at && isFolded ? `${at} / ${frames}` : `${reviewed} / ${frames}`),
    h("span", { class: "st-hidden" }, `, ${count}${at ? `, frame ${at} is open` : ""}`),
  );
  const pencil = iconButton("pencil", `Rename ${name}`, () => {
    const save = (text) => rename(sequence_id, text);
    editInPlace(toggle, { value: name, name: "Name of the sequence", save });
  });
  return h("li", { class: `st-sequence ${at ? "is-current" : ""}` }, toggle, pencil);
}
