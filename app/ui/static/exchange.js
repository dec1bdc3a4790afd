/** Export to files that other tools read, and import of such files; both tell what became of it all. */
import { follow, h, hear, icon } from "./dom.js";
import { uploadFiles } from "./upload.js";

export function mount(context) {
  const { element } = context;
  const state = { project_id: null, image_id: null, formats: [], images: 0, dialog: null };
  const exporting = h(
    "button",
    { type: "button", class: "st-button", onclick: () => openExport(state) },
    icon("download"),
    "Export …",
  );
  const importing = h(
    "button",
    { type: "button", class: "st-button", onclick: () => openImport(state, context) },
    icon("upload"),
    "Import …",
  );
  element.replaceChildren(
    h(
      "section",
      { class: "st-panel st-exchange", "aria-label": "Files" },
      h("div", { class: "st-exchange-buttons" }, exporting, importing),
    ),
  );
  hear(element, "threshold", (threshold) => Object.assign(state, { threshold }));
  follow(context, (value) => {
    Object.assign(state, value);
    exporting.disabled = !state.images;
    exporting.title = state.images
      ? "In the formats of other tools, with or without the images"
      : "Add images first.";
    if (value.report || value.refused) state.imported?.(value.report ?? null);
  });
}

/** A dialog with a form; `submit` gets its data and shows what came of it in the `outcome`. */
function openDialog(title, fields, action, submit) {
  const outcome = h("div", { class: "st-outcome", role: "status" });
  const go = h("button", { class: "st-button st-primary" }, action);
  const close = h("button", { type: "button", class: "st-button" }, "Close");
  const form = h(
    "form",
    {},
    h("h2", {}, title),
    fields,
    outcome,
    h("div", { class: "st-dialog-actions" }, close, go),
  );
  const dialog = h("dialog", { class: "st-dialog st-wide", "aria-label": title }, form);
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  // What was said of one choice does not hold for another.
  form.addEventListener("change", () => outcome.replaceChildren());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    go.disabled = true;
    try {
      await submit(new FormData(form), outcome);
    } catch (error) {
      outcome.replaceChildren(h("p", { class: "st-problems" }, error.message));
    } finally {
      go.disabled = false;
    }
  });
  document.querySelector(".gradio-container").append(dialog);
  dialog.showModal();
  return dialog;
}

function openExport(state) {
  const lacks = h("p", { class: "st-hint" });
  const formats = h(
    "select",
    { name: "format", class: "st-field", "aria-label": "Format" },
    state.formats.map(({ name, title }) => h("option", { value: name }, title)),
  );
  const describe = () => {
    const format = state.formats.find(({ name }) => name === formats.value);
    lacks.textContent = format.lacks ? `Has no place for ${format.lacks}.` : "Holds everything.";
  };
  formats.addEventListener("change", describe);
  describe();
  const fields = [
    h("label", { class: "st-labelled" }, "Format", formats),
    lacks,
    h(
      "label",
      { class: "st-choice" },
      h("input", { type: "checkbox", name: "with_images", value: "true" }),
      "with the images, upright",
    ),
  ];
  openDialog("Export", fields, "Export", async (data, outcome) => {
    outcome.replaceChildren(waiting("Writing …"));
    const query = new URLSearchParams(data);
    for (const [name, value] of Object.entries(state.threshold ?? {})) query.set(name, value);
    const answer = await fetch(`projects/${state.project_id}/exports?${query}`, {
      method: "POST",
    });
    if (!answer.ok) throw new Error(await answer.text());
    const { url, name, lines, lossless } = await answer.json();
    outcome.replaceChildren(...report(lines, lossless));
    h("a", { href: url, download: name }).click();
  });
}

function openImport(state, context) {
  const fields = [
    h("p", {}, "A zip archive, or annotation files together with their images. Images that are in "
      + "the project already need not be there."),
    h("input", {
      type: "file",
      name: "files",
      multiple: true,
      required: true,
      class: "st-field",
      "aria-label": "Files to import",
    }),
    h(
      "fieldset",
      {},
      h("legend", {}, "They become"),
      choice("annotations", "annotations, accepted as they are", true),
      choice("prompts", "marks that show what to look for", false),
    ),
  ];
  const dialog = openDialog("Import", fields, "Import", async (data, outcome) => {
    const sent = [];
    const failures = [];
    const files = data.getAll("files");
    await uploadFiles(
      context, files, "file", outcome,
      (some) => sent.push(...some),
      (texts) => failures.push(...texts),
    );
    if (failures.length) throw new Error(failures.join("\n"));
    outcome.replaceChildren(waiting("Reading …"));
    const { project_id, image_id } = state;
    const answered = new Promise((resolve) => {
      state.imported = resolve;
      dialog.addEventListener("close", () => resolve(null));
    });
    context.trigger("files_imported", { project_id, image_id, files: sent, as_: data.get("as_") });
    const answer = await answered;
    state.imported = null;
    outcome.replaceChildren(...(answer ? report(answer.lines, answer.lossless) : []));
    // What went wrong is told by a notice, which an open dialog would lie over.
    if (!answer) dialog.close();
  });
}

function choice(value, text, checked) {
  return h(
    "label",
    { class: "st-choice" },
    h("input", { type: "radio", name: "as_", value, checked }),
    text,
  );
}

function waiting(text) {
  return h("p", { class: "st-hint" }, text, h("progress", { "aria-label": text }));
}

/** The first line sums up; the others say what was left out, changed or read otherwise. */
function report([sum, ...details], lossless) {
  return [
    h("p", { class: "st-sum" }, icon(lossless ? "check" : "warning"), h("span", {}, sum)),
    details.length > 0 &&
      h(
        "ul",
        { class: "st-details" },
        details.map((line) => h("li", {}, line)),
      ),
  ].filter(Boolean);
}
