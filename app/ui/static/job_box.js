/** One kind of background job beside the button that began it: how far it is, a way to stop it. */
import { h, icon } from "./dom.js";

const POLL_MS = 400;

export function isActive(job) {
  return job !== null && (job.state === "queued" || job.state === "running");
}

/**
 * @param {(name: string, detail: object) => void} trigger tells the server `polled` while the job is
 *   under way, and `job_cancelled` with the job_id
 * @param {() => object} place what every event of the panel carries
 * @returns {{element: HTMLElement, render: (job: object | null) => void}}
 */
export function jobBox(trigger, place) {
  let shown = null;
  let watched = null;
  const bar = h("progress", { "aria-label": "Progress" });
  const line = h("p", { class: "st-job-line", role: "status" });
  const stop = h(
    "button",
    {
      type: "button",
      class: "st-button",
      onclick: () => {
        stop.disabled = true;
        trigger("job_cancelled", { ...place(), job_id: shown.id });
      },
    },
    icon("stop"),
    "Stop",
  );
  const problems = h("ul", { class: "st-problems" });
  const element = h("div", { class: "st-job", hidden: true }, bar, line, problems, stop);
  window.setInterval(() => {
    if (element.isConnected && isActive(shown)) trigger("polled", place());
  }, POLL_MS);
  const render = (job) => {
    if (job?.id !== shown?.id) stop.disabled = false;
    shown = job;
    const busy = isActive(job);
    if (busy) watched = job.id;
    // How it ended matters to who has seen it run; trouble matters to everybody.
    const isNews = job !== null && (busy || job.id === watched || job.state === "failed");
    element.hidden = !isNews;
    if (!isNews) return;
    bar.hidden = stop.hidden = !busy;
    if (job.total) Object.assign(bar, { max: job.total, value: job.done });
    else bar.removeAttribute("value");
    line.textContent = job.message || "Waiting for its turn …";
    line.classList.toggle("st-problems", job.state === "failed");
    problems.replaceChildren(...job.problems.map((text) => h("li", {}, text)));
  };
  return { element, render };
}
