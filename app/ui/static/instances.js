/** What was found on the current image, best first; also the way to each instance without a pointer. */
import { follow, h, hear, iconButton, syncList, tell } from "./dom.js";

export function mount(context) {
  const { element, trigger } = context;
  const state = { instances: null, hovered: null, selected: null, score_threshold: 0 };
  const count = h("span", { class: "st-subtle" });
  const note = h("p", { class: "st-hint" });
  const list = h("ul", { class: "st-rows st-instances", "aria-label": "Instances on this image" });
  const undo = h("div", { class: "st-undo", role: "status", hidden: true });
  element.replaceChildren(
    h(
      "section",
      { class: "st-panel", "aria-label": "Instances" },
      h("header", { class: "st-panel-head" }, h("h2", {}, "Instances"), count),
      note,
      undo,
      list,
    ),
  );

  const render = () => {
    const rows = (state.instances ?? [])
      .filter(({ status, score }) => status === "accepted" || score >= state.score_threshold)
      .map((instance) => ({
        ...instance,
        lit: instance.id === state.hovered,
        selected: instance.id === state.selected,
      }));
    count.textContent = state.instances === null ? "" : String(rows.length);
    note.textContent = explain(state.instances, rows.length);
    note.hidden = rows.length > 0;
    syncList(list, rows, (instance) => row(instance, { remove, select }));
  };
  const select = (id) => {
    state.selected = state.selected === id ? null : id;
    tell("select", { instance_id: state.selected });
    render();
  };
  const remove = (instance) =>
    trigger("instance_removed", { ...place(), instance_id: instance.id });
  const place = () => ({ project_id: state.project_id, image_id: state.image_id });

  hear(element, "threshold", ({ score_threshold }) => {
    state.score_threshold = score_threshold;
    render();
  });
  hear(element, "hover", ({ instance_id }) => {
    if (state.hovered !== instance_id) {
      state.hovered = instance_id;
      render();
    }
  });
  follow(context, (value) => {
    if (value.image_id !== state.image_id) Object.assign(state, { hovered: null, selected: null });
    // The threshold is told by the slider, which knows what the user is choosing right now.
    const score_threshold =
      value.project_id === state.project_id ? state.score_threshold : value.score_threshold;
    Object.assign(state, value, { score_threshold });
    undo.hidden = state.restorable === null;
    if (state.restorable !== null) {
      undo.replaceChildren(
        "Instance deleted.",
        h(
          "button",
          {
            type: "button",
            class: "st-link",
            onclick: () =>
              trigger("instance_restored", { ...place(), instance_id: state.restorable }),
          },
          "Undo",
        ),
      );
    }
    render();
  });
}

function explain(instances, shown) {
  if (instances === null) return "Not segmented yet.";
  if (!instances.length) return "Nothing found on this image.";
  return shown ? "" : "Every proposal is below the score threshold.";
}

function row(instance, { remove, select }) {
  const percent = Math.round(instance.score * 100);
  return h(
    "li",
    {
      class: `st-row ${instance.lit ? "is-lit" : ""} ${instance.selected ? "is-active" : ""}`,
      onpointerenter: () => tell("highlight", { instance_id: instance.id }),
      onpointerleave: () => tell("highlight", { instance_id: null }),
    },
    h("span", { class: "st-dot", style: { "--dot": instance.color } }),
    h(
      "button",
      {
        type: "button",
        class: "st-row-main",
        "aria-pressed": String(instance.selected),
        "data-focus": "main",
        title: "Show on the image",
        onclick: () => select(instance.id),
        onfocus: () => tell("highlight", { instance_id: instance.id }),
        onblur: () => tell("highlight", { instance_id: null }),
        onkeydown: (event) => {
          if (event.key === "Delete" || event.key === "Backspace") remove(instance);
        },
      },
      h("span", { class: "st-row-name" }, instance.category),
      h(
        "span",
        { class: "st-score", title: `Score ${instance.score.toFixed(2)}` },
        h("span", { class: "st-score-bar", style: { "--score": `${percent}%` } }),
        h("span", { class: "st-score-number" }, instance.score.toFixed(2)),
      ),
    ),
    iconButton("trash", "Delete the instance", () => remove(instance)),
  );
}
