/** A button and the popover it opens. */
import { h } from "./dom.js";

/**
 * @param {string} id of the button's name; its popover is `<id>-menu`
 * @param {string} label tooltip and accessible name
 * @param {Array} face what the button shows
 * @param {function(): Array} build makes the contents each time it opens
 * @returns {{button: HTMLElement, panel: HTMLElement}}
 */
export function menu(id, label, face, build) {
  const panel = h("div", { id: `${id}-menu`, class: "st-menu", popover: "auto" });
  const button = h(
    "button",
    {
      type: "button",
      class: "st-menu-button",
      "aria-label": label,
      title: label,
      popovertarget: panel.id,
    },
    face,
  );
  panel.addEventListener("beforetoggle", (event) => {
    button.setAttribute("aria-expanded", String(event.newState === "open"));
    if (event.newState !== "open") return;
    panel.replaceChildren(...build().filter(Boolean));
    const box = button.getBoundingClientRect();
    const width = Math.min(340, window.innerWidth - 16);
    panel.style.width = `${width}px`;
    panel.style.top = `${box.bottom + 4}px`;
    panel.style.left = `${Math.max(8, Math.min(box.left, window.innerWidth - width - 8))}px`;
  });
  return { button, panel };
}

/** An entry of a menu; choosing it closes the menu. */
export function menuItem(children, act, attributes = {}) {
  return h(
    "button",
    {
      type: "button",
      class: "st-menu-item",
      onclick: (event) => {
        event.currentTarget.closest("[popover]")?.hidePopover();
        act();
      },
      ...attributes,
    },
    children,
  );
}
