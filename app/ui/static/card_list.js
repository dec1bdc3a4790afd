/** The list of images: of thousands only those in sight are on the page. */
import { h, syncList } from "./dom.js";
import { inSight, neighbourAt, rowsOf } from "./strip_rows.js";

const [GAP, LEAST_WIDTH, FOOT, ACROSS, HEAD] = [8, 140, 48, 132, 38];

/** @param {(item: object) => HTMLElement} build makes what stands for an item, which has an `id` */
export function cardList(build) {
  let items = [];
  const list = h("ul", { class: "st-filmstrip-list", "aria-label": "Images", onkeydown: walk });
  const element = h("div", { class: "st-filmstrip-scroll" }, list);
  /** How everything lies now; worked out anew only when it may have changed. */
  let laid = null;
  const layout = () => {
    const sizes = sizesIn(element);
    const key = JSON.stringify(sizes);
    if (laid?.items !== items || laid.key !== key)
      laid = { ...sizes, key, items, rows: rowsOf(items, sizes) };
    const [scroll, extent] = sizes.isAcross
      ? [element.scrollLeft, element.clientWidth]
      : [element.scrollTop, element.clientHeight];
    return { ...laid, scroll, extent };
  };
  const render = () => {
    const place = layout();
    const { first, last, before, after } = inSight(place.rows, place);
    list.style.setProperty("--before", `${before}px`);
    list.style.setProperty("--after", `${after}px`);
    list.style.setProperty("--columns", String(place.columns));
    list.style.setProperty("--row", `${place.card}px`);
    list.style.setProperty("--head", `${place.head}px`);
    syncList(list, items.slice(first, last), build);
  };
  /** Bring the item with this index into sight. */
  const reveal = (index) => {
    const { rows, scroll, extent, isAcross } = layout();
    const row = rows.find(({ first, last }) => first <= index && index < last);
    if (!row) return;
    const { top, height } = row;
    const to = top < scroll ? top : top + height > scroll + extent ? top + height - extent : scroll;
    element[isAcross ? "scrollLeft" : "scrollTop"] = to;
    render();
  };
  function walk(event) {
    if (!event.key.startsWith("Arrow")) return;
    const { rows, isAcross } = layout();
    const focused = document.activeElement.closest("[data-key]")?.dataset.key;
    const at = items.findIndex(({ id }) => String(id) === focused);
    const next = neighbourAt(rows, at, isAcross ? ALONG[event.key] : event.key);
    if (next === undefined) return;
    event.preventDefault();
    reveal(next);
    list.querySelector(`[data-key="${items[next].id}"] [data-focus="open"]`)?.focus();
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

/** In one row up and down mean the same as left and right. */
const ALONG = { ArrowUp: "ArrowLeft", ArrowDown: "ArrowRight", ArrowLeft: "ArrowLeft", ArrowRight: "ArrowRight" };

/** How large things are: cards lie beside each other in one row on narrow windows, else in columns. */
function sizesIn(element) {
  const isAcross = getComputedStyle(element).overflowX === "auto";
  if (isAcross) return { isAcross, columns: 1, card: ACROSS + GAP, head: ACROSS + GAP };
  const width = element.clientWidth - 10;
  const columns = Math.max(1, Math.floor((width + GAP) / (LEAST_WIDTH + GAP)));
  const cardWidth = (width - GAP * (columns - 1)) / columns;
  return { isAcross, columns, card: Math.round((cardWidth * 3) / 4) + FOOT + GAP, head: HEAD };
}
