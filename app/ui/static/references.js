/** The examples of each category: what the model is shown, and how well they agree. */
import { follow, h, icon, iconButton, plural, syncList, tell } from "./dom.js";
import { bankBox, conceptRow } from "./concepts.js";
import { isActive, jobBox } from "./job_box.js";
import { keyed, keyOf } from "./keys.js";
import { section } from "./section.js";

export function mount(context) {
  const { element, trigger } = context;
  const state = { project_id: null, image_id: null, categories: [] };
  const place = () => ({ project_id: state.project_id, image_id: state.image_id });
  const job = jobBox(trigger, place);
  const bank = bankBox(context, state, place);
  const parts = build(() => trigger("examples_scored", place()));
  element.replaceChildren(
    section(
      "references",
      "References",
      { extras: [parts.count] },
      parts.empty,
      parts.groups,
      parts.compare,
      job.element,
      bank.element,
    ),
  );
  const acts = {
    // The canvas selects the mark as soon as it shows its image.
    show: ({ on_image: image_id, prompt_id }) => {
      tell("mark", { image_id, prompt_id });
      if (image_id !== state.image_id)
        trigger("example_opened", { project_id: state.project_id, image_id });
    },
    use: ({ on_image, prompt_id }, is_used) =>
      trigger("example_switched", { ...place(), on_image, prompt_id, is_used }),
    useConcept: ({ id: concept_id }, is_used) =>
      trigger("concept_switched", { ...place(), concept_id, is_used }),
    removeConcept: ({ id: concept_id }) =>
      trigger("concept_removed", { ...place(), concept_id }),
    save: bank.save,
  };
  follow(context, (value) => {
    Object.assign(state, value);
    const total = state.categories.reduce((sum, { count }) => sum + count, 0);
    parts.count.textContent = total ? String(total) : "";
    parts.empty.hidden = state.categories.some(isShown);
    bank.render();
    parts.compare.hidden = !state.comparable || !state.unscored || isActive(state.job);
    job.render(state.job);
    syncList(
      parts.groups,
      state.categories.filter(isShown),
      (category) => group(category, acts),
    );
  });
}

function build(score) {
  const count = h("span", { class: "st-subtle" });
  const empty = keyed(h("p", { class: "st-hint" }), (hint) => {
    const key = keyOf("reference");
    hint.replaceChildren(
      "Every mark is an example of its category. Select a good found object and ",
      ...(key ? ["press ", h("kbd", {}, key)] : ["choose “Use as a reference”"]),
      " to add it.",
    );
  });
  const compare = h(
    "button",
    {
      type: "button",
      class: "st-button",
      title: "How well does the model find each example by the others? Points out odd ones.",
      onclick: score,
    },
    icon("check"),
    "Compare examples",
  );
  const groups = h("div", { class: "st-example-groups" });
  return { count, empty, groups, compare };
}

function isShown({ count, concepts }) {
  return count + concepts.length > 0;
}

function group(category, acts) {
  const { name, count, used, examples, concepts } = category;
  const off = count - used;
  const list = h("ul", { class: "st-examples", "aria-label": `Examples of ${name}` });
  list.append(...examples.map((example) => card(example, category, acts)));
  return h(
    "div",
    { class: "st-example-group" },
    h(
      "div",
      { class: "st-example-head" },
      h("span", { class: "st-dot", style: { "--dot": category.color } }),
      h("span", { class: "st-row-name" }, name),
      h("span", { class: "st-subtle" }, `${plural(used, "example")}${off ? `, ${off} off` : ""}`),
      iconButton("download", `Save ${name} as a file for other projects`, () =>
        acts.save(category),
      ),
    ),
    count > 0 && list,
    concepts.map((concept) => conceptRow(concept, category, acts)),
    count > examples.length &&
      h("p", { class: "st-hint" }, `${count - examples.length} more are not drawn here.`),
  );
}

function card(example, category, acts) {
  const what = named(example, category);
  const use = h("input", {
    type: "checkbox",
    "data-focus": `use ${example.id}`,
    "aria-label": `Use this example: ${what}`,
    title: example.used ? "In use. Switch it off to leave it out." : "Off. Switch it on again.",
    onchange: () => acts.use(example, use.checked),
  });
  use.checked = example.used;
  const isOff = !example.used || !example.is_reference;
  const looks = ["st-example", isOff && "is-off", example.odd && "is-odd"];
  return h(
    "li",
    { class: looks.filter(Boolean).join(" ") },
    h(
      "button",
      {
        type: "button",
        class: "st-example-open",
        "data-focus": `open ${example.id}`,
        title: explained(example),
        "aria-label": `Show ${what}${judgement(example)}`,
        onclick: () => acts.show(example),
      },
      h("img", { src: example.picture, alt: "", loading: "lazy", decoding: "async" }),
      !example.positive && h("span", { class: "st-example-sign" }, "not this"),
      example.odd && h("span", { class: "st-example-odd" }, icon("warning")),
      score(example),
    ),
    use,
  );
}

function score({ judged, stale, score: value }) {
  if (!judged || value === null) return null;
  return h(
    "span",
    { class: `st-example-score ${stale ? "is-stale" : ""}` },
    `${stale ? "~" : ""}${value.toFixed(2)}`,
  );
}

function named({ positive, type, image }, { name }) {
  return `${positive ? "" : "negative "}${type} of ${name} on ${image}`;
}

function judgement({ judged, score: value, odd, stale }) {
  if (!judged || value === null) return "";
  const doubt = odd ? ", does not fit the others" : stale ? " before marks changed" : "";
  return `, found by the others with ${value.toFixed(2)}${doubt}`;
}

/** All that is known of an example, in sentences. */
function explained({ positive, type, image, is_reference, used, judged, score: value, stale, odd }) {
  const lines = [`${positive ? "Positive" : "Negative"} ${type} on ${image}.`];
  if (!is_reference) lines.push("Not in use: the image is no reference.");
  else if (!used) lines.push("Switched off.");
  if (odd) lines.push("The others find each other, but not this one: is it marked well?");
  if (judged && value === null) lines.push("There is no other example to compare it with.");
  else if (judged && stale)
    lines.push(`The others found it with ${value.toFixed(2)}; marks have changed since.`);
  else if (judged)
    lines.push(`The others find it with ${value.toFixed(2)} (0: not at all, 1: exactly).`);
  return lines.join("\n");
}
