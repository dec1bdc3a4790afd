/** Concepts as files: the examples of a category saved for other projects, and loaded from them. */
import { h, icon, iconButton, plural } from "./dom.js";
import { uploadFiles } from "./upload.js";

/** Two buttons, and below them how it goes. */
export function bankBox(context, state, place) {
  const note = h("p", { class: "st-hint", role: "status", hidden: true });
  const say = (text, isProblem = false) => {
    note.textContent = text;
    note.hidden = !text;
    note.classList.toggle("st-problems", isProblem);
  };
  const input = h("input", {
    type: "file",
    accept: ".safetensors",
    multiple: true,
    hidden: true,
    "aria-label": "Files of concepts",
    onchange: async () => {
      const files = [...input.files];
      input.value = "";
      await uploadFiles(
        context, files, "file", note,
        (sent) => context.trigger("bank_loaded", { ...place(), files: sent }),
        (failures) => say(failures.join("\n"), true),
      );
    },
  });
  const load = h(
    "button",
    {
      type: "button",
      class: "st-button",
      title: "Use the examples of another project, saved as a file",
      onclick: () => input.click(),
    },
    icon("upload"),
    "Load …",
  );
  const all = h(
    "button",
    {
      type: "button",
      class: "st-button",
      title: "All categories, as a file that other projects and the command line can use",
      onclick: () => save(null),
    },
    icon("download"),
    "Save",
  );
  const save = async (category) => {
    say("Saving … Marks that were not used yet take a while.");
    all.disabled = true;
    try {
      const query = category ? `?category_id=${category.id}` : "";
      const address = `projects/${state.project_id}/banks${query}`;
      const answer = await fetch(address, { method: "POST" });
      if (!answer.ok) throw new Error(await answer.text());
      const { url, name } = await answer.json();
      h("a", { href: url, download: name }).click();
      say(`Saved as ${name}.`);
    } catch (error) {
      say(error.message, true);
    } finally {
      all.disabled = false;
    }
  };
  const element = h(
    "div",
    { class: "st-bank" },
    h("span", { class: "st-subtle" }, "Concepts as files"),
    h("div", { class: "st-bank-buttons" }, load, all),
    input,
    note,
  );
  const render = () => {
    all.hidden = !state.categories.some(({ comparable }) => comparable > 0);
  };
  return { element, save, render };
}

/** The examples of a category that came with a file; there is no picture of them. */
export function conceptRow(concept, { name }, acts) {
  const { file_name, count, used, foreign } = concept;
  const use = h("input", {
    type: "checkbox",
    "data-focus": `concept ${concept.id}`,
    "aria-label": `Use the examples of ${name} from ${file_name}`,
    onchange: () => acts.useConcept(concept, use.checked),
  });
  use.checked = used;
  return h(
    "div",
    { class: `st-concept ${used ? "" : "is-off"}` },
    h("label", { class: "st-choice" }, use, h("span", { class: "st-row-name" }, file_name)),
    h("span", { class: "st-subtle" }, plural(count, "example")),
    iconButton("close", `Remove the examples of ${name} from ${file_name}`, () =>
      acts.removeConcept(concept),
    ),
    foreign &&
      h(
        "p",
        { class: "st-hint st-problems" },
        icon("warning"),
        "Made with another checkpoint or input size: it is left out. Use that one, or save the concept again.",
      ),
  );
}
