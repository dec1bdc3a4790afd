/** The keys in use, which people may have chosen themselves: the canvas tells them. */
import { h, iconButton, tell } from "./dom.js";

let shown = {};
document.addEventListener("dinov:keys", ({ detail }) => {
  shown = detail;
  for (const element of document.querySelectorAll("[data-keyed]")) element.renew?.();
});
tell("keys-asked", null);

/** @returns {string} the key of an action of the keymap, as people write it; "" if it has none. */
export function keyOf(action) {
  return shown[action] ?? "";
}

/** A tooltip with the key in use: "Accept (A)". */
export function withKey(text, action) {
  const key = keyOf(action);
  return key ? `${text} (${key})` : text;
}

/**
 * Let `renew(element)` say now, and whenever the keys change, what depends on them.
 * @returns {HTMLElement} the element
 */
export function keyed(element, renew) {
  element.dataset.keyed = "";
  element.renew = () => renew(element);
  element.renew();
  return element;
}

/** A button showing only an icon, whose tooltip names the key of what it does. */
export function keyButton(name, label, action, onclick, attributes = {}) {
  const button = iconButton(name, label, onclick, attributes);
  return keyed(button, () => (button.title = withKey(label, action)));
}

/** The key of an action, drawn as a key; hidden where it has none. */
export function keyCap(action, attributes = {}) {
  return keyed(h("kbd", attributes), (cap) => {
    cap.textContent = keyOf(action);
    cap.hidden = !cap.textContent;
  });
}
