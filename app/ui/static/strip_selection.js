/** Several images of the filmstrip, chosen for something that is done with all of them. */
import { h, icon, plural } from "./dom.js";

/**
 * @param {() => void} changed is called when another choice is to be shown
 * @param {(ids: number[]) => void} makeSequence
 */
export function stripSelection(changed, makeSequence) {
  const chosen = new Set();
  let anchor = null;
  let isOn = false;
  const turn = (on) => {
    isOn = on;
    anchor = null;
    chosen.clear();
    changed();
  };
  const toggle = h(
    "button",
    {
      type: "button",
      class: "st-icon-button",
      title: "Select images (or Ctrl+click them)",
      "aria-label": "Select images",
      "aria-pressed": "false",
      onclick: () => turn(!isOn),
    },
    icon("check"),
  );
  const count = h("span", { role: "status" });
  const make = h(
    "button",
    {
      type: "button",
      class: "st-button",
      title: "In the order of their names: then objects are tracked from one to the next",
      onclick: () => {
        const ids = [...chosen];
        turn(false);
        makeSequence(ids);
      },
    },
    "Make a sequence",
  );
  const done = h("button", { type: "button", class: "st-link", onclick: () => turn(false) }, "Cancel");
  const bar = h(
    "div",
    { class: "st-strip-selection", role: "group", "aria-label": "Selected images", hidden: true },
    count,
    make,
    done,
  );
  return {
    toggle,
    bar,
    get isOn() {
      return isOn;
    },
    has: (id) => chosen.has(id),
    /**
     * Take a click on a card, if it means a choice; Shift chooses all from the last one on.
     * @param {number[]} ids of the cards in the order shown
     */
    take(id, { ctrlKey, metaKey, shiftKey }, ids) {
      if (!isOn && !ctrlKey && !metaKey && !shiftKey) return false;
      const from = ids.indexOf(anchor);
      if (shiftKey && from >= 0) {
        const to = ids.indexOf(id);
        for (const one of ids.slice(Math.min(from, to), Math.max(from, to) + 1)) chosen.add(one);
      } else if (!chosen.delete(id)) chosen.add(id);
      anchor = id;
      isOn = true;
      changed();
      return true;
    },
    /** @param {object[]} cards all there are: what was removed is chosen no more */
    render(cards) {
      const there = new Set(cards.map(({ id }) => id));
      for (const id of chosen) if (!there.has(id)) chosen.delete(id);
      bar.hidden = !isOn;
      toggle.setAttribute("aria-pressed", String(isOn));
      toggle.classList.toggle("is-on", isOn);
      count.textContent = chosen.size ? `${plural(chosen.size, "image")} selected` : "Click images to select them";
      make.disabled = chosen.size < 2;
    },
  };
}
