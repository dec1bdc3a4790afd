/** What to do next, for who is new here: one or two sentences, until they have been read. */
import { follow, h, hear, tell } from "./dom.js";
import { keyCap } from "./keys.js";
import { keep, recall } from "./remembered.js";

/** By step, which the server names: what to do, with the keys in use. */
const STEPS = {
  name: {
    title: "Name what you look for",
    text: () => ["Add a category under Categories, below; then mark one of its objects."],
  },
  mark: {
    title: "Show what you look for",
    text: () => [
      "Draw on one object: a scribble ", keyCap("tool-scribble"), ", a box ", keyCap("tool-box"),
      " or a point ", keyCap("tool-point"), ". More examples make the search surer.",
    ],
  },
  use: {
    title: "No example is in use",
    text: () => [
      "Switch “Ref” on below a thumbnail with marks, or an example on under References: "
        + "only these show the model what to look for.",
    ],
  },
  target: {
    title: "No image is to be searched",
    text: () => ["Switch “Target” on below the thumbnails of the images to be segmented."],
  },
  segment: {
    title: "Let the others be found",
    text: () => [
      "Segment looks on all targets for every object like the marked ones; "
        + "“This very object” looks for one and the same.",
    ],
  },
  lower: {
    title: "Nothing is shown",
    text: () => [
      "Lower the score threshold, or mark another example that looks more like what is on "
        + "these images, and segment again.",
    ],
  },
  review: {
    title: "Look through what was found",
    text: () => [
      "Point at an object to accept ", keyCap("accept"), " or reject ", keyCap("reject"),
      " it, click it to correct it. “Reviewed, next” ", keyCap("review"),
      " accepts all that is shown. A good one becomes a further example ", keyCap("reference"), ".",
    ],
  },
  export: {
    title: "All images are reviewed",
    text: () => [
      "“Download COCO JSON” and “Export …” below write what was accepted, "
        + "as COCO or for other programs.",
    ],
  },
};

export function mount(context) {
  const { element } = context;
  const state = { step: null, read: recall("hints-read", []) };
  const title = h("strong", {});
  const text = h("p", {});
  const live = h("div", { role: "status" }, title, text);
  const actions = h("div", { class: "st-hint-actions" }, buttons(read));
  const card = h(
    "section",
    { class: "st-hint-card", "aria-label": "What to do next", hidden: true },
    live,
    actions,
  );
  const render = () => {
    const step = state.read.includes(state.step) ? null : state.step;
    card.hidden = step === null;
    if (card.dataset.step === String(step)) return;
    card.dataset.step = String(step);
    if (step === null) return;
    title.textContent = STEPS[step].title;
    text.replaceChildren(...STEPS[step].text());
  };
  /** Never show these steps again in this browser, until asked to. */
  function read(steps = [state.step]) {
    state.read = [...new Set([...state.read, ...steps])];
    keep("hints-read", state.read);
    render();
  }
  element.replaceChildren(card);
  follow(context, ({ step }) => {
    state.step = step;
    render();
  });
  hear(element, "hints-asked", () => {
    state.read = [];
    keep("hints-read", []);
    render();
  });
}

function buttons(read) {
  const link = (words, title, onclick) =>
    h("button", { type: "button", class: "st-link", title, onclick }, words);
  const isAgain = "The sheet of keys shows hints again";
  return [
    link("Got it", "Do not show this hint again", () => read()),
    link("No more hints", isAgain, () => read(Object.keys(STEPS))),
    h("span", { class: "st-spacer" }),
    link("All keys", "The sheet of keys", () => tell("command", { name: "help" })),
  ];
}
