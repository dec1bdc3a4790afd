/** Background jobs in words. */
import { plural } from "./dom.js";

export function isBusy(job) {
  return job !== null && (job.state === "queued" || job.state === "running");
}

/** How far a job is, how long it will take, and how fast it goes. */
export function describe(job) {
  const found = job.found ? `${job.found.toLocaleString()} found` : null;
  if (job.state === "running" && job.total) {
    const rate = job.images_per_second ? `${speed(job.images_per_second)} images/s` : null;
    const left = isNumber(job.seconds_left) ? `${duration(job.seconds_left)} left` : null;
    const count = `${job.done.toLocaleString()} of ${job.total.toLocaleString()}`;
    return [count, left, rate, found, job.done ? null : job.message].filter(Boolean).join(" · ");
  }
  if (job.state === "queued" && job.id) return "Waits for its turn";
  return job.message || "Starting …";
}

function isNumber(value) {
  return value !== null && value !== undefined;
}

function speed(rate) {
  return rate < 10 ? rate.toFixed(1) : Math.round(rate).toLocaleString();
}

export function duration(seconds) {
  if (seconds < 1.5) return "a second";
  if (seconds < 90) return `about ${Math.round(seconds)} s`;
  if (seconds < 5400) return `about ${Math.round(seconds / 60)} min`;
  return `about ${plural(Math.round(seconds / 3600), "hour")}`;
}

/** Make `bar` show how far the job is; without a total it only moves. */
export function fillBar(bar, job) {
  if (job.total && job.state === "running") {
    bar.max = job.total;
    bar.value = job.done;
  } else bar.removeAttribute("value");
}
