/** Histograms as SVG, drawn here: a handful of bars needs no library. */
import { h } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, FOOT, HEAD] = [360, 150, 20, 14];
const SIDE = 10; // room for the labels of the first and the last bar
const LABELS = 10;

/**
 * @param {string} title also the name for screen readers, with the figures
 * @param {Array<{label: string, name: string, parts: number[]}>} bars `parts` are stacked; `label`
 *   stands below, where there is room, and `name` says in words what the bar counts
 * @param {string[]} [legend] what the parts are
 * @returns {HTMLElement}
 */
export function histogram(title, bars, legend = []) {
  const most = Math.max(1, ...bars.map(({ parts }) => sum(parts)));
  const step = (WIDTH - 2 * SIDE) / Math.max(1, bars.length);
  const every = Math.ceil(bars.length / LABELS);
  const words = bars.filter(({ parts }) => sum(parts)).map(({ name }) => name);
  const keys = legend.map((name, number) => h("span", { class: `st-legend is-${number}` }, name));
  return h(
    "figure",
    { class: "st-figure" },
    h("figcaption", {}, h("span", {}, title), h("span", {}, keys)),
    svg(
      "svg",
      {
        viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
        class: "st-chart",
        role: "img",
        "aria-label": `${title}: ${words.join("; ")}`,
      },
      bars.map((one, index) => column(one, { index, step, most, isLabelled: index % every === 0 })),
      svg("line", { x1: 0, x2: WIDTH, y1: HEIGHT - FOOT, y2: HEIGHT - FOOT, class: "st-axis" }),
    ),
  );
}

function column({ label, name, parts }, { index, step, most, isLabelled }) {
  const scale = (HEIGHT - FOOT - HEAD) / most;
  const left = SIDE + index * step;
  const middle = left + step / 2;
  let top = HEIGHT - FOOT;
  const rectangles = parts.map((part, number) => {
    const height = part * scale;
    top -= height;
    const place = { x: left + step * 0.1, y: top, width: step * 0.8, height };
    return svg("rect", { ...place, class: `st-part is-${number}` });
  });
  const total = sum(parts);
  return svg(
    "g",
    {},
    svg("title", {}, name),
    rectangles,
    total ? text(total.toLocaleString(), middle, top - 3) : [],
    isLabelled ? text(label, middle, HEIGHT - FOOT + 13) : [],
  );
}

function text(content, x, y) {
  return svg("text", { x, y, "text-anchor": "middle" }, content);
}

function sum(parts) {
  return parts.reduce((total, part) => total + part, 0);
}

function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.flat());
  return node;
}
