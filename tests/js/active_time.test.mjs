import assert from "node:assert/strict";
import { test } from "node:test";

import { ActiveTime } from "../../app/ui/static/active_time.js";

const SECOND = 1000;

/** A clock in seconds for whom nobody moves for 30 seconds to be away. */
function clock() {
  const time = new ActiveTime(30 * SECOND);
  return {
    open: (image, at) => time.open(image, at * SECOND),
    act: (...moments) => moments.forEach((at) => time.act(at * SECOND)),
    leave: (at) => time.leave(at * SECOND),
    take: (at) => Object.fromEntries(time.take(at * SECOND).map(([id, ms]) => [id, ms / SECOND])),
    time,
  };
}

test("time counts while somebody is there, and for half a minute after the last sign of it", () => {
  const one = clock();
  one.open(7, 0);
  assert.deepEqual(one.take(100), {}, "opening an image is no sign of life");
  one.act(100, 110, 125);
  assert.deepEqual(one.take(130), { 7: 30 });
  assert.deepEqual(one.take(500), { 7: 25 });
  assert.deepEqual(one.take(900), {});
  one.act(1000);
  assert.deepEqual(one.take(1001), { 7: 1 });
});

test("who leaves the page is away at once, until the next sign of life", () => {
  const one = clock();
  one.open(7, 0);
  one.act(10);
  one.leave(14);
  assert.deepEqual(one.take(60), { 7: 4 });
  one.act(70);
  assert.deepEqual(one.take(75), { 7: 5 });
});

test("each image gets its own time, and no image none", () => {
  const one = clock();
  one.open(null, 0);
  one.act(1);
  one.open(7, 5);
  one.act(9);
  one.open(8, 15);
  assert.deepEqual(one.take(18), { 7: 10, 8: 3 });
});

test("what was not acknowledged is added to what follows", () => {
  const one = clock();
  one.open(7, 0);
  one.act(0);
  const taken = one.time.take(10 * SECOND);
  one.act(12);
  one.time.giveBack(taken);
  assert.deepEqual(one.take(13), { 7: 13 });
});
