/** A part of a side column, folded away by its title. Which ones are folded is remembered. */
import { h, hear, icon } from "./dom.js";
import { keep, recall } from "./remembered.js";

/**
 * @param {string} name under which its state is remembered; unique on the page
 * @param {string} title the heading, and the name of the region for screen readers
 * @param {{extras?: Node[], open?: boolean, class?: string}} options `extras` stand beside the title,
 *   also while it is folded; `open` is how it begins
 * @param {...(Node|string|null|false|Array)} children what is folded away
 * @returns {HTMLElement}
 */
export function section(name, title, options = {}, ...children) {
  const { extras = [], open = true, class: kind = "" } = options;
  const body = h("div", { class: "st-section-body", id: `st-section-${name}` }, children);
  const toggle = h(
    "button",
    { type: "button", class: "st-section-toggle", "aria-controls": body.id },
    icon("chevron"),
    title,
  );
  const fold = (isOpen) => {
    body.hidden = !isOpen;
    toggle.setAttribute("aria-expanded", String(isOpen));
  };
  toggle.addEventListener("click", () => {
    fold(body.hidden);
    keep("sections", { ...recall("sections", {}), [name]: !body.hidden });
  });
  fold(recall("sections", {})[name] ?? open);
  const element = h(
    "section",
    { class: `st-panel st-section ${kind}`, "aria-label": title },
    h("header", { class: "st-panel-head" }, h("h2", {}, toggle), extras),
    body,
  );
  hear(element, "unfold", (wanted) => wanted === name && fold(true));
  return element;
}
