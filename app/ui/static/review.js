/** Below the photo: mark it as reviewed and go on, or step to what is not. */
import { h, hear, icon, tell } from "./dom.js";
import { keyButton, keyed, withKey } from "./keys.js";
import { STATUSES } from "./strip.js";

export function mount({ element }) {
  const act = (does) => tell("page", { does });
  const status = h("span", { class: "st-review-status", role: "status" });
  const mark = h("button", {
    type: "button",
    class: "st-button",
    onclick: () => act("review"),
  });
  const bar = h(
    "div",
    { class: "st-review", role: "group", "aria-label": "Review", hidden: true },
    keyButton("left", "Image before that is not reviewed", "unreviewed-before", () =>
      act("unreviewed-before"),
    ),
    status,
    mark,
    keyButton("right", "Next image that is not reviewed", "unreviewed-after", () =>
      act("unreviewed-after"),
    ),
  );
  element.replaceChildren(bar);
  hear(element, "review", ({ status: current }) => {
    bar.hidden = current === null;
    if (current === null) return;
    const { word, icon: name, means } = STATUSES[current];
    const isReviewed = current === "reviewed" || current === "empty";
    status.className = `st-review-status is-${current}`;
    status.title = means;
    status.replaceChildren(icon(name), word);
    mark.replaceChildren(isReviewed ? "Review again" : "Reviewed, next");
    if (!isReviewed) mark.prepend(icon("check"));
    const says = isReviewed
      ? "Take it back: what only the review accepted is a proposal again"
      : "Accept what is shown and go on to the next image that is not reviewed";
    keyed(mark, () => (mark.title = withKey(says, "review")));
  });
  tell("review-asked", null);
}
