/** The categories: which one is being marked, its colour, name and number key. */
import {
  confirmDialog,
  editInPlace,
  follow,
  h,
  hear,
  icon,
  iconButton,
  plural,
  syncList,
  tell,
} from "./dom.js";
import { keyCap } from "./keys.js";
import { keep, recall } from "./remembered.js";
import { section } from "./section.js";
import { thresholdEditor } from "./threshold_editor.js";

export function mount(context) {
  const { element, trigger } = context;
  const state = {
    project_id: null,
    image_id: null,
    categories: [],
    active: null,
    hidden: recall("hidden", []),
  };
  const list = h("ul", { class: "st-rows", "aria-label": "Categories" });
  const field = h("input", {
    type: "text",
    class: "st-field",
    placeholder: "Add a category",
    "aria-label": "Name of a new category",
    maxlength: "100",
    spellcheck: "false",
  });
  const editor = thresholdEditor((category_id, score_threshold) =>
    trigger("category_threshold_changed", { ...place(), category_id, score_threshold }),
  );
  const form = h(
    "form",
    {
      class: "st-add",
      onsubmit: (event) => {
        event.preventDefault();
        const name = field.value.trim();
        if (!name) return field.focus();
        field.value = "";
        return trigger("category_added", { ...place(), name });
      },
    },
    field,
    h(
      "button",
      { class: "st-icon-button", title: "Add the category", "aria-label": "Add the category" },
      icon("plus"),
    ),
  );
  element.replaceChildren(
    section("categories", "Categories", {}, list, editor.element, form),
  );

  const tellHidden = () => tell("hidden", { category_ids: state.hidden });
  /** Hide or show a category on the image; alone, all others are hidden. */
  const hide = (id, alone) => {
    const others = state.categories.map((category) => category.id).filter((other) => other !== id);
    const isAlone = others.every((other) => state.hidden.includes(other));
    if (alone) state.hidden = isAlone && !state.hidden.includes(id) ? [] : others;
    else if (state.hidden.includes(id)) state.hidden = state.hidden.filter((one) => one !== id);
    else state.hidden = [...state.hidden, id];
    keep("hidden", state.hidden);
    tellHidden();
    render();
  };
  const place = () => ({ project_id: state.project_id, image_id: state.image_id });
  const render = () =>
    syncList(
      list,
      state.categories.map((category, index) => ({
        ...category,
        key: index < 9 ? index + 1 : null,
        active: category.id === state.active,
        hidden: state.hidden.includes(category.id),
      })),
      (category) => row(category, place, trigger, { activate, hide, edit: editor.open }),
    );
  const activate = (id) => {
    state.active = id;
    render();
    tell("category", { category_id: id });
  };

  hear(element, "hidden-asked", tellHidden);
  hear(element, "threshold", editor.follow);
  hear(element, "category", ({ category_id }) => {
    if (category_id === state.active) return;
    state.active = category_id;
    render();
  });
  follow(context, (value) => {
    const fresh = value.categories.find(
      (category) => !state.categories.some((known) => known.id === category.id),
    );
    const grew = value.project_id === state.project_id && state.categories.length > 0 && fresh;
    Object.assign(state, value);
    editor.show(state);
    tellHidden();
    if (grew) activate(fresh.id);
    else if (!value.categories.some((category) => category.id === state.active))
      activate(value.categories[0]?.id ?? null);
    else render();
  });
}

function row(category, place, trigger, { activate, hide, edit }) {
  const name = h("span", { class: "st-row-name" }, category.name);
  const rename = () =>
    editInPlace(name, {
      value: category.name,
      name: "Category name",
      save: (text) =>
        trigger("category_renamed", { ...place(), category_id: category.id, name: text }),
    });
  const color = h("input", {
    type: "color",
    class: "st-swatch",
    value: category.color,
    title: "Colour",
    "aria-label": `Colour of ${category.name}`,
    onchange: () =>
      trigger("category_recolored", { ...place(), category_id: category.id, color: color.value }),
  });
  const remove = async () => {
    const sure =
      !category.prompts ||
      (await confirmDialog({
        title: `Delete “${category.name}”?`,
        action: "Delete category",
        text: `Its ${plural(category.prompts, "mark")} and everything found with them are deleted.`,
      }));
    if (sure) trigger("category_removed", { ...place(), category_id: category.id });
  };
  return h(
    "li",
    {
      class: ["st-row", category.active && "is-active", category.hidden && "is-out"]
        .filter(Boolean)
        .join(" "),
    },
    color,
    h(
      "button",
      {
        type: "button",
        class: "st-row-main",
        "aria-pressed": String(category.active),
        "data-focus": "main",
        title: category.key
          ? `Mark ${category.name} (key ${category.key})`
          : `Mark ${category.name}`,
        onclick: () => activate(category.id),
        ondblclick: rename,
      },
      name,
      h(
        "span",
        { class: "st-subtle" },
        [
          category.score_threshold === null ? null : `≥ ${category.score_threshold.toFixed(2)}`,
          category.prompts ? plural(category.prompts, "mark") : "no marks yet",
        ]
          .filter(Boolean)
          .join(" · "),
      ),
    ),
    category.key && keyCap(`category-${category.key}`, { "aria-hidden": "true" }),
    iconButton("sliders", `Score threshold of ${category.name}`, () => edit(category.id)),
    iconButton("pencil", "Rename", rename),
    iconButton("trash", "Delete the category", remove),
    eye(category, hide),
  );
}

/** Whether found objects of the category are drawn; pressed with Alt, only those. */
function eye({ id, name, hidden }, hide) {
  return iconButton(
    hidden ? "eyeOff" : "eye",
    `Show ${name} on the image`,
    (event) => hide(id, event.altKey),
    {
      class: "st-icon-button st-eye",
      title: `${hidden ? "Show" : "Hide"} ${name} on the image (Alt: only this one)`,
      "aria-pressed": String(!hidden),
      "data-focus": "eye",
    },
  );
}
