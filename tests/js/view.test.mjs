import assert from "node:assert/strict";
import { test } from "node:test";

import * as views from "../../app/canvas/static/view.js";

const IMAGE = { width: 2000, height: 1000 };
const STAGE = { width: 824, height: 624 };

function near(actual, expected) {
  assert.ok(
    Math.hypot(actual.x - expected.x, actual.y - expected.y) < 1e-6,
    JSON.stringify(actual),
  );
}

test("a fitted image is wholly visible and centred", () => {
  const view = views.fitted(IMAGE, STAGE);
  near(views.toStage(view, { x: 1000, y: 500 }), { x: 412, y: 312 });
  near(views.toStage(view, { x: 0, y: 500 }), { x: views.MARGIN, y: 312 });
});

test("an icon is not blown up beyond four times", () => {
  assert.equal(views.fitted({ width: 16, height: 16 }, STAGE).scale, 4);
});

test("stage and image places are each other's inverse", () => {
  const view = { scale: 0.37, x: -41, y: 12.5 };
  near(views.toImage(view, views.toStage(view, { x: 123, y: 456 })), { x: 123, y: 456 });
});

test("what is under the pointer stays there when zooming", () => {
  const view = views.fitted(IMAGE, STAGE);
  const at = { x: 500, y: 300 };
  near(views.toImage(views.zoomedAt(view, 3, at, IMAGE, STAGE), at), views.toImage(view, at));
});

test("zoom has limits at both ends", () => {
  let view = views.fitted(IMAGE, STAGE);
  for (let i = 0; i < 50; i += 1) view = views.zoomedAt(view, 2, { x: 9, y: 9 }, IMAGE, STAGE);
  assert.equal(view.scale, 40);
  for (let i = 0; i < 90; i += 1) view = views.zoomedAt(view, 0.5, { x: 9, y: 9 }, IMAGE, STAGE);
  assert.ok(view.scale > 0.1);
});

test("the image cannot be pushed off the stage", () => {
  const view = views.panned(views.fitted(IMAGE, STAGE), 1e6, -1e6, IMAGE, STAGE);
  const [left, bottom] = [view.x, view.y + IMAGE.height * view.scale];
  assert.ok(left < STAGE.width && bottom > 0);
});

test("two fingers zoom by their distance and carry the image with them", () => {
  const view = views.fitted(IMAGE, STAGE);
  const from = [
    { x: 400, y: 300 },
    { x: 440, y: 300 },
  ];
  const to = [
    { x: 390, y: 320 },
    { x: 470, y: 320 },
  ];
  const next = views.pinched(view, from, to, IMAGE, STAGE);
  assert.ok(Math.abs(next.scale / view.scale - 2) < 1e-9);
  near(views.toImage(next, { x: 430, y: 320 }), views.toImage(view, { x: 420, y: 300 }));
});
