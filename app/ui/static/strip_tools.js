/** Above the filmstrip: how far the project has come, which images are shown, in which order. */
import { h, icon } from "./dom.js";
import { keep, recall } from "./remembered.js";
import { EVERYTHING, ORDERS, passes, progress, STATUSES } from "./strip.js";

/**
 * @param {() => void} changed is called when something else is to be shown
 * @param {HTMLElement} extra stands beside the filters
 */
export function stripTools(changed, extra) {
  const chosen = { ...EVERYTHING, order: known(recall("strip-order", "added")) };
  const choose = (name, value) => {
    chosen[name] = value;
    if (name === "order") keep("strip-order", value);
    changed();
  };
  const select = (name, label) =>
    h("select", {
      class: "st-field",
      "aria-label": label,
      title: label,
      onchange: (event) => choose(name, event.target.value),
    });
  const selects = {
    status: select("status", "Show images by status"),
    role: select("role", "Show images by role"),
    category: select("category", "Show images by category"),
    order: select("order", "Order of the images"),
  };
  const line = h("span", {});
  const bar = h("progress", { "aria-label": "Reviewed images" });
  const more = h("div", { class: "st-strip-more", id: "st-strip-more", hidden: true },
    selects.role, selects.category, selects.order);
  const toggle = h(
    "button",
    {
      type: "button",
      class: "st-icon-button",
      title: "More filters, and the order",
      "aria-label": "More filters, and the order",
      "aria-controls": more.id,
      "aria-expanded": "false",
      onclick: () => {
        more.hidden = !more.hidden;
        toggle.setAttribute("aria-expanded", String(!more.hidden));
        changed();
      },
    },
    icon("sliders"),
  );
  const all = () => {
    Object.assign(chosen, EVERYTHING);
    changed();
  };
  const narrowed = h("p", { class: "st-strip-narrowed", role: "status", hidden: true });
  const showAll = h("button", { type: "button", class: "st-link", onclick: all }, "Show all");
  const element = h(
    "div",
    { class: "st-strip-tools" },
    h("div", { class: "st-strip-progress" }, line, bar),
    h("div", { class: "st-strip-filter" }, selects.status, toggle, extra),
    more,
    narrowed,
  );
  return {
    element,
    chosen,
    render(cards, categories) {
      const { counts, total, reviewed } = progress(cards);
      element.hidden = total === 0;
      line.textContent = `${reviewed.toLocaleString()} of ${total.toLocaleString()} reviewed`;
      Object.assign(bar, { max: total || 1, value: reviewed });
      if (!categories.some(({ id }) => String(id) === chosen.category)) chosen.category = "";
      const words = Object.entries(STATUSES).map(([status, { word }]) => [status, word]);
      options(selects.status, chosen.status, [
        ["", `All ${total.toLocaleString()}`],
        ...words.map(([status, word]) => [status, `${word} ${counts[status].toLocaleString()}`]),
      ]);
      options(selects.role, chosen.role, [
        ["", "Any role"],
        ["is_reference", "References"],
        ["is_target", "Targets"],
      ]);
      options(selects.category, chosen.category, [
        ["", "Any category"],
        ...categories.map(({ id, name }) => [String(id), name]),
      ]);
      options(selects.order, chosen.order, Object.entries(ORDERS).map(([key, { word }]) => [key, word]));
      toggle.classList.toggle("is-on", Boolean(chosen.role || chosen.category));
      const isNarrowed = Boolean(chosen.status || chosen.role || chosen.category);
      narrowed.hidden = !isNarrowed;
      if (!isNarrowed) return;
      const shown = cards.filter((card) => passes(card, chosen)).length;
      narrowed.replaceChildren(`${shown.toLocaleString()} shown. `, showAll);
    },
  };
}

function known(order) {
  return Object.hasOwn(ORDERS, order) ? order : "added";
}

/** Renew the choices only where they have changed: an open list would close. */
function options(select, value, choices) {
  const signature = JSON.stringify(choices);
  if (select.signature !== signature) {
    select.signature = signature;
    select.replaceChildren(...choices.map(([key, text]) => h("option", { value: key }, text)));
  }
  select.value = value;
}
