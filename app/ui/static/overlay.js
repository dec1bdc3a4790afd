/**
 * A full view over the page: projects, statistics, settings. One at a time; Escape goes back. The
 * address names the one that is open, so that a link leads there.
 */
import { h, iconButton } from "./dom.js";

/**
 * @param {string} name of the view, for its class
 * @param {string} title
 * @param {{extras?: Node[], opened?: function()}} options `extras` stand beside the title
 * @param {...Node} children
 * @returns {{open: function(), close: function(), isOpen: function(): boolean, openIfLinked: function()}}
 *   `openIfLinked` is for when there is something to show: it opens the view if the page was opened by
 *   its address.
 */
export function overlay(name, title, { extras = [], opened = () => {} }, ...children) {
  const close = () => dialog.close();
  const dialog = h(
    "dialog",
    { class: `st-view st-view-${name}`, "aria-label": title },
    h(
      "header",
      { class: "st-view-head" },
      h("h1", {}, title),
      h("span", { class: "st-spacer" }),
      extras,
      iconButton("close", "Back to the images", close, { class: "st-icon-button st-view-close" }),
    ),
    h("div", { class: "st-view-body" }, children),
  );
  // Keys pressed here are not for the canvas below.
  dialog.addEventListener("keydown", (event) => event.stopPropagation());
  dialog.addEventListener("close", () => {
    dialog.remove();
    setAddress(null);
  });
  const open = () => {
    if (dialog.open) return;
    document.querySelector(".gradio-container").append(dialog);
    dialog.showModal();
    setAddress(name);
    opened();
  };
  const openIfLinked = () => {
    if (linked !== name) return;
    linked = null;
    open();
  };
  return { open, close, isOpen: () => dialog.open, openIfLinked };
}

/** The view that the page was opened at. */
let linked = new URLSearchParams(globalThis.location?.search).get("view");

function setAddress(name) {
  const url = new URL(window.location.href);
  if (name) url.searchParams.set("view", name);
  else url.searchParams.delete("view");
  window.history.replaceState(window.history.state, "", url);
}
