/** The open project in figures and plots. */
import { histogram } from "./charts.js";
import { h, icon, iconButton, plural } from "./dom.js";
import { duration } from "./format.js";
import { overlay } from "./overlay.js";

const TABLES = ["categories", "images", "instances"];
const SCORES = {
  generic: "Scores",
  refer: "Scores of “This very object”, shares among candidates",
};

/** The button of the header, and `update` for when `project()`, the open one, has changed. */
export function statisticsButton(project) {
  const body = h("div", {});
  const links = h("div", { class: "st-figure-links" });
  const view = overlay("statistics", "Statistics", { extras: [links], opened: show }, body);

  async function show() {
    const { id } = project();
    links.replaceChildren(...TABLES.map((rows) => tableLink(id, rows)));
    body.replaceChildren(h("p", { class: "st-view-empty", role: "status" }, "Counting …"));
    try {
      const answer = await fetch(`projects/${id}/statistics`);
      if (!answer.ok) throw new Error(await answer.text());
      body.replaceChildren(...draw(await answer.json()));
    } catch (error) {
      const again = h("button", { type: "button", class: "st-button", onclick: show }, "Try again");
      const text = `The statistics could not be loaded: ${error.message}`;
      body.replaceChildren(h("p", { class: "st-view-empty", role: "alert" }, text, " ", again));
    }
  }

  const button = iconButton("chart", "Statistics of this project", view.open);
  const update = () => {
    button.disabled = !project();
    if (project()) view.openIfLinked();
  };
  return { button, update };
}

function tableLink(id, rows) {
  const href = `projects/${id}/statistics.csv?rows=${rows}`;
  const name = rows[0].toUpperCase() + rows.slice(1);
  return h(
    "a",
    { class: "st-button", href, download: "", title: `One row for each of the ${rows}, as CSV` },
    icon("download"),
    `${name} (CSV)`,
  );
}

function draw(figures) {
  const numbers = h("dl", { class: "st-numbers" }, ...summary(figures));
  if (!figures.counts.instances && !figures.counts.rejected)
    return [
      numbers,
      h("p", { class: "st-view-empty" }, "There are no instances yet. Mark an object and press Segment."),
      h("div", { class: "st-figures" }, timePlot(figures.time)),
    ];
  return [numbers, plots(figures), categoryTable(figures.categories)];
}

function summary({ images, segmented, reviewed, counts, time }) {
  const decided = `${counts.accepted.toLocaleString()} accepted`;
  const byHand = `${counts.corrected.toLocaleString()} of them corrected`;
  return [
    number("Images", images.toLocaleString(), `${segmented.toLocaleString()} segmented`),
    number("Reviewed", images ? percent(reviewed / images) : "–", plural(reviewed, "image")),
    number("Instances", counts.instances.toLocaleString(), decided),
    number("Acceptance", percent(counts.acceptance), `${plural(counts.rejected, "instance")} rejected`),
    number("By hand", (counts.corrected + counts.by_hand).toLocaleString(), byHand),
    number("Time spent", duration(time.total), `median ${duration(time.median)} per image`),
    number("Time per instance", duration(time.per_accepted), "accepted ones"),
  ];
}

function number(name, value, detail) {
  return h("div", {}, h("dt", {}, name), h("dd", {}, value), h("dd", { class: "st-subtle" }, detail));
}

function percent(share) {
  return share === null ? "–" : `${Math.round(100 * share)} %`;
}

function plots({ per_image, sizes, scores, time }) {
  const parts = ["accepted", "proposed"];
  return h(
    "div",
    { class: "st-figures" },
    histogram("Instances per image", perImage(per_image)),
    histogram(
      "Sizes in pixels (√ area)",
      sizes.map((bin) => bar(bin, `${bin.low}–${bin.high}`, `${bin.low} to ${bin.high} pixels`)),
      parts,
    ),
    Object.entries(scores).map(([task, bins]) =>
      histogram(
        SCORES[task],
        bins.map((bin) => bar(bin, bin.low.toFixed(2), `${bin.low.toFixed(2)} to ${bin.high.toFixed(2)}`)),
        parts,
      ),
    ),
    timePlot(time),
  );
}

/** Nothing before anybody has worked on an image. */
function timePlot({ per_image }) {
  return per_image.length > 0 && histogram("Time per image", timeBars(per_image), ["reviewed", "to review"]);
}

/** A bar for each bin of times, which are seconds up to a minute, then minutes, then hours. */
export function timeBars(bins) {
  return bins.map(({ low, high, reviewed, to_review }) => {
    const [divisor, unit] = low < 60 ? [1, "s"] : low < 3600 ? [60, "min"] : [3600, "h"];
    const [from, to] = [low / divisor, high === null ? null : high / divisor];
    const label = to === null ? `≥ ${from} ${unit}` : `${from}–${to} ${unit}`;
    const images = plural(reviewed + to_review, "image");
    const name = `${label}: ${images}, ${reviewed.toLocaleString()} reviewed`;
    return { label, name, parts: [reviewed, to_review] };
  });
}

function bar({ accepted, proposed }, label, range) {
  return {
    label,
    name: `${range}: ${plural(accepted + proposed, "instance")}, ${accepted.toLocaleString()} accepted`,
    parts: [accepted, proposed],
  };
}

/** One bar per number of instances; where numbers go far, in groups of equal width. */
export function perImage(pairs, atMost = 14) {
  const most = Math.max(0, ...pairs.map(([instances]) => instances));
  const width = Math.ceil((most + 1) / atMost);
  return Array.from({ length: Math.ceil((most + 1) / width) }, (_, index) => {
    const [low, high] = [index * width, (index + 1) * width - 1];
    const images = pairs
      .filter(([instances]) => instances >= low && instances <= high)
      .reduce((sum, [, count]) => sum + count, 0);
    const label = low === high ? `${low}` : `${low}–${high}`;
    return { label, name: `${label} instances: ${plural(images, "image")}`, parts: [images] };
  });
}

const COLUMNS = {
  Category: "",
  Instances: "Those that are shown",
  Images: "Images with at least one",
  Accepted: "",
  Corrected: "Mask or category changed by hand",
  "By hand": "Drawn or imported",
  Rejected: "",
  Acceptance: "Accepted of those that were found and decided on",
  "Median area": "In pixels",
  "Mean score": "Of what “Every object like these” found",
};

function categoryTable(categories) {
  const most = Math.max(1, ...categories.map(({ counts }) => counts.instances));
  const heads = Object.entries(COLUMNS).map(([name, title]) =>
    h("th", { scope: "col", title: title || null }, name),
  );
  return h(
    "div",
    { class: "st-table-frame" },
    h(
      "table",
      { class: "st-table" },
      h("thead", {}, h("tr", {}, heads)),
      h("tbody", {}, categories.map((one) => row(one, most))),
    ),
  );
}

function row({ name, color, images, counts, median_area, mean_score }, most) {
  const cells = [
    images.toLocaleString(),
    counts.accepted.toLocaleString(),
    counts.corrected.toLocaleString(),
    counts.by_hand.toLocaleString(),
    counts.rejected.toLocaleString(),
    percent(counts.acceptance),
    median_area === null ? "–" : Math.round(median_area).toLocaleString(),
    mean_score === null ? "–" : mean_score.toFixed(2),
  ];
  const swatch = { class: "st-table-swatch", style: { background: color }, "aria-hidden": "true" };
  const length = { style: { width: `${(100 * counts.instances) / most}%`, background: color } };
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, h("span", swatch), name),
    h("td", { class: "st-table-bar" }, h("b", {}, counts.instances.toLocaleString()), h("span", length)),
    cells.map((cell) => h("td", {}, cell)),
  );
}
