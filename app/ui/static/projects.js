/** The header: which project is open, the others, and which checkpoint runs where. */
import { editInPlace, follow, h, icon, iconButton, tell } from "./dom.js";
import { ago } from "./format.js";
import { jobsButton } from "./jobs.js";
import { menu, menuItem } from "./menu.js";
import { statisticsButton } from "./statistics.js";

/** So many of the projects opened last stand in the menu. */
const LISTED = 8;

/** The model is loaded in the background once the page is there; look now and then whether it is. */
const ASK_MS = 1500;
const ASK_AT_MOST = 40;

export function mount(context) {
  const { element, trigger } = context;
  applyChosenTheme();
  const [projectSlot, statusSlot] = [h("span", { class: "st-project" }), h("span")];
  const jobs = jobsButton(element, trigger);
  const statistics = statisticsButton(() => state.latest.project);
  element.replaceChildren(header(projectSlot, statusSlot, [statistics.button, jobs.node, settingsButton()]));
  const state = { drawn: [], nameNext: false, latest: { status: { loaded: false } } };
  const ask = () => trigger("status_asked", {});
  askUntilLoaded(element, () => state.latest.status.loaded, ask);
  follow(context, (value) => {
    state.latest = value;
    // Only what looks different is drawn anew: a menu or a field may be open.
    const drawn = [JSON.stringify(value.project), JSON.stringify(value.status)];
    if (drawn[0] !== state.drawn[0]) {
      projectSlot.replaceChildren(...projectMenu(state, trigger));
      if (state.nameNext) projectSlot.querySelector(".st-rename")?.click();
      state.nameNext = false;
    }
    if (drawn[1] !== state.drawn[1]) statusSlot.replaceChildren(statusMenu(value.status));
    state.drawn = drawn;
    statistics.update();
    jobs.update(value.jobs);
  });
}

function header(projectSlot, statusSlot, buttons) {
  const name = h("h1", { class: "st-brand-name" }, "DINOv Studio");
  return h(
    "div",
    { class: "st-header" },
    h("span", { class: "st-brand" }, logo(), name),
    projectSlot,
    h("span", { class: "st-spacer" }),
    buttons,
    statusSlot,
    themeButton(),
    h("span", { id: "st-account-slot" }),
  );
}

function askUntilLoaded(element, isLoaded, ask) {
  let left = ASK_AT_MOST;
  const timer = window.setInterval(() => {
    if (isLoaded() || left-- === 0 || !element.isConnected) window.clearInterval(timer);
    else ask();
  }, ASK_MS);
}

/** The open project's name, the menu behind it, and the pencil that renames it. */
function projectMenu(state, trigger) {
  const { project } = state.latest;
  const name = h("span", { class: "st-project-name" }, project?.name ?? "No project yet");
  const rename = () =>
    editInPlace(name, {
      value: project.name,
      name: "Project name",
      save: (text) => trigger("project_renamed", { project_id: project.id, name: text }),
    });
  const create = () => {
    state.nameNext = true;
    trigger("project_created", {});
  };
  const remove = () => trigger("project_deleted", { project_id: project.id });
  const entry = ({ id, name: title, updated_at }) =>
    menuItem(
      [
        h("span", { class: "st-menu-text" }, title),
        h("span", { class: "st-subtle" }, ago(updated_at)),
      ],
      () => trigger("project_opened", { project_id: id }),
      { "aria-current": id === project?.id ? "true" : null },
    );
  const { button, panel } = menu("st-projects", "Projects", [name, icon("chevron")], () => [
    h(
      "ul",
      { class: "st-menu-list" },
      state.latest.projects.slice(0, LISTED).map((other) => h("li", {}, entry(other))),
    ),
    h(
      "div",
      { class: "st-menu-actions" },
      menuItem([icon("grid"), "All projects …"], () => tell("show-projects", null)),
      menuItem([icon("plus"), "New project"], create),
      menuItem([icon("sparkle"), "Open the example"], () => trigger("example_opened", {})),
      project &&
        menuItem([icon("trash"), "Delete this project"], remove, {
          class: "st-menu-item st-danger-text",
        }),
    ),
  ]);
  const pencil = iconButton("pencil", "Rename the project", rename, {
    class: "st-icon-button st-rename",
  });
  return project ? [button, panel, pencil] : [button, panel];
}

function statusMenu(status) {
  const light = h("span", { class: `st-light ${status.loaded ? "is-on" : ""}` });
  const text = status.loaded ? `${status.checkpoint} · ${status.device}` : status.checkpoint;
  const { button, panel } = menu(
    "st-status",
    "Model status",
    [light, h("span", { class: "st-status-text" }, text)],
    () => [
      h("p", {}, h("strong", {}, status.message)),
      status.loaded &&
        h(
          "p",
          { class: "st-subtle" },
          `Images are resized to ${status.input_size} pixels for the model; masks keep the full size.`,
        ),
      status.hint && h("p", { class: "st-subtle" }, withCode(status.hint)),
      menuItem([icon("gear"), "Settings …"], () => tell("show-settings", null)),
    ],
  );
  return h("div", { class: "st-status" }, button, panel);
}

/** Text with `commands` between backticks, each selected by one click. */
function withCode(text) {
  return text.split("`").map((part, index) => (index % 2 ? h("code", {}, part) : part));
}

function settingsButton() {
  return iconButton("gear", "Settings", () => tell("show-settings", null));
}

/** The theme chosen here earlier; without a choice Gradio follows the system. */
function applyChosenTheme() {
  const chosen = localStorage.getItem("dinov-theme");
  const isAsked = new URLSearchParams(location.search).has("__theme");
  if (chosen && !isAsked) document.body.classList.toggle("dark", chosen === "dark");
}

function themeButton() {
  const { classList } = document.body;
  const isDark = () => classList.contains("dark");
  const button = iconButton(isDark() ? "sun" : "moon", "Light or dark", () => {
    classList.toggle("dark");
    localStorage.setItem("dinov-theme", isDark() ? "dark" : "light");
    button.replaceChildren(icon(isDark() ? "sun" : "moon"));
  });
  return button;
}

/** The mark of the app: an object and its outline. */
function logo() {
  const mark = h("span", { class: "st-logo", "aria-hidden": "true" });
  mark.append(icon("target"));
  return mark;
}
