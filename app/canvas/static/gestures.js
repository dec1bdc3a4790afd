/**
 * What a pointer does between going down and coming up. A gesture is an object {move, end, cancel};
 * `move` gets all places (stage pixels) the pointer went through, newest last.
 *
 * `surface` is the canvas: store, settings, view, image, pixel and setView, toImage, repaint, say.
 */
import { intoImage } from "./geometry.js";
import { newId } from "./ids.js";
import {
  areaUnder,
  begun,
  extended,
  finished,
  handleUnder,
  lineUnder,
  moved,
  reshaped,
} from "./shapes.js";
import { panned, pinched } from "./view.js";

/** How near, in screen pixels, a place must be to something to mean it. */
export const REACH = { mouse: 7, pen: 9, touch: 16 };
const STILL = 4;

/** Move the image. `onTap` is called if the pointer came up where it went down. */
export function pan(surface, start, onTap = () => {}) {
  const from = surface.view;
  let travelled = false;
  return {
    move(places) {
      const at = places.at(-1);
      travelled ||= Math.hypot(at.x - start.x, at.y - start.y) > STILL;
      if (!travelled) return;
      const { image, stage } = surface;
      surface.setView(panned(from, at.x - start.x, at.y - start.y, image, stage));
    },
    end() {
      if (!travelled) onTap();
    },
    cancel() {},
  };
}

/** Zoom and move with two fingers; `fingers` gives their places now. */
export function pinch(surface, fingers) {
  const [from, start] = [surface.view, fingers()];
  return {
    move() {
      surface.setView(pinched(from, start, fingers(), surface.image, surface.stage));
    },
    end() {},
    cancel() {},
  };
}

/** Draw a point, box or scribble. */
export function draw(surface, start, positive) {
  const { settings, store, image } = surface;
  surface.draft = begun(settings.tool, intoImage(surface.toImage(start), image), {
    categoryId: store.activeCategoryId,
    positive,
    width: settings.scribbleWidth(image),
  });
  surface.repaint("marks");
  return {
    move(places) {
      const inside = places.map((place) => intoImage(surface.toImage(place), image));
      surface.draft = extended(surface.draft, inside);
      surface.repaint("marks");
    },
    end: () => finishDraft(surface),
    cancel: () => dropDraft(surface),
  };
}

/** Keep what is being drawn, if it is large enough to mean something. */
export function finishDraft(surface) {
  const { draft, store } = surface;
  const prompt = finished(draft, surface.pixel);
  dropDraft(surface);
  if (prompt) {
    store.addPrompt({ id: newId(), ...prompt });
    surface.say(`${described(prompt, store)} added`);
  } else if (draft.type === "box") surface.say("Drag from corner to corner to draw a box");
  else surface.say("A polygon needs at least three corners");
}

export function dropDraft(surface) {
  surface.draft = null;
  surface.repaint("marks");
}

/** Set a corner of a polygon; near the first or last corner, close it. */
export function vertex(surface, start, positive, reach) {
  let at = start;
  return {
    move(places) {
      at = places.at(-1);
    },
    end: () => addVertex(surface, intoImage(surface.toImage(at), surface.image), positive, reach),
    cancel() {},
  };
}

/** @param {{x: number, y: number}} at in image pixels. */
export function addVertex(surface, at, positive, reach) {
  const { draft, store, pixel } = surface;
  const nearTo = (x, y) => Math.hypot(at.x - x, at.y - y) <= reach * pixel;
  if (!draft) {
    surface.draft = begun("polygon", at, { categoryId: store.activeCategoryId, positive });
  } else if (nearTo(...draft.points.slice(-2)) || nearTo(...draft.points.slice(0, 2))) {
    if (draft.points.length >= 6) return finishDraft(surface);
  } else {
    surface.draft = extended(draft, [at]);
  }
  return surface.repaint("marks");
}

/** Take hold of what is under the pointer: a handle, a mark, a found object, or the image. */
export function grab(surface, start, reach) {
  const { store } = surface;
  const at = surface.toImage(start);
  const near = reach * surface.pixel;
  const { selectedPrompt } = store;
  if (store.readOnly) return pan(surface, start, () => selectInstance(surface, at));
  if (selectedPrompt) {
    const handle = handleUnder(selectedPrompt, at, near);
    if (handle >= 0)
      return drag(surface, start, selectedPrompt, (to) =>
        reshaped(selectedPrompt, handle, to, surface.image),
      );
  }
  const prompt = promptUnder(surface, at, near);
  if (!prompt) return pan(surface, start, () => selectInstance(surface, at));
  store.select({ promptId: prompt.id });
  return drag(surface, start, prompt, (to) =>
    moved(prompt, to.x - at.x, to.y - at.y, surface.image),
  );
}

/** @returns {object | null} a mark by its line; or by its inside, where nothing found lies. */
export function promptUnder(surface, at, near) {
  const { prompts, selectedPrompt } = surface.store;
  const inside = (list) => areaUnder(list, at, surface.maskContains);
  const byLine = lineUnder(prompts, at, near) ?? inside(selectedPrompt ? [selectedPrompt] : []);
  return byLine ?? (surface.instanceUnder(at) ? null : inside(prompts));
}

function selectInstance(surface, at) {
  surface.store.select({ instanceId: surface.instanceUnder(at)?.id ?? null });
}

/** Change a mark with the pointer. It is shown at once and kept when the pointer comes up. */
function drag(surface, start, prompt, changed) {
  const finish = (keep) => {
    const { preview } = surface;
    surface.preview = null;
    if (keep && preview) surface.store.replacePrompt(preview);
    surface.repaint("marks");
  };
  return {
    move(places) {
      const at = places.at(-1);
      if (!surface.preview && Math.hypot(at.x - start.x, at.y - start.y) <= STILL) return;
      surface.preview = changed(surface.toImage(at));
      surface.repaint("marks");
    },
    end: () => finish(true),
    cancel: () => finish(false),
  };
}

/** @returns {string} a mark in words: "Box for coin", "Negative point for coin". */
export function described({ type, category_id: id, positive }, store) {
  const name = store.category(id)?.name ?? "a category that was removed";
  const kind = positive ? type[0].toUpperCase() + type.slice(1) : `Negative ${type}`;
  return `${kind} for ${name}`;
}
