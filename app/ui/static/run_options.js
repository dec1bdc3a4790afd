/** What the next run searches for, and how: a choice of two, and more for who looks for it. */
import { h } from "./dom.js";

const TASKS = {
  generic: {
    name: "Every object like these",
    title: "Finds all objects that look like the marked ones of a category.",
  },
  refer: {
    name: "This very object",
    title: "Each category stands for one object. Its marks say which; it is found once, or not at all.",
  },
};

/** Build the controls; `chosen` is called with what becomes of `state.run_options`. */
export function buildRunOptions(state, chosen) {
  const choose = (change) => chosen({ ...state.run_options, ...change });
  const radios = Object.keys(TASKS).map((value) =>
    h("input", { type: "radio", name: "st-task", value, onchange: () => choose({ task: value }) }),
  );
  const tiles = h("input", {
    type: "checkbox",
    onchange: () => choose({ in_tiles: tiles.checked }),
  });
  const task = h(
    "fieldset",
    { class: "st-tasks" },
    h("legend", {}, "Find"),
    radios.map((radio) => {
      const { name, title } = TASKS[radio.value];
      return h("label", { class: "st-task", title }, radio, h("span", {}, name));
    }),
  );
  const note = h(
    "p",
    { class: "st-hint" },
    "Each category stands for one object, which is found at most once on an image.",
  );
  const more = h(
    "details",
    { class: "st-more" },
    h("summary", {}, "More"),
    h("label", { class: "st-choice" }, tiles, "Search large photos in tiles"),
    h(
      "p",
      { class: "st-hint" },
      "Also looks closely at overlapping parts of large photos: it finds small objects there, and "
        + "takes up to ten times as long.",
    ),
  );
  return { task, radios, note, tiles, more };
}

export function renderRunOptions({ task, radios, note, tiles, more }, state) {
  const { run_options: options } = state;
  task.disabled = !state.project_id;
  for (const radio of radios) radio.checked = radio.value === options.task;
  note.hidden = options.task !== "refer";
  tiles.checked = options.in_tiles;
  // What is on must not be out of sight.
  if (options.in_tiles) more.open = true;
  more.hidden = options.task === "refer" || !state.project_id;
}
