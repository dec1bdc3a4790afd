/**
 * Where the image lies on the stage: stage = image * scale + (x, y), in CSS pixels of the stage.
 * A view is an immutable value; every function returns a new one.
 */
import { clamp } from "./geometry.js";

export const MARGIN = 12;
const MAX_SCALE = 40;

/** @returns {{scale: number, x: number, y: number}} the whole image, centred, never enlarged beyond 4x. */
export function fitted(image, stage) {
  const room = { width: stage.width - 2 * MARGIN, height: stage.height - 2 * MARGIN };
  const scale = clamp(Math.min(room.width / image.width, room.height / image.height), 0.001, 4);
  return {
    scale,
    x: (stage.width - image.width * scale) / 2,
    y: (stage.height - image.height * scale) / 2,
  };
}

/** @returns {{x: number, y: number}} a place on the stage, in image pixels. */
export function toImage(view, { x, y }) {
  return { x: (x - view.x) / view.scale, y: (y - view.y) / view.scale };
}

/** @returns {{x: number, y: number}} a place in the image, in stage pixels. */
export function toStage(view, { x, y }) {
  return { x: x * view.scale + view.x, y: y * view.scale + view.y };
}

/** Zoom by `factor`; what is under `at` (stage pixels) stays there. */
export function zoomedAt(view, factor, at, image, stage) {
  const smallest = Math.min(fitted(image, stage).scale, 1) / 2;
  const scale = clamp(view.scale * factor, smallest, MAX_SCALE);
  const ratio = scale / view.scale;
  const next = { scale, x: at.x - (at.x - view.x) * ratio, y: at.y - (at.y - view.y) * ratio };
  return constrained(next, image, stage);
}

/** Shift by stage pixels. */
export function panned(view, dx, dy, image, stage) {
  return constrained({ ...view, x: view.x + dx, y: view.y + dy }, image, stage);
}

/** Follow two fingers from their places at the start to those now: pan and zoom in one. */
export function pinched(view, [a, b], [c, d], image, stage) {
  const before = Math.hypot(a.x - b.x, a.y - b.y) || 1;
  const factor = (Math.hypot(c.x - d.x, c.y - d.y) || 1) / before;
  const middle = { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
  const shift = { x: (c.x + d.x) / 2 - middle.x, y: (c.y + d.y) / 2 - middle.y };
  return panned(zoomedAt(view, factor, middle, image, stage), shift.x, shift.y, image, stage);
}

/** Keep some of the image in the middle half of the stage, so that it cannot get lost. */
export function constrained(view, image, stage) {
  const along = (offset, length, room) => clamp(offset, room / 4 - length, (3 * room) / 4);
  return {
    scale: view.scale,
    x: along(view.x, image.width * view.scale, stage.width),
    y: along(view.y, image.height * view.scale, stage.height),
  };
}
