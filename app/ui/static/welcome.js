/** What a project without images shows in place of the canvas: the two ways to begin. */
import { follow, h, icon, tell } from "./dom.js";

const STEPS = [
  ["mark", "Mark", "one or a few objects with a point, a box or a scribble"],
  ["sparkle", "Segment", "and DINOv finds every other one, on all your photos"],
  ["download", "Download", "the masks as COCO JSON, at full resolution"],
];

export function mount(context) {
  const { element, trigger } = context;
  const example = h(
    "button",
    {
      type: "button",
      class: "st-button st-primary",
      onclick: () => {
        example.disabled = true;
        trigger("example_opened", {});
      },
    },
    icon("sparkle"),
    "Open the example",
  );
  const own = h(
    "button",
    { type: "button", class: "st-button", onclick: () => tell("choose-files", null) },
    icon("upload"),
    "Add your images",
  );
  const card = h(
    "section",
    { class: "st-welcome", "aria-label": "Begin" },
    h("h2", {}, "Mark one, find them all"),
    h(
      "ol",
      { class: "st-steps" },
      STEPS.map(([name, title, text]) =>
        h("li", {}, icon(name), h("span", {}, h("strong", {}, title), ` ${text}`)),
      ),
    ),
    h("div", { class: "st-welcome-actions" }, example, own),
    h(
      "p",
      { class: "st-subtle" },
      "Or drop or paste images anywhere on this page. Everything stays on this computer.",
    ),
  );
  follow(context, ({ show }) => {
    example.disabled = false;
    element.closest("#st-welcome").classList.toggle("is-hidden", !show);
    element.replaceChildren(...(show ? [card] : []));
  });
}
