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
import { section } from "./section.js";

export function mount(context) {
  const { element, trigger } = context;
  const state = { project_id: null, image_id: null, categories: [], active: null };
  const list = h("ul", { class: "st-rows", "aria-label": "Categories" });
  const field = h("input", {
    type: "text",
    class: "st-field",
    placeholder: "Add a category",
    "aria-label": "Name of a new category",
    maxlength: "100",
    spellcheck: "false",
  });
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
    section("categories", "Categories", {}, list, form),
  );

  const place = () => ({ project_id: state.project_id, image_id: state.image_id });
  const render = () =>
    syncList(
      list,
      state.categories.map((category, index) => ({
        ...category,
        key: index < 9 ? index + 1 : null,
        active: category.id === state.active,
      })),
      (category) => row(category, place, trigger, activate),
    );
  const activate = (id) => {
    state.active = id;
    render();
    tell("category", { category_id: id });
  };

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
    if (grew) activate(fresh.id);
    else if (!value.categories.some((category) => category.id === state.active))
      activate(value.categories[0]?.id ?? null);
    else render();
  });
}

function row(category, place, trigger, activate) {
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
    { class: `st-row ${category.active ? "is-active" : ""}` },
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
        category.prompts ? plural(category.prompts, "mark") : "no marks yet",
      ),
    ),
    category.key && h("kbd", { "aria-hidden": "true" }, String(category.key)),
    iconButton("pencil", "Rename", rename),
    iconButton("trash", "Delete the category", remove),
  );
}
