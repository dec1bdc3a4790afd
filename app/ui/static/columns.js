/** The bars between the columns: drag them, or fold a side column away. Both are remembered. */
import { h, icon } from "./dom.js";
import { keep, recall } from "./remembered.js";

const SIDES = {
  left: { column: "#st-left", name: "Images", direction: 1 },
  right: { column: "#st-right", name: "Panels", direction: -1 },
};
const [LEAST, STEP, CENTRE] = [150, 16, 360];

export function mount({ element }) {
  const studio = element.closest("#st-studio");
  for (const side of Object.keys(SIDES)) studio.append(bar(side, studio));
}

function bar(side, studio) {
  const { column, name, direction } = SIDES[side];
  const state = recall(`column-${side}`, { width: 0, folded: false });
  // The columns come when they are ready, maybe after these bars.
  const width = () => studio.querySelector(column)?.getBoundingClientRect().width ?? state.width;
  const toggle = h(
    "button",
    { type: "button", class: "st-fold", "aria-controls": column.slice(1), onclick: () => fold() },
    icon("chevron"),
  );
  const edge = h(
    "div",
    {
      class: "st-edge",
      role: "separator",
      tabindex: "0",
      "aria-orientation": "vertical",
      "aria-label": `Width of ${name}`,
      "aria-valuemin": "0",
    },
  );

  const apply = () => {
    document.body.classList.toggle(`st-${side}-folded`, state.folded);
    // Without a width of its own, the style sheet has one that suits the window.
    if (state.width) document.body.style.setProperty(`--st-${side}-width`, `${state.width}px`);
    toggle.title = `${state.folded ? "Show" : "Hide"} ${name.toLowerCase()}`;
    toggle.setAttribute("aria-label", toggle.title);
    toggle.setAttribute("aria-expanded", String(!state.folded));
    edge.setAttribute("aria-valuenow", String(Math.round(state.folded ? 0 : width())));
  };
  const set = (change) => {
    Object.assign(state, change);
    apply();
    keep(`column-${side}`, state);
  };
  const fold = (folded = !state.folded) => set({ folded });
  const resize = (wanted) => {
    const other = studio.querySelector(SIDES[side === "left" ? "right" : "left"].column);
    const most = window.innerWidth - other.getBoundingClientRect().width - CENTRE;
    // Pulled to well below what is of use, it is meant to go.
    if (wanted < LEAST / 2) return fold(true);
    return set({ folded: false, width: Math.round(Math.max(LEAST, Math.min(most, wanted))) });
  };

  edge.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    edge.setPointerCapture(event.pointerId);
    const [begin, from] = [event.clientX, state.folded ? 0 : width()];
    const move = ({ clientX }) => resize(from + direction * (clientX - begin));
    const end = () => edge.removeEventListener("pointermove", move);
    edge.addEventListener("pointermove", move);
    edge.addEventListener("lostpointercapture", end, { once: true });
  });
  edge.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -STEP, ArrowRight: STEP }[event.key];
    if (step) resize((state.folded ? 0 : width()) + direction * step);
    else if (event.key === "Enter") fold();
    else return;
    event.preventDefault();
  });
  apply();
  return h("div", { class: `st-bar st-bar-${side}` }, edge, toggle);
}
