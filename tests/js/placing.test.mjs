import assert from "node:assert/strict";
import { test } from "node:test";

import { floating } from "../../app/canvas/static/placing.js";

const STAGE = { width: 800, height: 600 };
const BAR = { width: 300, height: 40 };
const REVIEW = { x0: 10, y0: 550, x1: 320, y1: 590 };
const at = (object, taken = [REVIEW]) => floating(BAR, object, STAGE, taken);

test("a bar floats at the lower left, above the one that is there", () => {
  assert.deepEqual(at({ x0: 500, y0: 100, x1: 600, y1: 200 }), { left: 10, top: 500 });
  assert.deepEqual(at({ x0: 500, y0: 100, x1: 600, y1: 200 }, []), { left: 10, top: 550 });
});

test("it goes out of the way of the object it is about", () => {
  assert.deepEqual(at({ x0: 100, y0: 450, x1: 200, y1: 580 }), { left: 100, top: 400 });
  // Above there is no room: below it.
  assert.deepEqual(at({ x0: 0, y0: 30, x1: 300, y1: 505 }), { left: 490, top: 500 });
});

test("it stays on the stage, also for an object that is larger", () => {
  assert.deepEqual(at({ x0: -500, y0: -500, x1: 2000, y1: 2000 }), { left: 10, top: 500 });
  const narrow = floating({ width: 900, height: 40 }, REVIEW, STAGE, []);
  assert.ok(narrow.left >= 0 && narrow.top >= 0);
});
