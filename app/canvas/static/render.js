/** Painting of the image, of the instances found, and of the marks, each on a canvas of its own. */
import { colorOf, faded, inkOn } from "./color.js";
import { hatching, isVisible, lookOf } from "./look.js";
import { passes, pathsOf } from "./results.js";
import { wholeRing } from "./outlines.js";
import { anchorOf, cornersOf, handlesOf, hasRoom } from "./shapes.js";
import { verticesOf } from "./vertices.js";
import { toStage } from "./view.js";

/** Enlarged further than this, the exact pixels are shown: unsmoothed image, unsmoothed masks. */
const PIXEL_SCALE = 3;
/** How near one must come to a handle with a mouse, in screen pixels. */
const HANDLE_REACH = 7;
const FONT = "600 12px system-ui, sans-serif";

/** Size a canvas for the stage and the screen's pixel density; returns its cleared context. */
export function cleared(canvas, { width, height }, density) {
  const [w, h] = [Math.round(width * density), Math.round(height * density)];
  if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  const context = canvas.getContext("2d");
  context.setTransform(density, 0, 0, density, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/** Paint the photo, or its place while it loads. */
export function paintImage(context, picture, image, view) {
  const [width, height] = [image.width * view.scale, image.height * view.scale];
  if (picture) {
    context.imageSmoothingEnabled = view.scale < PIXEL_SCALE;
    context.imageSmoothingQuality = "high";
    context.drawImage(picture, view.x, view.y, width, height);
  } else {
    context.fillStyle = "rgba(128, 128, 128, 0.18)";
    context.fillRect(view.x, view.y, width, height);
  }
}

/** @returns {object[]} the instances that are not rejected. */
export function leftInstances(results) {
  return results?.instances.filter(({ status }) => status !== "rejected") ?? [];
}

/** @returns {object[]} those of them that pass the score threshold. */
export function shownInstances(results, store) {
  return leftInstances(results).filter((found) =>
    passes(found, store.thresholdOf(found.categoryId)),
  );
}

/** Paint the instances, the highlighted and the selected ones above the others, also if rejected. */
export function paintResults(context, results, store, view, settings) {
  const perMaskPixel = (view.scale * store.image.width) / results.width;
  const selected = new Set(store.selectedInstanceIds);
  const emphasis = ({ id }) => (selected.has(id) ? 2 : id === store.highlightedInstanceId ? 1 : 0);
  const rejected = results.instances.filter((one) => one.status === "rejected" && emphasis(one));
  const shown = [...shownInstances(results, store), ...rejected].filter((found) =>
    isVisible(found, settings),
  );
  context.save();
  context.translate(view.x, view.y);
  context.scale(perMaskPixel, (view.scale * store.image.height) / results.height);
  context.lineJoin = "round";
  for (const level of [0, 1, 2]) {
    for (const found of shown.filter((one) => emphasis(one) === level)) {
      const { color, hatch } = lookOf(found, store, settings);
      const paths = pathsOf(found, results.height);
      const path = perMaskPixel < PIXEL_SCALE ? paths.smooth : paths.exact;
      const look = { ...settings, hatch, level, pixel: 1 / perMaskPixel };
      if (found.status === "rejected") paintRejected(context, path, color, look);
      else paintInstance(context, path, color, look);
    }
  }
  context.restore();
  for (const found of shown) {
    if (settings.labels || emphasis(found)) {
      paintLabel(context, found, results, store, view, lookOf(found, store, settings).color);
    }
  }
}

function paintInstance(context, path, color, { opacity, outline, hatch, level, pixel }) {
  const filled = (outline ? 0 : opacity) + 0.2 * level;
  if (filled) {
    context.fillStyle = faded(color, Math.min(1, filled));
    context.fill(path, "evenodd");
  }
  if (hatch !== null) {
    context.fillStyle = hatching(context, hatch, color, pixel);
    context.fill(path, "evenodd");
  }
  // A dark or white casing keeps the outline visible on any photo.
  context.strokeStyle = level ? "rgba(255, 255, 255, 0.95)" : "rgba(0, 0, 0, 0.35)";
  context.lineWidth = (level ? 5 : 3) * pixel;
  context.stroke(path);
  context.strokeStyle = color;
  context.lineWidth = (level ? 2.5 : 1.75) * pixel;
  context.stroke(path);
}

function paintRejected(context, path, color, { pixel }) {
  context.save();
  context.strokeStyle = "rgba(255, 255, 255, 0.95)";
  context.lineWidth = 4 * pixel;
  context.stroke(path);
  context.setLineDash([6 * pixel, 5 * pixel]);
  context.strokeStyle = color;
  context.lineWidth = 2.5 * pixel;
  context.stroke(path);
  context.restore();
}

const SIGNS = { accepted: " ✓", rejected: " ✕", proposed: "" };

function paintLabel(context, found, results, store, view, color) {
  const category = store.category(found.categoryId);
  const text = `${category?.name ?? "unknown"} ${found.score.toFixed(2)}${SIGNS[found.status]}`;
  const { x, y } = toStage(view, {
    x: (found.box.x0 * store.image.width) / results.width,
    y: (found.box.y0 * store.image.height) / results.height,
  });
  paintTag(context, text, x, y, color);
}

function paintTag(context, text, x, y, color) {
  context.font = FONT;
  const width = context.measureText(text).width + 10;
  const top = y >= 20 ? y - 20 : y + 2;
  context.fillStyle = color;
  context.beginPath();
  context.roundRect(Math.max(2, x), top, width, 18, 4);
  context.fill();
  context.fillStyle = inkOn(color);
  context.textBaseline = "middle";
  context.fillText(text, Math.max(2, x) + 5, top + 9.5);
}

/** Paint all marks, the selected one with its handles. */
export function paintPrompts(context, prompts, selectedId, look) {
  for (const prompt of prompts) paintPrompt(context, prompt, prompt.id === selectedId, look);
}

/**
 * Paint one mark. Negative ones are dashed and carry a minus: never told by colour alone.
 * @param {{view: object, colorFor: (id: number) => string, maskOf: (prompt: object) => object}} look
 */
export function paintPrompt(context, prompt, selected, look) {
  const color = look.colorFor(prompt.category_id);
  context.save();
  context.lineJoin = context.lineCap = "round";
  if (prompt.type === "mask") paintMask(context, prompt, selected, look, color);
  else if (prompt.type === "point") paintPoint(context, prompt, selected, look.view, color);
  else paintLine(context, prompt, selected, look.view, color);
  context.restore();
  const anchor = prompt.type === "mask" ? maskAnchor(prompt, look) : anchorOf(prompt);
  if (!prompt.positive && prompt.type !== "point" && anchor)
    paintSign(context, toStage(look.view, anchor), color, 7, false);
  if (selected) paintHandles(context, handlesOf(prompt), look);
}

/** Where the sign of a mask is shown: at its first pixel. */
function maskAnchor({ rle }, { maskOf, imageWidth }) {
  const { box, ends } = maskOf({ rle });
  const [height, width] = rle.size;
  const scale = imageWidth / width;
  return box && { x: box.x0 * scale, y: (ends[0] % height) * scale };
}

/** Corners are square; where a side can get a new one there is a small dot, if there is room. */
function paintHandles(context, handles, { view, handle: chosen }) {
  handles.forEach((handle, index) => {
    if (hasRoom(handle, HANDLE_REACH / view.scale))
      paintHandle(context, toStage(view, handle), handle.length !== undefined, index === chosen);
  });
}

function paintLine(context, prompt, selected, view, color) {
  const ring = prompt.type === "box" ? cornersOf(prompt.points) : prompt.points;
  const path = pathOf(ring, view, prompt.type !== "scribble");
  if (prompt.type === "scribble") {
    context.strokeStyle = faded(color, prompt.positive ? 0.5 : 0.3);
    context.lineWidth = Math.max(2, (prompt.width ?? 1) * view.scale);
    context.stroke(path);
  } else {
    context.fillStyle = faded(color, prompt.positive ? 0.12 : 0.05);
    context.fill(path);
  }
  context.strokeStyle = selected ? "#ffffff" : "rgba(0, 0, 0, 0.5)";
  context.lineWidth = selected ? 5 : 4;
  context.stroke(path);
  context.strokeStyle = prompt.positive ? color : "#ffffff";
  context.lineWidth = 2;
  context.stroke(path);
  if (prompt.positive) return;
  context.strokeStyle = color;
  context.setLineDash([7, 6]);
  context.lineWidth = 2.5;
  context.stroke(path);
}

/** The path of a list of image points on the stage. A single point gives a dot. */
function pathOf(points, view, closed) {
  const path = new Path2D();
  for (let i = 0; i < points.length; i += 2) {
    const { x, y } = toStage(view, { x: points[i], y: points[i + 1] });
    if (i === 0) path.moveTo(x, y);
    path.lineTo(x, y);
  }
  if (closed) path.closePath();
  return path;
}

function paintPoint(context, prompt, selected, view, color) {
  const at = toStage(view, { x: prompt.points[0], y: prompt.points[1] });
  if (selected) {
    context.strokeStyle = "#ffffff";
    context.lineWidth = 3;
    context.beginPath();
    context.arc(at.x, at.y, 12, 0, 2 * Math.PI);
    context.stroke();
  }
  paintSign(context, at, color, 8, prompt.positive);
}

function paintSign(context, { x, y }, color, radius, positive) {
  context.save();
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = positive ? color : "#ffffff";
  context.fill();
  context.lineWidth = 2;
  context.strokeStyle = positive ? "#ffffff" : color;
  if (!positive) context.setLineDash([3.5, 2.8]);
  context.stroke();
  context.setLineDash([]);
  context.strokeStyle = positive ? inkOn(color) : "#16181d";
  context.beginPath();
  context.moveTo(x - radius / 2, y);
  context.lineTo(x + radius / 2, y);
  if (positive) {
    context.moveTo(x, y - radius / 2);
    context.lineTo(x, y + radius / 2);
  }
  context.stroke();
  context.restore();
}

function paintMask(context, prompt, selected, { view, maskOf, imageWidth }, color) {
  const mask = maskOf(prompt);
  if (!mask.box) return;
  const scale = (view.scale * imageWidth) / prompt.rle.size[1];
  context.translate(view.x, view.y);
  context.scale(scale, scale);
  const { smooth, exact } = pathsOf(mask, prompt.rle.size[0]);
  // Where a pixel is smaller than one of the screen's, fewer corners look the same.
  const path = scale < 1 && !prompt.brush ? smooth : exact;
  context.fillStyle = faded(color, prompt.positive ? 0.35 : 0.15);
  context.fill(path, "evenodd");
  context.strokeStyle = selected ? "#ffffff" : "rgba(0, 0, 0, 0.4)";
  context.lineWidth = (selected ? 4.5 : 3.5) / scale;
  context.stroke(path);
  context.strokeStyle = color;
  context.lineWidth = 2 / scale;
  if (!prompt.positive) context.setLineDash([7 / scale, 6 / scale]);
  context.stroke(path);
}

function paintHandle(context, { x, y }, isDot = false, isChosen = false) {
  context.fillStyle = isChosen ? "#16181d" : "#ffffff";
  context.strokeStyle = isChosen ? "#ffffff" : "#16181d";
  context.lineWidth = isChosen ? 2 : 1.25;
  context.beginPath();
  if (isDot) context.arc(x, y, 3.2, 0, 2 * Math.PI);
  else context.roundRect(x - 4.5, y - 4.5, 9, 9, 2);
  context.fill();
  context.stroke();
}

/** Paint the mark in the making; a polygon also shows where the next side would go. */
export function paintDraft(context, draft, pointer, look) {
  const { view } = look;
  if (draft.type === "outline") return paintOutline(context, draft, look);
  if (draft.type !== "polygon") return paintPrompt(context, draft, draft.type === "mask", look);
  const path = pathOf([...draft.points, ...(pointer ? [pointer.x, pointer.y] : [])], view, false);
  for (const [style, width] of [
    ["rgba(0, 0, 0, 0.5)", 4],
    [look.colorFor(draft.category_id), 2],
  ]) {
    context.strokeStyle = style;
    context.lineWidth = width;
    context.setLineDash(draft.positive ? [] : [7, 6]);
    context.stroke(path);
  }
  context.setLineDash([]);
  return verticesOf(draft.points).forEach((vertex) => paintHandle(context, toStage(view, vertex)));
}

function paintOutline(context, outline, look) {
  const color = look.colorFor(outline.category_id);
  const path = new Path2D();
  for (const ring of outline.rings) path.addPath(pathOf(wholeRing(ring), look.view, true));
  context.save();
  context.lineJoin = "round";
  context.fillStyle = faded(color, 0.3);
  context.fill(path, "evenodd");
  for (const [style, width] of [
    ["#ffffff", 4],
    [color, 2],
  ]) {
    context.strokeStyle = style;
    context.lineWidth = width;
    context.stroke(path);
  }
  context.restore();
  if (!outline.isSent) paintHandles(context, handlesOf(outline), look);
}

/** Paint the ring that shows how wide a stroke will be; dashed around a minus, if it erases. */
export function paintBrush(context, at, { width, erases, color }, view) {
  const { x, y } = toStage(view, at);
  const radius = Math.max(2, (width * view.scale) / 2);
  context.save();
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  if (erases) {
    context.moveTo(x - 4, y);
    context.lineTo(x + 4, y);
  }
  context.strokeStyle = "rgba(0, 0, 0, 0.6)";
  context.lineWidth = 3;
  context.stroke();
  if (erases) context.setLineDash([5, 4]);
  context.strokeStyle = erases ? "#ffffff" : color;
  context.lineWidth = 1.5;
  context.stroke();
  context.restore();
}

/** Paint the crosshair that the arrow keys move. */
export function paintCrosshair(context, at, view) {
  const { x, y } = toStage(view, at);
  for (const [style, width] of [
    ["rgba(0, 0, 0, 0.7)", 4],
    ["#ffffff", 1.5],
  ]) {
    context.strokeStyle = style;
    context.lineWidth = width;
    context.beginPath();
    context.moveTo(x - 14, y);
    context.lineTo(x + 14, y);
    context.moveTo(x, y - 14);
    context.lineTo(x, y + 14);
    context.stroke();
  }
}
