import assert from "node:assert/strict";
import { test } from "node:test";

import * as geometry from "../../app/canvas/static/geometry.js";

const IMAGE = { width: 100, height: 50 };

test("a place outside is moved to the border, to a tenth of a pixel", () => {
  assert.deepEqual(geometry.intoImage({ x: -3, y: 70 }, IMAGE), { x: 0, y: 50 });
  assert.deepEqual(geometry.intoImage({ x: 12.3456, y: 7.06 }, IMAGE), { x: 12.3, y: 7.1 });
});

test("simplifying keeps the ends and every corner, and stays within the tolerance", () => {
  const points = [];
  for (let i = 0; i <= 400; i += 1) points.push(i / 4, 20 * Math.sin(i / 30));
  const kept = geometry.simplified(points, 0.5);
  assert.ok(kept.length < points.length / 5);
  assert.deepEqual(kept.slice(0, 2), points.slice(0, 2));
  assert.deepEqual(kept.slice(-2), points.slice(-2));
  for (let i = 0; i < points.length; i += 2) {
    assert.ok(geometry.distanceToPath(points[i], points[i + 1], kept) <= 0.5 + 1e-9);
  }
});

test("a very long scribble is simplified without exhausting the stack", () => {
  const points = Array.from({ length: 40_000 }, (_, i) => (i % 2 ? (i % 4) * 10 : i));
  assert.ok(geometry.simplified(points, 0.1).length > 0);
});

test("a single point is left alone", () => {
  assert.deepEqual(geometry.simplified([3, 4], 1), [3, 4]);
});

test("moving stops at the border and keeps the shape", () => {
  const moved = geometry.movedInside([10, 10, 30, 20], -50, 100, IMAGE);
  assert.deepEqual(moved, [0, 40, 20, 50]);
});

test("distances are to the nearest side, closed or open", () => {
  const square = [0, 0, 10, 0, 10, 10, 0, 10];
  assert.equal(geometry.distanceToPath(-2, 5, square, true), 2);
  assert.equal(geometry.distanceToPath(-2, 5, square, false), Math.hypot(2, 5));
});

test("corners of a box drawn backwards are put in order", () => {
  assert.deepEqual(geometry.orderedCorners([30, 5, 10, 40]), [10, 5, 30, 40]);
});
