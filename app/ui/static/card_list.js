/** The list of images: of thousands only those in sight are on the page. */
import { h, syncList } from "./dom.js";
import { rowsInSight } from "./strip.js";

const [GAP, LEAST_WIDTH, FOOT, ACROSS] = [8, 140, 48, 132];

/** @param {(item: object) => HTMLElement} build makes the card of an item, which has an `id` */
export function cardList(build) {
  let items = [];
  const list = h("ul", { class: "st-filmstrip-list", "aria-label": "Images", onkeydown: walk });
  const element = h("div", { class: "st-filmstrip-scroll" }, list);
  const render = () => {
    const place = layout(element, items.length);
    const { first, last } = rowsInSight(place);
    list.style.setProperty("--before", `${first * place.row}px`);
    list.style.setProperty("--after", `${Math.max(0, place.rows - last) * place.row}px`);
    list.style.setProperty("--columns", String(place.columns));
    list.style.setProperty("--row", `${place.row}px`);
    syncList(list, items.slice(first * place.columns, last * place.columns), build);
  };
  /** Bring the item with this place among all into sight. */
  const reveal = (index) => {
    const { row, columns, scroll, extent, isAcross } = layout(element, items.length);
    const from = Math.floor(index / columns) * row;
    const to = from < scroll ? from : from + row > scroll + extent ? from + row - extent : scroll;
    element[isAcross ? "scrollLeft" : "scrollTop"] = to;
    render();
  };
  function walk(event) {
    const { columns, isAcross } = layout(element, items.length);
    const down = isAcross ? 1 : columns;
    const step = { ArrowDown: down, ArrowRight: 1, ArrowUp: -down, ArrowLeft: -1 }[event.key];
    const focused = document.activeElement.closest(".st-card")?.dataset.key;
    const next = items.findIndex(({ id }) => String(id) === focused) + step;
    if (!step || !items[next]) return;
    event.preventDefault();
    reveal(next);
    list.querySelector(`[data-key="${items[next].id}"] .st-card-open`)?.focus();
  }
  element.addEventListener("scroll", () => requestAnimationFrame(render), { passive: true });
  new ResizeObserver(render).observe(element);
  return {
    element,
    show(next) {
      items = next;
      render();
    },
    reveal,
  };
}

/** How the cards lie: beside each other in one row on narrow windows, else in columns. */
function layout(element, count) {
  const isAcross = getComputedStyle(element).overflowX === "auto";
  if (isAcross) {
    const row = ACROSS + GAP;
    const { scrollLeft: scroll, clientWidth: extent } = element;
    return { isAcross, columns: 1, row, rows: count, scroll, extent };
  }
  const width = element.clientWidth - 10;
  const columns = Math.max(1, Math.floor((width + GAP) / (LEAST_WIDTH + GAP)));
  const cardWidth = (width - GAP * (columns - 1)) / columns;
  const row = Math.round((cardWidth * 3) / 4) + FOOT + GAP;
  const { scrollTop: scroll, clientHeight: extent } = element;
  return { isAcross, columns, row, rows: Math.ceil(count / columns), scroll, extent };
}
