/** The head of a sequence in the filmstrip: its name and counts; it folds the frames away. */
import { h, icon } from "./dom.js";

/**
 * @param {object} head of `withHeads`
 * @param {(sequenceId: number) => void} fold
 */
export function sequenceHead({ sequence_id, name, frames, reviewed, at, isFolded }, fold) {
  const count = `${reviewed.toLocaleString()} of ${frames.toLocaleString()} reviewed`;
  return h(
    "li",
    { class: `st-sequence ${at ? "is-current" : ""}` },
    h(
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
    ),
  );
}
