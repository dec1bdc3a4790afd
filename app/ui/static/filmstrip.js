/** The images of the project: upload, choose, review, see at a glance what each one is for. */
import { card } from "./card.js";
import { cardList } from "./card_list.js";
import { follow, h, hear, icon, tell } from "./dom.js";
import { keep, recall } from "./remembered.js";
import { sequenceHead } from "./sequence_head.js";
import { isReviewed, merged, neighbour, ORDERS, passes, progress, sorted } from "./strip.js";
import { withHeads } from "./strip_rows.js";
import { stripSelection } from "./strip_selection.js";
import { stripTools } from "./strip_tools.js";
import { timeSpent } from "./time_spent.js";
import { arrived, leftBehind } from "./under_way.js";
import { uploadFiles } from "./upload.js";

export function mount(context) {
  const { element, trigger } = context;
  const state = {
    ...{ project_id: null, image_id: null, number: 0, cards: [], categories: [], sequences: [] },
    opening: null,
    folded: recall("folded-sequences", []),
  };
  const send = (event, data = {}) =>
    trigger(event, { project_id: state.project_id, image_id: state.image_id, ...data });
  const count = h("span", { class: "st-subtle" });
  const problems = problemList(() => {
    problems.failures = [];
    problems.show([]);
    arrived(lost);
    send("problems_read");
  });
  const lost = leftBehind();
  problems.failures = lost.map((name) => `${name}: did not arrive. Add it again.`);
  const uploads = uploader(context, problems, state, send);
  const list = cardList((item) =>
    item.isHead ? sequenceHead(item, fold, rename) : card(item, { open: choose, send }),
  );
  const selection = stripSelection(() => render(), (chosen_ids) => {
    send("sequence_made", { chosen_ids });
    tell("unfold", "video");
  });
  const tools = stripTools(() => render(), selection.toggle);
  const worksOn = timeSpent(element);
  element.replaceChildren(
    h(
      "section",
      { class: "st-panel st-filmstrip", "aria-label": "Images" },
      h(
        "header",
        { class: "st-panel-head" },
        h("h2", {}, "Images"),
        count,
        h("span", { class: "st-spacer" }),
        uploads.button,
      ),
      tools.element,
      selection.bar,
      uploads.input,
      uploads.progress,
      problems.element,
      list.element,
    ),
  );

  const inOrder = () => sorted(state.cards, tools.chosen.order);
  const isShown = (one) => passes(one, tools.chosen);
  const shown = () => inOrder().filter(isShown);
  function choose(image, event) {
    const ids = shown().map(({ id }) => id);
    if (!selection.take(image.id, event, ids)) open(image);
  }
  function fold(id) {
    const { folded } = state;
    state.folded = folded.includes(id) ? folded.filter((one) => one !== id) : [...folded, id];
    keep("folded-sequences", state.folded);
    render();
  }
  const rename = (sequence_id, name) => send("sequence_renamed", { sequence_id, name });
  function open(image) {
    if (!image || image.id === state.image_id) return;
    state.image_id = state.opening = image.id;
    show();
    send("image_opened", { order: Date.now() });
  }
  const step = (direction, wanted, around) =>
    open(neighbour(inOrder(), state.image_id, direction, wanted, around));
  const unreviewed = (one) => isShown(one) && !isReviewed(one);
  /** What is done by a key, on whichever part of the page it was pressed. */
  const does = {
    "image-before": () => step(-1, isShown, false),
    "image-after": () => step(1, isShown, false),
    "unreviewed-before": () => step(-1, unreviewed, true),
    "unreviewed-after": () => step(1, unreviewed, true),
    review: () => review(context, state, neighbour(inOrder(), state.image_id, 1, unreviewed, true), show),
  };
  const render = () => {
    worksOn(state.image_id);
    count.textContent = state.cards.length ? state.cards.length.toLocaleString() : "";
    tools.render(state.cards, state.categories);
    selection.render(state.cards);
    list.show(items());
    tellReview(state);
  };
  const show = () => {
    render();
    reveal();
  };
  const items = () => {
    const sequences = ORDERS[tools.chosen.order].isOfImages ? [] : state.sequences;
    const strip = { sequences, folded: state.folded, currentId: state.image_id };
    return withHeads(shown(), strip).map((item) =>
      item.isHead ? item : { ...item, chosen: selection.isOn ? selection.has(item.id) : null },
    );
  };
  const reveal = () => {
    const at = items().findIndex(({ current, isFolded, at: frame }) => current || (isFolded && frame));
    if (at >= 0) list.reveal(at);
  };

  hear(element, "files", uploads.add);
  hear(element, "choose-files", uploads.choose);
  hear(element, "page", ({ does: name }) => does[name]?.());
  hear(element, "review-asked", () => tellReview(state));
  acceptDrops(element, uploads.add);
  follow(context, (value) => {
    const strip = merged(state, value);
    if (strip === null) return send("strip_asked");
    // An answer under way when another image was chosen must not take the choice back.
    if (state.opening === value.image_id || value.refused) state.opening = null;
    if (state.opening !== null) value.image_id = state.opening;
    if (value.project_id === state.project_id) tellGone(state.cards, strip.cards);
    const moved = value.image_id !== state.image_id || value.project_id !== state.project_id;
    Object.assign(state, value, strip);
    problems.show([...problems.failures, ...state.problems]);
    render();
    if (moved) reveal();
    return undefined;
  });
}

/** Say which images were deleted, here or by others. */
function tellGone(before, now) {
  const left = new Set(now.map(({ id }) => id));
  const image_ids = before.map(({ id }) => id).filter((id) => !left.has(id));
  if (image_ids.length) tell("images-gone", { image_ids });
}

/**
 * Mark the open image as reviewed and go on to `next`; one that was reviewed is to be looked at again.
 * What was done to it just before goes first, and one that is not in sight yet is not approved.
 */
async function review({ trigger }, state, next, show) {
  const { project_id, image_id } = state;
  const order = Date.now();
  const current = state.cards.find(({ id }) => id === image_id);
  const edits = { image_id: null, waits: [] };
  tell("settle", edits);
  if (!current || edits.image_id !== image_id) return;
  const reviewed = !isReviewed(current);
  current.status = reviewed ? (current.shown ? "reviewed" : "empty") : "proposed";
  const next_id = (reviewed && next?.id) || null;
  if (next_id) state.image_id = state.opening = next_id;
  show();
  await Promise.all(edits.waits);
  trigger("image_reviewed", { project_id, image_id, order, reviewed_id: image_id, reviewed, next_id });
}

/** Say how the open image and the whole project stand. */
function tellReview({ cards, image_id }) {
  const current = cards.find(({ id }) => id === image_id);
  tell("review", { status: current?.status ?? null, ...progress(cards) });
}

function uploader(context, problems, state, send) {
  const progress = h("div", { class: "st-upload", role: "status" });
  const add = (files) =>
    uploadFiles(
      context,
      files,
      "image",
      progress,
      (paths) => send("files_added", { files: paths }),
      (texts) => {
        problems.failures.push(...texts);
        problems.show([...problems.failures, ...(state.problems ?? [])]);
      },
    );
  const input = h("input", {
    type: "file",
    multiple: true,
    accept: "image/*",
    hidden: true,
    "aria-label": "Image files",
    onchange: () => {
      add([...input.files]);
      input.value = "";
    },
  });
  const choose = () => input.click();
  const button = h(
    "button",
    {
      type: "button",
      class: "st-button",
      title: "Add images (or drop or paste them anywhere)",
      onclick: choose,
    },
    icon("upload"),
    "Add",
  );
  return { progress, add, input, choose, button };
}

/** Files that were left out, each with the reason, until dismissed. */
function problemList(onDismiss) {
  const element = h("div", { class: "st-upload", role: "alert" });
  const dismiss = h("button", { type: "button", class: "st-link", onclick: onDismiss }, "Dismiss");
  let shown = "";
  const show = (texts) => {
    if (texts.join("\n") === shown) return;
    shown = texts.join("\n");
    const lines = texts.map((text) => h("li", {}, text));
    element.replaceChildren(
      ...(lines.length ? [h("ul", { class: "st-problems" }, lines), dismiss] : []),
    );
  };
  return { element, show, failures: [] };
}

/** Files may be dropped, or an image pasted, anywhere on the page. */
function acceptDrops(element, add) {
  const controller = new AbortController();
  const on = (name, listener) =>
    window.addEventListener(
      name,
      (event) => {
        if (!element.isConnected) controller.abort();
        else listener(event);
      },
      { signal: controller.signal },
    );
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  on("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    document.body.classList.add("st-dropping");
  });
  on("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("st-dropping");
  });
  on("drop", (event) => {
    document.body.classList.remove("st-dropping");
    if (!carriesFiles(event)) return;
    event.preventDefault();
    add([...event.dataTransfer.files]);
  });
  on("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) add(files);
  });
}
