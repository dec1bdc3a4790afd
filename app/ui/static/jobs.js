/** All background work at a glance, from any project: what runs, what waits, what came of the last. */
import { h, hear, icon, plural, syncList, tell } from "./dom.js";
import { describe, fillBar, isBusy } from "./job_text.js";
import { menu } from "./menu.js";

const POLL_MS = 700;

/**
 * Build the button of the header with its list.
 * @param {HTMLElement} element on the page for as long as jobs are to be followed
 * @param {function(string, object)} trigger
 * @returns {{node: HTMLElement, update: function(Array)}}
 */
export function jobsButton(element, trigger) {
  const state = { jobs: null, asked: 0 };
  const list = h("ul", { class: "st-job-list" });
  const none = h("p", { class: "st-subtle" }, "No background work.");
  const clear = h(
    "button",
    { type: "button", class: "st-link", onclick: () => trigger("jobs_put_away", {}) },
    "Clear the list",
  );
  const label = h("span", {});
  const bar = h("progress", { class: "st-jobs-bar", "aria-hidden": "true" });
  const { button, panel } = menu("st-jobs", "Background work", [icon("clock"), label, bar], () => [
    h("h2", { class: "st-menu-title" }, "Background work"),
    list,
    none,
    h("div", { class: "st-job-foot" }, clear),
  ]);
  const node = h("div", { class: "st-jobs" }, button, panel);
  const update = (jobs) => {
    announceEnded(state.jobs, jobs);
    state.jobs = jobs;
    state.asked = Date.now();
    const active = jobs.filter(isBusy);
    label.textContent = active.length ? String(active.length) : "";
    bar.hidden = !active.length;
    if (active.length) fillBar(bar, active[0]);
    button.title = active.length
      ? `${plural(active.length, "job")}: ${active[0].title}, ${describe(active[0])}`
      : "Background work";
    syncList(list, jobs, (job) => jobRow(job, trigger));
    none.hidden = jobs.length > 0;
    clear.hidden = jobs.every(isBusy);
    tell("jobs", jobs);
  };
  const ask = () => {
    state.asked = Date.now();
    trigger("jobs_polled", {});
  };
  window.setInterval(() => {
    const isDue = state.jobs?.some(isBusy) && Date.now() - state.asked >= POLL_MS;
    if (element.isConnected && isDue) ask();
  }, POLL_MS / 2);
  hear(element, "jobs-wanted", ask);
  return { node, update };
}

function announceEnded(before, now) {
  for (const job of now) {
    const earlier = before?.find(({ id }) => id === job.id);
    if (!isBusy(job) && (before && !earlier ? true : earlier && isBusy(earlier)))
      tell("job-ended", job);
  }
}

function jobRow(job, trigger) {
  const busy = isBusy(job);
  const bar = h("progress", { "aria-label": "Progress" });
  if (busy) fillBar(bar, job);
  const act = (name, text, event, glyph) =>
    h(
      "button",
      {
        type: "button",
        class: "st-button",
        "data-focus": name,
        onclick: () => trigger(event, { job_id: job.id }),
      },
      icon(glyph),
      text,
    );
  return h(
    "li",
    { class: `st-job-row is-${job.state}` },
    h(
      "div",
      { class: "st-job-what" },
      icon({ done: "check", failed: "warning" }[job.state] ?? "clock"),
      h("strong", {}, job.title),
      h("span", { class: "st-subtle" }, job.project_name),
    ),
    busy && bar,
    h("p", { class: "st-subtle", role: "status" }, busy ? describe(job) : job.message),
    job.problems.length > 0 && problemDetails(job.problems),
    h(
      "div",
      { class: "st-job-actions" },
      busy && act("cancel", "Cancel", "job_cancelled", "stop"),
      (job.state === "failed" || job.state === "cancelled") &&
        act("go-on", "Go on", "job_resumed", "play"),
      job.file && h("a", { class: "st-button", href: job.file, download: "" }, icon("download"), "Download"),
    ),
  );
}

function problemDetails(problems) {
  return h(
    "details",
    { class: "st-job-problems" },
    h("summary", {}, plural(problems.length, "problem")),
    h(
      "ul",
      {},
      problems.slice(0, 100).map((text) => h("li", {}, text)),
    ),
  );
}
