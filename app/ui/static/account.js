/**
 * Who is logged in, who may open the project, who else is looking at the image; and every few
 * seconds a look whether somebody has changed it, or the model, meanwhile.
 */
import { follow, h, icon, tell } from "./dom.js";
import { menu } from "./menu.js";

const LOOK_MS = 3000;

export function mount(context) {
  const { element, trigger } = context;
  const state = { image_id: null, results_rev: 0, model: "", user: null, project: null, others: [] };
  const here = h("span", { class: "st-here", role: "status" });
  const slot = h("span", { class: "st-account" });
  const look = () => element.isConnected && !document.hidden && lookAround(state, here, trigger);
  let drawn = null;
  enterHeader(element, here, slot);
  follow(context, (value) => {
    const moved = value.image_id !== state.image_id;
    Object.assign(state, value);
    if (moved) showOthers(here, []);
    if (moved) look();
    if (value.user !== drawn) slot.replaceChildren(...accountMenu(state, trigger));
    drawn = value.user;
  });
  window.setInterval(look, LOOK_MS);
  document.addEventListener("visibilitychange", look);
}

/** The header is drawn by another panel, which may come later. */
function enterHeader(element, ...nodes) {
  const slot = document.getElementById("st-account-slot");
  if (slot) slot.replaceChildren(...nodes);
  else if (element.isConnected) requestAnimationFrame(() => enterHeader(element, ...nodes));
}

function accountMenu(state, trigger) {
  const { user } = state;
  if (user === null) return [];
  const face = [h("span", { class: "st-account-name" }, user), icon("chevron")];
  const { button, panel } = menu("st-account", `Account: ${user}`, face, () => [
    h("p", {}, "Logged in as ", h("strong", {}, user)),
    state.project && sharing(state, trigger),
    h(
      "form",
      { method: "post", action: "logout", class: "st-menu-actions" },
      h("button", { type: "submit", class: "st-menu-item" }, "Log out"),
    ),
  ]);
  return [button, panel];
}

/** Whose the project is; who is in charge of it can open it to all. */
function sharing({ project, project_id, image_id }, trigger) {
  if (project.owner === null)
    return h("p", { class: "st-subtle" }, "This project is everybody's: it is older than accounts.");
  if (!project.is_in_charge)
    return h("p", { class: "st-subtle" }, `This project is shared by ${project.owner}.`);
  const box = h("input", {
    type: "checkbox",
    checked: project.is_shared,
    onchange: () => trigger("sharing_changed", { project_id, image_id, is_shared: box.checked }),
  });
  return h("label", { class: "st-check" }, box, "All users may work in this project");
}

async function lookAround(state, here, trigger) {
  const { image_id, project_id } = state;
  if (image_id === null) return;
  const response = await fetch(
    new URL(`changes/${image_id}?window=${windowId()}`, document.baseURI),
  ).catch(() => null);
  if (response?.status === 401) showLogin(here);
  if (!response?.ok || state.image_id !== image_id) return;
  const changes = await response.json();
  showOthers(here, changes.others);
  tell("changed", { image_id, prompts_rev: changes.prompts_rev });
  const isOtherModel = changes.model !== state.model;
  if (isOtherModel) tell("model-changed", null);
  if (isOtherModel || changes.results_rev !== state.results_rev) trigger("polled", { project_id, image_id });
}

/** One per tab, also after a reload: a page that comes back is not somebody else. */
function windowId() {
  const known = sessionStorage.getItem("dinov-window");
  // Unlike randomUUID, this is there without https, too.
  const id = known ?? [...crypto.getRandomValues(new Uint32Array(4))].join("-");
  if (!known) sessionStorage.setItem("dinov-window", id);
  return id;
}

function showOthers(here, others) {
  const names = others.map((name) => name ?? "another window");
  const text = names.length ? `Also here: ${names.join(", ")}` : "";
  if (here.textContent === text) return;
  here.textContent = text;
  here.title = names.length ? "The image is open there, too. Marks of both are kept." : "";
}

function showLogin(here) {
  if (here.querySelector("a")) return;
  here.title = "";
  here.replaceChildren(
    "You are logged out. ",
    h("a", { href: "login", target: "_blank" }, "Log in again"),
  );
}
