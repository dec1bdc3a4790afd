import assert from "node:assert/strict";
import { test } from "node:test";

import * as shapes from "../../app/canvas/static/shapes.js";

const IMAGE = { width: 100, height: 80 };
const NEXT = { categoryId: 3, positive: true, width: 6 };

const NO_MASKS = { contains: () => false };

function box(id, points) {
  return { id, type: "box", category_id: 1, positive: true, points };
}

function drawn(type, from, ...to) {
  return shapes.finished(shapes.extended(shapes.begun(type, from, NEXT), to), 1);
}

test("a box may be drawn from any corner", () => {
  const expected = { type: "box", category_id: 3, positive: true, points: [10, 20, 40, 60] };
  assert.deepEqual(drawn("box", { x: 40, y: 20 }, { x: 10, y: 60 }), expected);
});

test("a slip of the hand is no box", () => {
  assert.equal(drawn("box", { x: 40, y: 20 }, { x: 42, y: 60 }), null);
});

test("a point may be shifted before it is let go", () => {
  assert.deepEqual(drawn("point", { x: 1, y: 2 }, { x: 5, y: 6 }).points, [5, 6]);
});

test("a scribble carries its width and loses what is not needed", () => {
  const path = Array.from({ length: 50 }, (_, i) => ({ x: 10 + i, y: 10 }));
  const scribble = drawn("scribble", { x: 10, y: 10 }, ...path);
  assert.deepEqual([scribble.width, scribble.points], [6, [10, 10, 59, 10]]);
});

test("a dab with the scribble is a mark too", () => {
  assert.deepEqual(
    shapes.finished(shapes.begun("scribble", { x: 4, y: 5 }, NEXT), 1).points,
    [4, 5],
  );
});

test("a polygon needs three corners and some area", () => {
  const polygon = (points) => shapes.finished({ type: "polygon", points }, 1);
  assert.equal(polygon([0, 0, 9, 9]), null);
  assert.equal(polygon([0, 0, 5, 5, 9, 9]), null);
  assert.ok(polygon([0, 0, 9, 0, 9, 9]));
});

test("the last drawn line within reach is found; the inside of a box is not its line", () => {
  const prompts = [box("a", [10, 10, 50, 50]), box("b", [50, 10, 90, 50])];
  assert.equal(shapes.lineUnder(prompts, { x: 51, y: 30 }, 3).id, "b");
  assert.equal(shapes.lineUnder(prompts, { x: 30, y: 30 }, 3), null);
});

test("of the areas around a place the smallest is found", () => {
  const prompts = [box("small", [20, 20, 40, 40]), box("large", [10, 10, 90, 70])];
  const found = (x, y) => shapes.areaUnder(prompts, { x, y }, NO_MASKS)?.id;
  assert.deepEqual([found(30, 30), found(60, 60), found(5, 5)], ["small", "large", undefined]);
});

test("a handle moves its own sides only, inside the image, and never turns the box over", () => {
  const start = box("a", [10, 10, 50, 50]);
  const [topLeft, right] = [0, 3];
  assert.deepEqual(shapes.reshaped(start, topLeft, { x: -20, y: 5 }, IMAGE).points, [0, 5, 50, 50]);
  assert.deepEqual(shapes.reshaped(start, right, { x: 70, y: 0 }, IMAGE).points, [10, 10, 70, 50]);
  assert.deepEqual(shapes.reshaped(start, right, { x: 2, y: 0 }, IMAGE).points, [10, 10, 11, 50]);
});

test("every handle of a box is found where it is drawn", () => {
  const start = box("a", [10, 10, 50, 50]);
  shapes
    .handlesOf(start)
    .forEach((at, index) => assert.equal(shapes.handleUnder(start, at, 2), index));
  assert.equal(shapes.handleUnder(start, { x: 30, y: 30 }, 2), -1);
});

test("a corner of a polygon can be moved", () => {
  const polygon = { ...box("a", [0, 0, 10, 0, 10, 10]), type: "polygon" };
  assert.deepEqual(
    shapes.reshaped(polygon, 1, { x: 20, y: 3 }, IMAGE).points,
    [0, 0, 20, 3, 10, 10],
  );
});

test("the middle of a side becomes a corner where the side has room for it", () => {
  const polygon = { ...box("a", [0, 0, 60, 0, 60, 60]), type: "polygon" };
  const middle = shapes.handleUnder(polygon, { x: 31, y: 1 }, 5);
  assert.equal(middle, 3);
  assert.deepEqual(
    shapes.reshaped(polygon, middle, { x: 30, y: 9 }, IMAGE).points,
    [0, 0, 30, 9, 60, 0, 60, 60],
  );
  assert.equal(shapes.handleUnder(polygon, { x: 31, y: 1 }, 16), -1);
});

test("of a box and a mask around a place the smaller is found", () => {
  const mask = { id: "mask", type: "mask" };
  const masks = { contains: () => true, boxOf: () => ({ x0: 20, y0: 20, x1: 30, y1: 30 }) };
  const around = (points) => shapes.areaUnder([box("box", points), mask], { x: 25, y: 25 }, masks).id;
  assert.deepEqual([around([10, 10, 90, 70]), around([24, 24, 27, 27])], ["mask", "box"]);
});
