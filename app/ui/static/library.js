/** All projects: find one, make one, copy, rename, delete and take back. */
import { confirmDialog, editInPlace, follow, h, hear, icon, iconButton, plural, syncList, tell } from "./dom.js";
import { ago, bytes } from "./format.js";
import { describe, isBusy } from "./job_text.js";
import { overlay } from "./overlay.js";
import { keep, recall } from "./remembered.js";

const ORDERS = {
  opened: ["Last opened", () => 0],
  changed: ["Last changed", (a, b) => b.updated_at.localeCompare(a.updated_at)],
  name: ["Name", (a, b) => a.name.localeCompare(b.name, undefined, { numeric: true })],
  images: ["Most images", (a, b) => b.images - a.images],
  size: ["Most storage", (a, b) => b.bytes - a.bytes],
};

export function mount(context) {
  const { element, trigger } = context;
  const state = { projects: [], trash: [], project_id: null, jobs: [], undo: null };
  const parts = build(state, trigger);
  hear(element, "show-projects", () => parts.view.open());
  hear(element, "close-views", () => parts.view.close());
  parts.view.openIfLinked();
  hear(element, "jobs", (jobs) => {
    state.jobs = jobs;
    if (parts.view.isOpen()) renderStatus(parts, state, trigger);
  });
  hear(element, "job-ended", ({ kind }) => {
    if (kind === "duplicate" && parts.view.isOpen()) trigger("library_asked", {});
  });
  follow(context, (value) => {
    Object.assign(state, value);
    render(parts, state, trigger);
    if (value.opened) parts.view.close();
  });
}

function button(name, text, act, kind = "") {
  return h("button", { type: "button", class: `st-button ${kind}`, onclick: act }, icon(name), text);
}

function build(state, trigger) {
  const search = h("input", {
    type: "search",
    class: "st-field st-search",
    placeholder: "Search projects",
    "aria-label": "Search projects",
  });
  const order = h(
    "select",
    { class: "st-field", "aria-label": "Order" },
    Object.entries(ORDERS).map(([value, [text]]) => h("option", { value }, text)),
  );
  order.value = recall("project-order", "opened");
  if (!order.value) order.value = "opened";
  const parts = {
    search,
    order,
    status: h("div", { class: "st-library-status", role: "status" }),
    grid: h("ul", { class: "st-project-grid" }),
    none: h("p", { class: "st-view-empty" }),
    total: h("span", { class: "st-subtle" }),
    trash: h("details", { class: "st-trash" }),
  };
  const redraw = () => render(parts, state, trigger);
  search.addEventListener("input", redraw);
  order.addEventListener("change", () => {
    keep("project-order", order.value);
    redraw();
  });
  const importing = () => tell("import-as-project", null);
  parts.view = overlay(
    "library",
    "Projects",
    {
      extras: [
        button("upload", "Import as a project …", importing),
        button("plus", "New project", () => trigger("project_created", {}), "st-primary"),
      ],
      opened: () => {
        state.undo = null;
        trigger("library_asked", {});
        search.focus();
      },
    },
    h("div", { class: "st-view-tools" }, search, order, h("span", { class: "st-spacer" }), parts.total),
    parts.status,
    parts.grid,
    parts.none,
    h(
      "p",
      { class: "st-library-foot" },
      h(
        "button",
        { type: "button", class: "st-link", onclick: () => trigger("example_opened", {}) },
        "Open the example",
      ),
      h("span", { class: "st-subtle" }, " deer, buses and coins, marked and ready to segment"),
    ),
    parts.trash,
  );
  return parts;
}

function render(parts, state, trigger) {
  const wanted = parts.search.value.trim().toLocaleLowerCase();
  const shown = state.projects
    .filter(({ name }) => name.toLocaleLowerCase().includes(wanted))
    .sort(ORDERS[parts.order.value][1]);
  syncList(
    parts.grid,
    shown.map((project) => ({ ...project, open: project.id === state.project_id })),
    (project) => card(project, state, trigger),
  );
  parts.none.hidden = shown.length > 0;
  parts.none.textContent = state.projects.length
    ? `No project is called “${parts.search.value.trim()}”.`
    : "There is no project yet. Begin a new one, import a data set, or open the example.";
  const size = state.projects.reduce((sum, project) => sum + project.bytes, 0);
  parts.total.textContent = state.projects.length
    ? `${plural(state.projects.length, "project")} · ${bytes(size)}`
    : "";
  renderStatus(parts, state, trigger);
  renderTrash(parts, state, trigger);
}

function card(project, state, trigger) {
  const act = (event, detail = {}) => trigger(event, { project_id: project.id, ...detail });
  const name = h("span", { class: "st-project-title" }, project.name);
  const rename = () =>
    editInPlace(name, {
      value: project.name,
      name: "Project name",
      save: (text) => act("project_renamed", { name: text }),
    });
  const remove = () => {
    state.undo = project;
    act("project_deleted");
  };
  // Reviewing comes last; until it has begun, what is segmented is the progress.
  const [done, verb] = project.reviewed_images
    ? [project.reviewed_images, "reviewed"]
    : [project.segmented_images, "segmented"];
  return h(
    "li",
    { class: `st-project-card ${project.open ? "is-open" : ""}` },
    h(
      "button",
      {
        type: "button",
        class: "st-project-open",
        "aria-label": `Open ${project.name}`,
        "data-focus": "open",
        "aria-current": project.open ? "true" : null,
        onclick: () => act("project_opened"),
      },
      covers(project),
    ),
    h(
      "div",
      { class: "st-project-line" },
      name,
      h(
        "span",
        { class: "st-project-tools" },
        iconButton("pencil", "Rename", rename),
        iconButton("copy", "Duplicate", () => act("project_duplicated")),
        iconButton("trash", "Delete", remove),
      ),
    ),
    h("p", { class: "st-subtle" }, contents(project)),
    h("progress", {
      max: String(project.images || 1),
      value: String(done),
      "aria-label": `Images ${verb}`,
      title: `${done} of ${plural(project.images, "image")} ${verb}`,
    }),
    h(
      "p",
      { class: "st-subtle st-project-foot" },
      h("span", { title: new Date(project.updated_at).toLocaleString() }, `changed ${ago(project.updated_at)}`),
      h("span", { title: "on disk; files that copies share count for each" }, bytes(project.bytes)),
    ),
  );
}

function covers({ covers: urls }) {
  const shown = urls.length === 3 ? urls.slice(0, 2) : urls;
  return h(
    "span",
    { class: `st-covers is-${shown.length}` },
    shown.length
      ? shown.map((url) => h("img", { src: url, alt: "", loading: "lazy", draggable: "false" }))
      : icon("image"),
  );
}

function contents({ images, segmented_images, reviewed_images, instances, prompts }) {
  if (!images) return "No images yet";
  const state = reviewed_images
    ? `${reviewed_images.toLocaleString()} reviewed`
    : segmented_images ? `${segmented_images.toLocaleString()} segmented` : prompts ? plural(prompts, "mark") : "nothing marked yet";
  return [plural(images, "image"), state, instances ? plural(instances, "instance") : null]
    .filter(Boolean)
    .join(" · ");
}

/** What was just deleted can be taken back at once; copies under way are told about. */
function renderStatus(parts, state, trigger) {
  const lines = state.jobs
    .filter((job) => job.kind === "duplicate" && isBusy(job))
    .map((job) => h("p", {}, `${job.title}: ${describe(job)}`));
  const gone = state.undo && state.trash.some(({ id }) => id === state.undo.id);
  if (gone)
    lines.push(
      h(
        "p",
        {},
        `“${state.undo.name}” is in the trash. `,
        h(
          "button",
          {
            type: "button",
            class: "st-link",
            onclick: () => trigger("project_restored", { project_id: state.undo.id }),
          },
          "Undo",
        ),
      ),
    );
  parts.status.replaceChildren(...lines);
}

function renderTrash(parts, state, trigger) {
  const { trash } = state;
  parts.trash.hidden = !trash.length;
  const empty = async () => {
    const sure = await confirmDialog({
      title: `Remove ${plural(trash.length, "project")} for good?`,
      action: "Empty the trash",
      text: "Their images, marks and results are deleted from this computer. This cannot be undone.",
    });
    if (sure) trigger("trash_emptied", {});
  };
  parts.trash.replaceChildren(
    h("summary", {}, `Trash (${trash.length})`),
    h("p", { class: "st-subtle" }, `Deleted projects are kept for ${state.kept_days} days.`),
    h(
      "ul",
      {},
      trash.map(({ id, name, deleted_at }) =>
        h(
          "li",
          {},
          h("span", { class: "st-menu-text" }, name),
          h("span", { class: "st-subtle" }, `deleted ${ago(deleted_at)}`),
          button("undo", "Restore", () => trigger("project_restored", { project_id: id })),
        ),
      ),
    ),
    button("trash", "Empty the trash …", empty),
  );
}
