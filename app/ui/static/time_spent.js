/** Reports to the server how long somebody worked on which image. */
import { ActiveTime } from "./active_time.js";
import { keep, recall } from "./remembered.js";

const REPORT_MS = 10_000;
const SIGNS = ["pointermove", "pointerdown", "wheel", "keydown"];

/**
 * Watch for signs of life as long as `element` is on the page.
 * @returns {(imageId: number | null) => void} is told which image is open
 */
export function timeSpent(element) {
  const time = new ActiveTime();
  const now = () => performance.now();
  const controller = new AbortController();
  const on = (target, name, act) => {
    const listener = (event) => (element.isConnected ? act(event) : controller.abort());
    target.addEventListener(name, listener, { signal: controller.signal, capture: true, passive: true });
  };
  // Who looks at statistics or settings is not at work on the image below.
  const isElsewhere = ({ target }) => Boolean(target.closest?.("dialog.st-view"));
  const hasMoved = movement();
  for (const name of SIGNS)
    on(window, name, (event) => {
      if (isElsewhere(event)) time.leave(now());
      else if (name !== "pointermove" || hasMoved(event)) time.act(now());
    });
  const leave = () => {
    time.leave(now());
    report(time, now());
  };
  on(window, "blur", ({ target }) => target === window && leave());
  on(window, "pagehide", leave);
  on(document, "visibilitychange", () => document.hidden && leave());
  const timer = window.setInterval(() => {
    if (element.isConnected) report(time, now());
    else window.clearInterval(timer);
  }, REPORT_MS);
  return (imageId) => time.open(imageId, now());
}

/** Browsers tell of a pointer that rests, too, when the page below it changes. */
function movement() {
  let last = "";
  return ({ screenX, screenY }) => {
    const before = last;
    last = `${screenX} ${screenY}`;
    return last !== before;
  };
}

/** What the server does not acknowledge is told again; only it knows how much time has passed. */
async function report(time, now) {
  const taken = time.take(now);
  if (!taken.length) return;
  const answer = await fetch(new URL("time-spent", document.baseURI), {
    method: "POST",
    keepalive: true, // arrives also when the page is left
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({
      browser: browserId(),
      image_ids: taken.map(([image]) => image),
      seconds: taken.map(([, worked]) => worked / 1000),
    }),
  }).catch(() => null);
  // An image that is gone needs no time any more.
  if (!answer?.ok && answer?.status !== 404) time.giveBack(taken);
}

/** One for all tabs of a browser. */
function browserId() {
  const known = recall("browser", "");
  // Unlike randomUUID, this is there without https, too.
  const id = known || [...crypto.getRandomValues(new Uint32Array(4))].join("-");
  if (!known) keep("browser", id);
  return id;
}
