/** Export to files that other tools read, and import of such files; both tell what became of it all. */
import { follow, h, hear, icon, tell } from "./dom.js";
import { describe, fillBar, isBusy } from "./job_text.js";
import { uploadFiles } from "./upload.js";

export function mount(context) {
  const { element } = context;
  const state = { project_id: null, image_id: null, formats: [], images: 0, jobs: [] };
  const exporting = h(
    "button",
    { type: "button", class: "st-button", onclick: () => openExport(state, context) },
    icon("download"),
    "Export …",
  );
  const importing = h(
    "button",
    { type: "button", class: "st-button", onclick: () => openImport(state, context, false) },
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
  hear(element, "import-as-project", () => openImport(state, context, true));
  hear(element, "jobs", (jobs) => {
    state.jobs = jobs;
    state.watch?.(jobs);
  });
  hear(element, "job-ended", (job) => {
    if (job.kind === "import" && job.project_id === state.project_id)
      context.trigger("import_ended", place(state));
  });
  follow(context, (value) => {
    Object.assign(state, value);
    exporting.disabled = !state.images;
    exporting.title = state.images
      ? "In the formats of other tools, with or without the images"
      : "Add images first.";
    if (value.job_id || value.refused) state.started?.(value.job_id ?? null);
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

function place({ project_id, image_id }) {
  return { project_id, image_id };
}

/**
 * Ask the server for a job and show how far it is until it has ended.
 * @returns {Promise<object|null>} the job; null if there is none, which a notice explains
 */
async function follows(state, dialog, outcome, ask) {
  const closed = new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(null));
  });
  const started = new Promise((resolve) => {
    state.started = resolve;
  });
  ask();
  const id = await Promise.race([started, closed]);
  state.started = null;
  if (!id) return null;
  const [line, bar] = [h("span", {}, "Starting …"), h("progress", { "aria-label": "Progress" })];
  outcome.replaceChildren(h("p", { class: "st-hint" }, line, bar), beside());
  const ended = new Promise((resolve) => {
    state.watch = (jobs) => {
      const job = jobs.find((one) => one.id === id);
      if (!job) return;
      if (!isBusy(job)) return resolve(job);
      line.textContent = describe(job);
      fillBar(bar, job);
    };
    // It may have ended while its id was on the way.
    state.watch(state.jobs);
  });
  const job = await Promise.race([ended, closed]);
  state.watch = null;
  return job;
}

function beside() {
  const text = "This goes on if you close the dialog; the clock in the top bar shows how far it is.";
  return h("p", { class: "st-subtle" }, text);
}

function tick(name, text) {
  const box = h("input", { type: "checkbox", name, value: "true" });
  return h("label", { class: "st-choice" }, box, text);
}

function openExport(state, { trigger }) {
  const lacks = h("p", { class: "st-hint" });
  const formats = h(
    "select",
    { name: "format", class: "st-field", "aria-label": "Format" },
    state.formats.map(({ name, title }) => h("option", { value: name }, title)),
  );
  const explain = () => {
    const format = state.formats.find(({ name }) => name === formats.value);
    lacks.textContent = format.lacks ? `Has no place for ${format.lacks}.` : "Holds everything.";
  };
  formats.addEventListener("change", explain);
  explain();
  const fields = [
    h("label", { class: "st-labelled" }, "Format", formats),
    lacks,
    tick("with_images", "with the images, upright"),
    tick("with_results", "with a COCO results file, for evaluation tools"),
  ];
  const dialog = openDialog("Export", fields, "Export", async (data, outcome) => {
    outcome.replaceChildren(waiting("Writing …"));
    const asked = {
      format: data.get("format"),
      with_images: data.has("with_images"),
      with_results: data.has("with_results"),
    };
    const job = await follows(state, dialog, outcome, () =>
      trigger("export_asked", { ...place(state), ...state.threshold, ...asked }),
    );
    tellEnd(job, dialog, outcome);
    if (job?.file) h("a", { href: job.file, download: "" }).click();
  });
}

/** Show the report of a job, or why it has none; a notice would lie under the dialog. */
function tellEnd(job, dialog, outcome) {
  if (!job) dialog.close();
  else if (job.result) outcome.replaceChildren(...report(job.result.lines, job.result.lossless));
  else outcome.replaceChildren(h("p", { class: "st-problems" }, job.message));
}

function openImport(state, context, into_new) {
  const fields = [
    h("p", {}, "A zip archive, or annotation files together with their images."
      + (into_new ? " They become a project called like the first file."
        : " Images that are in the project already need not be there.")),
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
  const title = into_new ? "Import as a project" : "Import";
  const dialog = openDialog(title, fields, "Import", async (data, outcome) => {
    const sent = [];
    const failures = [];
    await uploadFiles(
      context, data.getAll("files"), "file", outcome,
      (some) => sent.push(...some),
      (texts) => failures.push(...texts),
    );
    if (failures.length) throw new Error(failures.join("\n"));
    outcome.replaceChildren(waiting("Reading …"));
    const asked = { files: sent, as_: data.get("as_"), into_new };
    const job = await follows(state, dialog, outcome, () =>
      context.trigger("files_imported", { ...place(state), ...asked }),
    );
    tellEnd(job, dialog, outcome);
    if (into_new && job?.result) tell("close-views", null);
    // It may have ended before the page knew that its project is the one that is open.
    else if (into_new && job) context.trigger("import_ended", place(state));
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
