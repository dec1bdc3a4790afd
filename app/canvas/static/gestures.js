/**
 * What a pointer does between going down and coming up. A gesture is an object {move, end, cancel};
 * `move` gets all places (stage pixels) the pointer went through, newest last.
 *
 * `surface` is the canvas: store, settings, view, image, pixel and setView, toImage, repaint, say.
 */
import { begunStroke } from "./brush.js";
import { intoImage } from "./geometry.js";
import { newId } from "./ids.js";
import { addObject } from "./object_strokes.js";
import { sideNear } from "./outlines.js";
import {
  areaUnder,
  begun,
  cornerCount,
  extended,
  finished,
  handleUnder,
  hasCorners,
  lineUnder,
  moved,
  reshaped,
  withoutCorner,
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

/** Begin a point, box or scribble at a place of the image; or a stroke of the brush. */
export function beginDraft(surface, at, how) {
  const { settings, store, image } = surface;
  const width = settings.widthOf(settings.tool, image);
  surface.draft =
    settings.tool === "mask"
      ? begunStroke(paintedOn(surface, at, how), at, { image, radius: width / 2, ...how })
      : begun(settings.tool, at, { categoryId: store.activeCategoryId, width, ...how });
  surface.repaint("marks");
}

/** The mask a stroke belongs to: the selected one, else when erasing that below, else a new one. */
function paintedOn({ store, settings, masks }, at, { positive, erases }) {
  if (settings.annotates) return { category_id: store.activeCategoryId, positive: true };
  const { selectedPrompt, prompts } = store;
  if (selectedPrompt?.type === "mask") return selectedPrompt;
  const painted = prompts.filter(({ type }) => type === "mask");
  const below = erases ? areaUnder(painted, at, masks) : null;
  return below ?? { category_id: store.activeCategoryId, positive };
}

/**
 * Draw a point, box or scribble, or paint with the brush.
 * @param {{positive: boolean, erases: boolean}} how
 */
export function draw(surface, start, how) {
  const { image } = surface;
  beginDraft(surface, intoImage(surface.toImage(start), image), how);
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
  if (prompt && surface.settings.annotates && ANNOTATING.includes(prompt.type))
    addObject(surface, prompt);
  else if (draft.id) finishMask(surface, draft, prompt);
  else if (prompt) {
    const added = { id: newId(), ...prompt };
    store.addPrompt(added);
    surface.say(`${described(prompt, store)} added`);
    // The next strokes belong to it, too.
    if (prompt.type === "mask") store.select({ promptId: added.id });
  } else surface.say(TOO_SMALL[draft.type]);
}

/** What can be an object by itself; a point or a scribble marks one only. */
const ANNOTATING = ["box", "polygon", "mask"];

const TOO_SMALL = {
  box: "Drag from corner to corner to draw a box",
  polygon: "A polygon needs at least three corners",
  mask: "There is no mask here to erase from",
};

/** Keep the strokes on a mask that was there already. */
function finishMask({ store, say }, draft, prompt) {
  if (prompt) store.replacePrompt(prompt);
  else store.removePrompt(draft.id);
  say(`${described(draft, store)} ${prompt ? "changed" : "erased"}`);
}

export function dropDraft(surface) {
  surface.draft = null;
  surface.repaint("found");
  surface.setHandle(null);
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

/**
 * Take hold of what is under the pointer: a handle, a mark, an object, or the image.
 * @param {{adds: boolean, removes: boolean}} how whether an object is selected beside those that
 *   are, and whether a corner of a polygon is taken away.
 */
export function grab(surface, start, reach, { adds, removes }) {
  const { store } = surface;
  const at = surface.toImage(start);
  const near = reach * surface.pixel;
  const { selectedPrompt } = store;
  const select = () => selectInstance(surface, at, adds);
  if (store.readOnly || adds) return pan(surface, start, select);
  if (selectedPrompt) {
    const handle = handleUnder(selectedPrompt, at, near);
    if (handle >= 0) return grabHandle(surface, start, handle, removes);
  }
  const prompt = promptUnder(surface, at, near);
  if (!prompt) return pan(surface, start, select);
  store.select({ promptId: prompt.id });
  return drag(surface, start, (to) => moved(prompt, to.x - at.x, to.y - at.y, surface.image));
}

/** Take hold of the outline being edited: of a corner, or of a side, which gets one there. */
export function grabOutline(surface, start, reach, { removes }) {
  const { shape } = surface;
  const at = surface.toImage(start);
  const near = reach * surface.pixel;
  const handle = handleUnder(shape, at, near);
  if (handle >= 0) return grabHandle(surface, start, handle, removes);
  const { side, distance } = sideNear(shape.rings, at);
  if (distance > near || removes) return pan(surface, start);
  return grabHandle(surface, start, cornerCount(shape) + side, false);
}

/**
 * Drag a handle; the middle of a side becomes a corner. A tap chooses the corner for the keys, or
 * takes it away.
 */
function grabHandle(surface, start, handle, removes) {
  const { shape, image } = surface;
  const corners = cornerCount(shape);
  const to = (place) => reshaped(shape, handle, place, image);
  return drag(surface, start, to, () => {
    if (handle >= corners) surface.setShape(to(surface.toImage(start)));
    surface.setHandle(handle < corners ? handle : handle - corners + 1);
    if (removes && handle < corners) removeVertex(surface);
  });
}

/** Take the chosen corner away from the selected polygon, or from the outline. */
export function removeVertex(surface) {
  const { shape, handle } = surface;
  if (!hasCorners(shape)) return;
  const fewer = withoutCorner(shape, handle);
  if (fewer) {
    surface.setShape(fewer);
    surface.setHandle(null);
  } else surface.say("A polygon keeps at least three corners");
}

/** @returns {object | null} a mark by its line; or by its inside, where nothing found lies. */
export function promptUnder(surface, at, near) {
  const { prompts, selectedPrompt } = surface.store;
  const inside = (list) => areaUnder(list, at, surface.masks);
  const byLine = lineUnder(prompts, at, near) ?? inside(selectedPrompt ? [selectedPrompt] : []);
  return byLine ?? (surface.instanceUnder(at) ? null : inside(prompts));
}

function selectInstance(surface, at, adds) {
  const { store } = surface;
  const found = surface.instanceUnder(at);
  if (!adds) store.select({ instanceIds: found ? [found.id] : [] });
  else if (found) store.toggleInstance(found.id);
}

/**
 * Change a shape with the pointer. It is shown at once and kept when the pointer comes up; `onTap` is
 * called if that was where it went down.
 */
function drag(surface, start, changed, onTap = () => {}) {
  const finish = (keep) => {
    const { preview } = surface;
    surface.preview = null;
    if (keep && preview) surface.setShape(preview);
    else if (keep) onTap();
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
