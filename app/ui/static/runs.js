/** Segment, watch it work, choose the score threshold, take the result away. */
import { follow, h, hear, icon, plural, tell } from "./dom.js";
import { describe, fillBar, isBusy } from "./job_text.js";
import { outdatedText } from "./outdated.js";
import { buildRunOptions, renderRunOptions } from "./run_options.js";
import { section } from "./section.js";
import { isShown, withThreshold } from "./thresholds.js";

const POLL_MS = 400;
/** After this a run that was asked for and has not begun is taken for one that could not be. */
const START_MS = 20_000;

/** What a score means, for the tooltip of the slider. */
const SCORE_HELP = {
  generic: "How much a mask looks like the marked objects, each judged by itself.",
  refer:
    "How much better a mask fits the object than all others on the image, whose scores add up to 1.",
};

export function mount(context) {
  const { element, trigger } = context;
  const state = {
    job: null,
    score_threshold: 0.5,
    sent: null,
    run_options: { task: "generic", in_tiles: false },
    sentOptions: null,
    watched: null,
    dismissed: null,
    // What was pressed a moment ago: the job before, and when.
    pressed: null,
  };
  const parts = build(element, state, trigger);
  follow(context, (value) => {
    const before = { ...state };
    Object.assign(state, value);
    keepChosenThreshold(state, before, value, parts.slider);
    keepChosenOptions(state, before, value);
    keepStarting(state, before, value);
    renderRunOptions(parts.options, state);
    renderButtons(parts, state);
    renderJob(parts, state);
    renderThreshold(parts, state);
    if (state.score_threshold !== before.score_threshold || state.shown_task !== before.shown_task)
      tellThreshold(state);
  });
  window.setInterval(() => {
    if (element.isConnected && isBusy(state.job)) trigger("polled", place(state));
  }, POLL_MS);
  hear(element, "category-threshold", (change) => {
    state.category_thresholds = withThreshold(state.category_thresholds, change);
    renderThreshold(parts, state);
  });
  // Another window may have changed the project meanwhile.
  document.addEventListener("visibilitychange", () => {
    if (element.isConnected && !document.hidden && state.project_id)
      trigger("polled", place(state));
  });
}

/** Save the chosen threshold at once; the number lets the server ignore one that was overtaken. */
function sendThreshold(state, trigger) {
  state.sent = state.score_threshold;
  const order = Date.now();
  const task = state.shown_task;
  trigger("threshold_changed", { ...place(state), score_threshold: state.sent, task, order });
}

function tellThreshold({ score_threshold, shown_task }) {
  tell("threshold", { score_threshold, task: shown_task });
}

/** What the user is choosing goes before an answer that was under way. */
function keepChosenThreshold(state, before, value, slider) {
  const settled =
    value.refused ||
    value.project_id !== before.project_id ||
    value.shown_task !== before.shown_task;
  const answered = value.score_threshold === state.sent;
  if (settled || answered) state.sent = null;
  if (!settled && (state.sent !== null || slider.matches(":active")))
    state.score_threshold = before.score_threshold;
}

function keepChosenOptions(state, before, value) {
  const settled = value.refused || value.project_id !== before.project_id;
  const answered = JSON.stringify(value.run_options) === JSON.stringify(state.sentOptions);
  if (settled || answered) state.sentOptions = null;
  if (state.sentOptions !== null) state.run_options = before.run_options;
}

/** An answer that was under way when a run was started must not show it as not begun. */
function keepStarting(state, before, value) {
  if (state.pressed === null) return;
  const { jobId, at } = state.pressed;
  const isElsewhere = value.refused || value.project_id !== before.project_id;
  const isAnswered = isElsewhere || (value.job?.id ?? null) !== jobId;
  if (isAnswered || performance.now() - at > START_MS) state.pressed = null;
  else state.job = before.job;
}

function build(element, state, trigger) {
  const options = buildRunOptions(state, (run_options) => {
    state.run_options = state.sentOptions = run_options;
    renderRunOptions(options, state);
    trigger("run_options_changed", { ...place(state), run_options });
  });
  const all = h("button", {
    type: "button",
    class: "st-button st-primary",
    onclick: () => start(null),
  });
  const one = h(
    "button",
    { type: "button", class: "st-button", onclick: () => start(state.image_id) },
    "Segment this image",
  );
  const hint = h("p", { class: "st-hint" });
  const outdated = h("p", { class: "st-hint st-outdated" });
  const job = h("div", { class: "st-job" });
  const bar = h("progress", { "aria-label": "Progress" });
  const line = h("p", { class: "st-job-line", role: "status" });
  const cancel = h(
    "button",
    {
      type: "button",
      class: "st-button",
      onclick: () => {
        state.cancelled = state.job.id;
        renderJob(parts, state);
        trigger("job_cancelled", { ...place(state), job_id: state.job.id });
      },
    },
    icon("stop"),
    "Cancel",
  );
  const slider = h("input", {
    type: "range",
    class: "st-slider",
    step: "0.01",
    max: "1",
    "aria-label": "Score threshold",
  });
  const number = h("output", { class: "st-threshold-value" });
  const meaning = h("div", { class: "st-threshold-head" }, h("label", {}, "Score threshold"), number);
  const counts = h("p", { class: "st-subtle", role: "status" });
  const advice = h(
    "p",
    { class: "st-subtle" },
    "The scores of all candidates on an image add up to 1, so even a low one can be right.",
  );
  const download = h(
    "a",
    { class: "st-button", download: "" },
    icon("download"),
    "Download COCO JSON",
  );
  const start = (image_id) => {
    if (image_id === null || !isBusy(state.job)) {
      state.pressed = { jobId: state.job?.id ?? null, at: performance.now() };
      state.job = { state: "queued", done: 0, total: 0, problems: [], message: "Starting …" };
    } else state.is_image_busy = true;
    renderJob(parts, state);
    renderButtons(parts, state);
    const { run_options } = state;
    trigger("segment_pressed", { ...place(state), run_options, only_image_id: image_id });
  };
  const jobParts = { job, bar, line, cancel };
  const thresholdParts = { slider, number, meaning, counts, advice };
  const parts = { options, all, one, hint, outdated, ...jobParts, ...thresholdParts, download };
  slider.addEventListener("input", () => {
    state.score_threshold = Number(slider.value);
    renderThreshold(parts, state);
    tellThreshold(state);
  });
  slider.addEventListener("change", () => sendThreshold(state, trigger));
  element.replaceChildren(
    section(
      "runs",
      "Segment",
      { class: "st-runs" },
      options.task,
      options.note,
      h("div", { class: "st-run-buttons" }, all, one),
      hint,
      outdated,
      options.more,
      job,
      h("div", { class: "st-threshold" }, meaning, slider, counts, advice),
      download,
    ),
  );
  return parts;
}

function place(state) {
  return { project_id: state.project_id, image_id: state.image_id };
}

/** Say what is missing in words beside the buttons: a dead button alone explains nothing. */
function renderButtons({ all, one, hint, outdated, download }, state) {
  const busy = isBusy(state.job);
  const reason = missing(state);
  all.replaceChildren(
    icon("sparkle"),
    state.targets
      ? `Segment ${state.targets === 1 ? "1 target" : `all ${state.targets} targets`}`
      : "Segment",
  );
  all.disabled = busy || Boolean(reason);
  // One image goes between two of a long run.
  one.disabled = (busy && state.job?.lane !== "batch") || state.is_image_busy || Boolean(reason) || !state.is_target;
  one.title = state.is_target
    ? ""
    : "This image is not a target; switch “Target” on below its thumbnail.";
  hint.textContent = busy ? "" : reason;
  hint.hidden = busy || !reason;
  outdated.hidden = busy || !state.outdated;
  outdated.replaceChildren(icon("warning"), outdatedText(state.outdated ?? 0));
  const exportable = state.segmented_images > 0;
  download.classList.toggle("is-disabled", !exportable);
  download.setAttribute("aria-disabled", String(!exportable));
  download.title = exportable
    ? "All instances above the score threshold, at the original size of the images"
    : "There is nothing to download before the first segmentation.";
  if (exportable) download.href = downloadUrl(state);
  else download.removeAttribute("href");
}

/** The slider may be ahead of what is saved; it speaks for the task whose results it filters. */
function downloadUrl({ project_id, score_threshold, shown_task }) {
  return `projects/${project_id}/coco.json?score_threshold=${score_threshold}&task=${shown_task}`;
}

function missing(state) {
  if (!state.images) return "Add images, or open the example, to begin.";
  if (!state.marks) return "Mark an object you are looking for, on this or any other image.";
  if (!state.targets) return "No image is a target: switch “Target” on below a thumbnail.";
  return "";
}

function renderJob({ job: box, bar, line, cancel }, state) {
  const { job } = state;
  if (isBusy(job)) {
    state.watched = job.id ?? null;
    cancel.disabled = !job.id || state.cancelled === job.id;
    line.textContent = cancel.disabled && job.id ? "Stopping after this image …" : describe(job);
    fillBar(bar, job);
    return show(box, [bar, line, cancel]);
  }
  // How a job ended well matters only to who has seen it run; trouble matters to everybody.
  const isNews = job && (job.state !== "done" || job.problems.length || job.id === state.watched);
  if (!isNews || job.id === state.dismissed) return box.replaceChildren();
  const failed = job.state === "failed" ? "st-problems" : "";
  const dismiss = () => {
    state.dismissed = job.id;
    box.replaceChildren();
  };
  return box.replaceChildren(
    h("p", { class: `st-job-line ${failed}`, role: "status" }, job.message),
    ...(job.problems.length ? [problemList(job.problems)] : []),
    h("button", { type: "button", class: "st-link", onclick: dismiss }, "Dismiss"),
  );
}

function problemList(problems) {
  return h(
    "ul",
    { class: "st-problems" },
    problems.map((text) => h("li", {}, text)),
  );
}

/** Put exactly these nodes in the box, leaving a node that stays where it is (and has the focus) alone. */
function show(box, nodes) {
  if (
    box.children.length !== nodes.length ||
    nodes.some((node, index) => box.children[index] !== node)
  )
    box.replaceChildren(...nodes);
}

function renderThreshold({ slider, number, meaning, counts, advice, download }, state) {
  meaning.title = SCORE_HELP[state.shown_task] ?? "";
  advice.hidden = state.shown_task !== "refer";
  slider.min = state.score_floor;
  slider.value = state.score_threshold;
  slider.style.setProperty(
    "--fill",
    `${(100 * (slider.value - slider.min)) / (slider.max - slider.min)}%`,
  );
  number.textContent = state.score_threshold.toFixed(2);
  const shown = state.scores?.filter((instance) => isShown(instance, state)).length ?? 0;
  counts.textContent =
    state.scores === null || state.scores === undefined ? "" : tally(shown, state.scores.length);
  if (download.hasAttribute("href")) download.href = downloadUrl(state);
}

function tally(shown, total) {
  if (!total) return "Nothing found on this image.";
  if (!shown)
    return `Nothing above the threshold; ${plural(total, "proposal")} below it on this image.`;
  return `${shown} of ${plural(total, "proposal")} shown on this image.`;
}
