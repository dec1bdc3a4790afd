/**
 * The objects on the current image: what was decided about each, and the way to every one of them
 * without a pointer. The list chooses; what is done to the chosen ones is done by the canvas.
 */
import { bulkControls } from "./bulk.js";
import { follow, h, hear, icon, syncList, tell } from "./dom.js";
import { keyButton, keyed, withKey } from "./keys.js";
import { keep, recall } from "./remembered.js";
import { section } from "./section.js";
import { isShown, withThreshold } from "./thresholds.js";

/** @type {Record<string, {icon: string, says: string}>} never told by colour alone. */
const STATUSES = {
  proposed: { icon: "dot", says: "Proposed" },
  accepted: { icon: "check", says: "Accepted" },
  rejected: { icon: "close", says: "Rejected" },
};
const ORIGINS = { drawn: "Drawn by hand", edited: "Corrected by hand", imported: "Imported" };

const by = (key, sign) => (a, b) => sign * (a[key] < b[key] ? -1 : a[key] > b[key] ? 1 : 0);

/** @type {Record<string, {says: string, compare: (a: object, b: object) => number}>} */
const ORDERS = {
  score: { says: "Best score first", compare: by("score", -1) },
  unsure: { says: "Lowest score first", compare: by("score", 1) },
  category: { says: "By category", compare: by("category", 1) },
  area: { says: "Largest first", compare: by("area", -1) },
  status: { says: "Undecided first", compare: by("rank", 1) },
};
const RANKS = { proposed: 0, accepted: 1, rejected: 2 };

export function mount(context) {
  const { element } = context;
  const state = { instances: null, objects: [], hovered: null, selected: [], score_threshold: 0 };
  // The proposal on which a key was pressed that may decide it.
  state.awaited = null;
  state.order = recall("instance-order", "score");
  const parts = build(element, state, () => render());
  const { list } = parts;

  const render = () => {
    state.rows = shownRows(state);
    const at = [...list.children].findIndex((row) => row.contains(document.activeElement));
    renderHead(parts, state);
    syncList(list, state.rows, (instance) => buildRow(instance, (how) => choose(how, instance.id)));
    light(list, state);
    if (at >= 0) keepFocus(list, state, at);
  };
  /** Click chooses one, with Ctrl one more or less, with Shift all up to it. */
  const choose = ({ shiftKey, ctrlKey, metaKey }, id) => {
    const ids = state.rows.map((row) => row.id);
    const last = ids.indexOf(state.selected.at(-1));
    let chosen = [id];
    if (shiftKey && last >= 0) chosen = between(ids, last, ids.indexOf(id));
    else if (ctrlKey || metaKey)
      chosen = state.selected.includes(id)
        ? state.selected.filter((other) => other !== id)
        : [...state.selected, id];
    tell("select", { instance_ids: chosen });
  };
  list.addEventListener("keydown", (event) => onKey(event, list, state, choose));

  hear(element, "threshold", ({ score_threshold }) => {
    state.score_threshold = score_threshold;
    render();
  });
  hear(element, "category-threshold", (change) => {
    state.category_thresholds = withThreshold(state.category_thresholds, change);
    render();
  });
  hear(element, "hover", ({ instance_id }) => {
    state.hovered = instance_id;
    light(list, state);
  });
  hear(element, "selected", ({ instance_ids }) => {
    state.selected = instance_ids;
    light(list, state);
    const row = rowOf(list, instance_ids.at(-1));
    if (row && !list.contains(document.activeElement)) row.scrollIntoView({ block: "nearest" });
  });
  follow(context, (value) => {
    // The threshold is told by the slider, which knows what the user is choosing right now.
    const score_threshold =
      value.project_id === state.project_id ? state.score_threshold : value.score_threshold;
    Object.assign(state, value, { score_threshold });
    render();
  });
}

function shownRows(state) {
  const { instances, order } = state;
  return (instances ?? [])
    .filter((instance) => instance.status === "rejected" || isShown(instance, state))
    .map((instance) => ({ ...instance, rank: RANKS[instance.status] }))
    .sort(ORDERS[order]?.compare ?? ORDERS.score.compare);
}

function build(element, state, render) {
  const count = h("span", { class: "st-subtle" });
  const note = h("p", { class: "st-hint" });
  const list = h("ul", { class: "st-rows st-instances", "aria-label": "Instances on this image" });
  const order = h(
    "select",
    {
      class: "st-field st-order",
      "aria-label": "Order of the list",
      onchange: () => {
        state.order = order.value;
        keep("instance-order", state.order);
        render();
      },
    },
    Object.entries(ORDERS).map(([value, { says }]) =>
      h("option", { value, selected: value === state.order }, says),
    ),
  );
  const bulk = bulkControls(state);
  const tools = h("div", { class: "st-instance-tools" }, order, bulk.toggle);
  element.replaceChildren(
    section("instances", "Instances", { extras: [count] }, tools, bulk.element, note, list),
  );
  return { count, note, list, tools, bulk };
}

function renderHead({ count, note, tools, bulk }, state) {
  const { instances, rows } = state;
  const rejected = rows.filter(({ status }) => status === "rejected").length;
  const left = rows.length - rejected;
  count.textContent =
    instances === null ? "" : `${left}${rejected ? ` · ${rejected} rejected` : ""}`;
  keyed(note, () => {
    note.textContent = explain(state, rows);
    note.hidden = !note.textContent;
  });
  tools.hidden = !instances?.length;
  bulk.render();
}

function explain({ instances, objects }, rows) {
  if (instances === null) return `Not segmented yet. ${withKey("Objects can also be drawn by hand", "annotate")}.`;
  if (objects.length) return missingObjects(objects, instances, rows);
  if (!instances.length) return "Nothing found on this image.";
  return rows.length ? "" : "Every proposal is below the score threshold.";
}

/** Of objects that were looked for one by one, say which were not found. */
function missingObjects(objects, instances, rows) {
  const has = (list, { id }) => list.some(({ category_id }) => category_id === id);
  const absent = objects.filter((object) => !has(instances, object));
  const below = objects.filter((object) => has(instances, object) && !has(rows, object));
  const line = (start, list) =>
    list.length ? `${start}: ${list.map(({ name }) => name).join(", ")}.` : null;
  return [line("Not found on this image", absent), line("Below the score threshold", below)]
    .filter(Boolean)
    .join(" ");
}

/** Show which rows are pointed at and selected, without building any anew. */
function light(list, { hovered, selected }) {
  const chosen = new Set(selected.map(String));
  const reachable = rowOf(list, selected.at(-1)) ?? list.firstElementChild;
  for (const row of list.children) {
    const main = row.querySelector(".st-row-main");
    const isSelected = chosen.has(row.dataset.key);
    row.classList.toggle("is-lit", row.dataset.key === String(hovered));
    row.classList.toggle("is-active", isSelected);
    main.setAttribute("aria-pressed", String(isSelected));
    // One stop for the Tab key; the arrows go from row to row.
    main.tabIndex = row === reachable ? 0 : -1;
  }
}

function rowOf(list, id) {
  return [...list.children].find((row) => row.dataset.key === String(id));
}

function between(ids, a, b) {
  const range = ids.slice(Math.min(a, b), Math.max(a, b) + 1);
  return b < a ? range.reverse() : range;
}

/** With the keyboard, the next undecided object is at hand once this one is decided or gone. */
function keepFocus(list, state, at) {
  const isLost = !list.contains(document.activeElement);
  const awaited = state.rows.find(({ id }) => id === state.awaited);
  if (!isLost && awaited?.status === "proposed") return;
  if (!isLost && state.awaited === null) return;
  state.awaited = null;
  const undecided = state.rows.findIndex(({ status }, i) => i >= at && status === "proposed");
  const to = undecided >= 0 && !isLost ? undecided : Math.min(at, state.rows.length - 1);
  if (to < 0) return;
  list.children[to].querySelector(".st-row-main").focus();
  tell("select", { instance_ids: [state.rows[to].id] });
}

const STEPS = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -1e9, End: 1e9 };

function onKey(event, list, state, choose) {
  const rows = [...list.children];
  const at = rows.findIndex((row) => row.contains(event.target));
  if (at < 0) return;
  const { id, status } = state.rows[at];
  state.awaited = null;
  if (event.key in STEPS) {
    const to = Math.min(Math.max(at + STEPS[event.key], 0), rows.length - 1);
    rows[to].querySelector(".st-row-main").focus();
    choose(event.shiftKey ? event : {}, state.rows[to].id);
  } else if (event.key === "a" && (event.ctrlKey || event.metaKey)) {
    tell("select", { instance_ids: state.rows.map((row) => row.id) });
  } else if (event.key === "Delete" || event.key === "Backspace") {
    if (!state.selected.includes(id)) choose({}, id);
    tell("command", { name: "delete" });
  } else {
    // Letters are commands of the canvas, for what is selected: this row, if no other is.
    const isLetter = event.key.length === 1 && !event.ctrlKey && !event.metaKey && !event.altKey;
    if (isLetter && event.key !== " " && !state.selected.includes(id)) choose({}, id);
    if (isLetter && status === "proposed") state.awaited = id;
    return;
  }
  event.preventDefault();
  event.stopPropagation();
}

function buildRow(instance, choose) {
  const { id, category, color, score, status, origin } = instance;
  const highlight = () => tell("highlight", { instance_id: id });
  const release = () => tell("highlight", { instance_id: null });
  const decide = (argument) => {
    tell("select", { instance_ids: [id] });
    tell("command", { name: "decide", argument });
  };
  const { says, icon: sign } = STATUSES[status];
  const made = ORIGINS[origin];
  const main = h(
    "button",
    {
      type: "button",
      class: "st-row-main",
      "data-focus": "main",
      title: [says, made, `score ${score.toFixed(2)}`].filter(Boolean).join(" · "),
      onclick: choose,
      onfocus: highlight,
      onblur: release,
    },
    h("span", { class: "st-decision", "data-status": status }, icon(sign)),
    h("span", { class: "st-row-name" }, category),
    h("span", { class: "st-hidden" }, `, ${says}${made ? `, ${made}` : ""}, score`),
    made && origin !== "imported" && h("span", { class: "st-made", title: made }, icon("pencil")),
    scoreBar(score),
  );
  return h(
    "li",
    { class: `st-row is-${status}`, onpointerenter: highlight, onpointerleave: release },
    h("span", { class: "st-dot", style: { "--dot": color } }),
    main,
    keyButton("check", "Accept", "accept", () => decide("accepted"), {
      disabled: status === "accepted",
    }),
    keyButton("close", "Reject", "reject", () => decide("rejected"), {
      disabled: status === "rejected",
    }),
    keyButton("mark", "Use as a reference", "reference", () =>
      tell("reference", { instance_id: id }),
    ),
  );
}

function scoreBar(score) {
  const width = { "--score": `${Math.round(score * 100)}%` };
  return h(
    "span",
    { class: "st-score" },
    h("span", { class: "st-score-bar", style: width }),
    h("span", { class: "st-score-number" }, score.toFixed(2)),
  );
}
