/**
 * The marks as shapes: how each is drawn, found under the pointer and changed. Pure functions on
 * prompts {id, type, category_id, positive, points, width?, rle?} in image pixels; `pixel` is the
 * length of one screen pixel in the image.
 */
import { extendedStroke, finishedStroke, movedMask } from "./brush.js";
import {
  boundsOf,
  distanceToPath,
  insideRing,
  intoImage,
  movedInside,
  orderedCorners,
  ringArea,
  simplified,
  tenth,
} from "./geometry.js";
import * as outlines from "./outlines.js";
import { sidesOf, verticesOf, withoutVertex, withVertexAt, withVertexOn } from "./vertices.js";

const SMALLEST_DRAG = 4;

/** So many times as far as one can reach, a side has room for a handle between its corners. */
const ROOM = 4;

/** @returns {object} a mark in the making, begun at `at`. */
export function begun(type, at, { categoryId, positive, width }) {
  const draft = { type, category_id: categoryId, positive, points: [at.x, at.y] };
  if (type === "box") draft.points.push(at.x, at.y);
  if (type === "scribble") draft.width = width;
  return draft;
}

/** @returns {object} the draft after the pointer has moved through `places`. */
export function extended(draft, places) {
  const last = places.at(-1);
  switch (draft.type) {
    case "point":
      return { ...draft, points: [last.x, last.y] };
    case "box":
      return { ...draft, points: [draft.points[0], draft.points[1], last.x, last.y] };
    case "mask":
      return extendedStroke(draft, places);
    default:
      return { ...draft, points: [...draft.points, ...places.flatMap(({ x, y }) => [x, y])] };
  }
}

/** @returns {object | null} the finished mark, without id; null if it is too small to mean anything. */
export function finished(draft, pixel) {
  switch (draft.type) {
    case "box": {
      const [x0, y0, x1, y1] = orderedCorners(draft.points);
      const least = Math.max(1, SMALLEST_DRAG * pixel);
      return x1 - x0 < least || y1 - y0 < least ? null : { ...draft, points: [x0, y0, x1, y1] };
    }
    case "scribble":
      return { ...draft, points: simplified(draft.points, Math.min(0.6 * pixel, draft.width / 4)) };
    case "polygon":
      return draft.points.length < 6 || ringArea(draft.points) < 1 ? null : draft;
    case "mask":
      return finishedStroke(draft);
    default:
      return draft;
  }
}

/** @returns {number} how far (x, y) is from what is drawn of a mark; 0 on it. */
export function distanceTo(prompt, { x, y }) {
  const { type, points } = prompt;
  if (type === "mask") return Infinity;
  if (type === "box") return distanceToPath(x, y, cornersOf(points), true);
  const distance = distanceToPath(x, y, points, type === "polygon");
  return Math.max(0, distance - (type === "scribble" ? (prompt.width ?? 0) / 2 : 0));
}

/** @returns {object | null} the mark whose drawn line is within `reach`; the last drawn wins. */
export function lineUnder(prompts, at, reach) {
  return prompts.findLast((prompt) => distanceTo(prompt, at) <= reach) ?? null;
}

/**
 * @param {{contains: Function, boxOf: Function}} masks whether a mask prompt contains a place, and
 *   the box around it.
 * @returns {object | null} the smallest box, polygon or mask around a place.
 */
export function areaUnder(prompts, at, masks) {
  const around = prompts.filter((prompt) => surrounds(prompt, at, masks));
  return around.sort((a, b) => extentOf(a, masks) - extentOf(b, masks))[0] ?? null;
}

function surrounds(prompt, at, masks) {
  if (prompt.type === "mask") return masks.contains(prompt, at);
  if (prompt.type === "box") return insideRing(at.x, at.y, cornersOf(prompt.points));
  return prompt.type === "polygon" && insideRing(at.x, at.y, prompt.points);
}

function extentOf(prompt, masks) {
  const { x0, y0, x1, y1 } =
    prompt.type === "mask" ? masks.boxOf(prompt) : boundsOf(prompt.points);
  return (x1 - x0) * (y1 - y0);
}

/** @returns {number[]} the four corners of a box, clockwise from the upper left. */
export function cornersOf([x0, y0, x1, y1]) {
  return [x0, y0, x1, y0, x1, y1, x0, y1];
}

// Which sides each handle of a box moves, clockwise from the upper left corner.
const BOX_HANDLES = [
  { x: "x0", y: "y0", cursor: "nwse-resize" },
  { y: "y0", cursor: "ns-resize" },
  { x: "x1", y: "y0", cursor: "nesw-resize" },
  { x: "x1", cursor: "ew-resize" },
  { x: "x1", y: "y1", cursor: "nwse-resize" },
  { y: "y1", cursor: "ns-resize" },
  { x: "x0", y: "y1", cursor: "nesw-resize" },
  { x: "x0", cursor: "ew-resize" },
];

/**
 * Where a mark can be taken hold of: corners and sides of a box; corners of a polygon or an outline,
 * then the middles of its sides, which become corners.
 * @returns {{x: number, y: number, cursor: string, length?: number}[]} with the length of the side,
 *   where a handle makes a new corner.
 */
export function handlesOf(shape) {
  const { type, points } = shape;
  if (type === "box") {
    const [x0, y0, x1, y1] = points;
    const side = { x0, y0, x1, y1 };
    return BOX_HANDLES.map(({ x, y, cursor }) => ({
      x: x ? side[x] : (x0 + x1) / 2,
      y: y ? side[y] : (y0 + y1) / 2,
      cursor,
    }));
  }
  if (!hasCorners(shape)) return [];
  const rings = shape.rings ?? [shape];
  const vertices = rings.flatMap((ring) => verticesOf(ring.points));
  const sides = rings.flatMap((ring) => sidesOf(ring.points));
  return [
    ...vertices.map((vertex) => ({ ...vertex, cursor: "move" })),
    ...sides.map((side) => ({ ...side, cursor: "copy" })),
  ];
}

/** @returns {boolean} whether a shape, if there is one, consists of corners that come and go. */
export function hasCorners(shape) {
  return shape?.type === "polygon" || shape?.type === "outline";
}

/** @returns {number} how many handles of a mark, or of none, are there without making a corner. */
export function cornerCount(prompt) {
  const handles = prompt ? handlesOf(prompt) : [];
  return handles.filter(({ length }) => length === undefined).length;
}

/** @returns {boolean} whether a handle is far enough from its neighbours to be shown and taken. */
export function hasRoom({ length }, reach) {
  return length === undefined || length >= ROOM * reach;
}

/** @returns {number} index of the handle within `reach` of a place; -1 if none. */
export function handleUnder(prompt, { x, y }, reach) {
  const distances = handlesOf(prompt).map((handle) =>
    hasRoom(handle, reach) ? Math.hypot(handle.x - x, handle.y - y) : Infinity,
  );
  const nearest = Math.min(...distances);
  return nearest <= reach ? distances.indexOf(nearest) : -1;
}

/**
 * @param {number} handle index among `handlesOf`.
 * @returns {object} the mark with one handle moved to `to`; a box never turns inside out.
 */
export function reshaped(prompt, handle, to, image) {
  const { x, y } = intoImage(to, image);
  if (prompt.type === "outline") {
    const side = handle - cornerCount(prompt);
    const change = side < 0 ? outlines.withCornerAt : outlines.withCornerOn;
    return { ...prompt, rings: change(prompt.rings, side < 0 ? handle : side, { x, y }) };
  }
  if (prompt.type === "polygon") {
    const side = handle - prompt.points.length / 2;
    const change = side < 0 ? withVertexAt : withVertexOn;
    return { ...prompt, points: change(prompt.points, side < 0 ? handle : side, { x, y }) };
  }
  const [x0, y0, x1, y1] = prompt.points;
  const side = { x0, y0, x1, y1 };
  const moves = BOX_HANDLES[handle];
  if (moves.x === "x0") side.x0 = Math.min(x, x1 - 1);
  if (moves.x === "x1") side.x1 = Math.max(x, x0 + 1);
  if (moves.y === "y0") side.y0 = Math.min(y, y1 - 1);
  if (moves.y === "y1") side.y1 = Math.max(y, y0 + 1);
  return { ...prompt, points: [side.x0, side.y0, side.x1, side.y1].map(tenth) };
}

/** @returns {object | null} a polygon or outline without one corner; null if it would be none any more. */
export function withoutCorner(shape, corner) {
  if (shape.type === "outline") {
    const rings = outlines.withoutCorner(shape.rings, corner);
    return rings && { ...shape, rings };
  }
  const points = withoutVertex(shape.points, corner);
  return points && { ...shape, points };
}

/** @returns {object} the mark moved as a whole; it stays inside the image. */
export function moved(prompt, dx, dy, image) {
  if (prompt.type === "mask") return movedMask(prompt, dx, dy, image);
  return { ...prompt, points: movedInside(prompt.points, dx, dy, image) };
}

/** @returns {{x: number, y: number}} where the sign of a mark is shown. */
export function anchorOf({ type, points }) {
  if (type !== "box" && type !== "polygon") return { x: points[0], y: points[1] };
  const { x0, y0 } = boundsOf(points);
  return { x: type === "box" ? x0 : points[0], y: type === "box" ? y0 : points[1] };
}
