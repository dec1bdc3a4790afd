/** What was found on the current image, best first; also the way to each instance without a pointer. */
import { follow, h, hear, iconButton, syncList, tell } from "./dom.js";
import { section } from "./section.js";
import { isShown, withThreshold } from "./thresholds.js";

export function mount(context) {
  const { element, trigger } = context;
  const state = { instances: null, hovered: null, selected: null, score_threshold: 0 };
  const parts = build(element, () =>
    trigger("instance_restored", { ...place(state), instance_id: state.restorable }),
  );
  const { list } = parts;
  let rowToFocus = null;

  const remove = (instance, row) => {
    // With the keyboard the next instance is at hand once this one is gone.
    rowToFocus = row.contains(document.activeElement) ? [...list.children].indexOf(row) : null;
    trigger("instance_removed", { ...place(state), instance_id: instance.id });
  };
  const select = (id) => {
    state.selected = state.selected === id ? null : id;
    tell("select", { instance_id: state.selected });
    light(list, state);
  };
  const render = () => {
    const rows = (state.instances ?? []).filter((instance) => isShown(instance, state));
    parts.count.textContent = state.instances === null ? "" : String(rows.length);
    parts.note.textContent = explain(state, rows);
    parts.note.hidden = !parts.note.textContent;
    parts.undo.hidden = state.restorable === null;
    syncList(list, rows, (instance) => buildRow(instance, { remove, select }));
    light(list, state);
  };

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
  follow(context, (value) => {
    if (value.image_id !== state.image_id) Object.assign(state, { hovered: null, selected: null });
    // The threshold is told by the slider, which knows what the user is choosing right now.
    const score_threshold =
      value.project_id === state.project_id ? state.score_threshold : value.score_threshold;
    Object.assign(state, value, { score_threshold });
    render();
    if (rowToFocus !== null && state.restorable !== null) {
      const row = list.children[Math.min(rowToFocus, list.children.length - 1)];
      row?.querySelector(".st-row-main").focus();
      rowToFocus = null;
    }
  });
}

function build(element, restore) {
  const count = h("span", { class: "st-subtle" });
  const note = h("p", { class: "st-hint" });
  const list = h("ul", { class: "st-rows st-instances", "aria-label": "Instances on this image" });
  const undo = h(
    "span",
    { class: "st-undo", role: "status", hidden: true },
    "Deleted.",
    h("button", { type: "button", class: "st-link", onclick: restore }, "Undo"),
  );
  const spacer = h("span", { class: "st-spacer" });
  element.replaceChildren(
    section("instances", "Instances", { extras: [count, spacer, undo] }, note, list),
  );
  return { count, note, list, undo };
}

function place(state) {
  return { project_id: state.project_id, image_id: state.image_id };
}

function explain({ instances, objects }, rows) {
  if (instances === null) return "Not segmented yet.";
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
  for (const row of list.children) {
    const isSelected = row.dataset.key === String(selected);
    row.classList.toggle("is-lit", row.dataset.key === String(hovered));
    row.classList.toggle("is-active", isSelected);
    row.querySelector(".st-row-main").setAttribute("aria-pressed", String(isSelected));
  }
}

function buildRow(instance, { remove, select }) {
  const highlight = () => tell("highlight", { instance_id: instance.id });
  const release = () => tell("highlight", { instance_id: null });
  const score = h(
    "span",
    { class: "st-score", title: `Score ${instance.score.toFixed(2)}` },
    h("span", {
      class: "st-score-bar",
      style: { "--score": `${Math.round(instance.score * 100)}%` },
    }),
    h("span", { class: "st-score-number" }, instance.score.toFixed(2)),
  );
  const main = h(
    "button",
    {
      type: "button",
      class: "st-row-main",
      "data-focus": "main",
      title: "Show on the image",
      onclick: () => select(instance.id),
      onfocus: highlight,
      onblur: release,
      onkeydown: (event) => {
        if (event.key === "Delete" || event.key === "Backspace") remove(instance, row);
      },
    },
    h("span", { class: "st-row-name" }, instance.category),
    score,
  );
  const row = h(
    "li",
    { class: "st-row", onpointerenter: highlight, onpointerleave: release },
    h("span", { class: "st-dot", style: { "--dot": instance.color } }),
    main,
    iconButton("mark", "Use as a reference (Q)", () =>
      tell("reference", { instance_id: instance.id }),
    ),
    iconButton("trash", "Delete the instance", () => remove(instance, row)),
  );
  return row;
}
