/**
 * Plane geometry on flat coordinate lists [x0, y0, x1, y1, …], in original-image pixels.
 * No DOM, no state.
 */

/** @returns {number} `value` held between `low` and `high`. */
export function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

/** @returns {number} `value` to a tenth of a pixel: finer than a hand can draw. */
export function tenth(value) {
  return Math.round(value * 10) / 10;
}

/** @returns {{x: number, y: number}} the nearest place inside the image, to a tenth of a pixel. */
export function intoImage({ x, y }, { width, height }) {
  return { x: tenth(clamp(x, 0, width)), y: tenth(clamp(y, 0, height)) };
}

/** @returns {number} distance of (x, y) from the segment a–b. */
export function distanceToSegment(x, y, ax, ay, bx, by) {
  const dx = bx - ax;
  const dy = by - ay;
  const length2 = dx * dx + dy * dy;
  const t = length2 === 0 ? 0 : clamp(((x - ax) * dx + (y - ay) * dy) / length2, 0, 1);
  return Math.hypot(x - (ax + t * dx), y - (ay + t * dy));
}

/** @returns {number} distance of (x, y) from a path, or from its outline where `closed`. */
export function distanceToPath(x, y, points, closed = false) {
  if (points.length === 2) return Math.hypot(x - points[0], y - points[1]);
  let best = Infinity;
  const last = closed ? points.length : points.length - 2;
  for (let i = 0; i < last; i += 2) {
    const j = (i + 2) % points.length;
    best = Math.min(
      best,
      distanceToSegment(x, y, points[i], points[i + 1], points[j], points[j + 1]),
    );
  }
  return best;
}

/** @returns {boolean} whether (x, y) is inside a closed ring (even-odd rule). */
export function insideRing(x, y, ring) {
  let inside = false;
  for (let i = 0, j = ring.length - 2; i < ring.length; j = i, i += 2) {
    const crosses = ring[i + 1] > y !== ring[j + 1] > y;
    if (!crosses) continue;
    const at = ((ring[j] - ring[i]) * (y - ring[i + 1])) / (ring[j + 1] - ring[i + 1]) + ring[i];
    if (x < at) inside = !inside;
  }
  return inside;
}

/** @returns {{x0: number, y0: number, x1: number, y1: number}} the smallest box around points. */
export function boundsOf(points) {
  const bounds = { x0: Infinity, y0: Infinity, x1: -Infinity, y1: -Infinity };
  for (let i = 0; i < points.length; i += 2) {
    bounds.x0 = Math.min(bounds.x0, points[i]);
    bounds.x1 = Math.max(bounds.x1, points[i]);
    bounds.y0 = Math.min(bounds.y0, points[i + 1]);
    bounds.y1 = Math.max(bounds.y1, points[i + 1]);
  }
  return bounds;
}

/** @returns {number[]} the corners of a box in order: upper left, lower right. */
export function orderedCorners([x0, y0, x1, y1]) {
  return [Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)];
}

/**
 * Move points together, as far as the image allows: the shape is kept at the border.
 * @returns {number[]}
 */
export function movedInside(points, dx, dy, { width, height }) {
  const { x0, y0, x1, y1 } = boundsOf(points);
  const stepX = clamp(dx, -x0, Math.max(-x0, width - x1));
  const stepY = clamp(dy, -y0, Math.max(-y0, height - y1));
  return points.map((value, i) => tenth(value + (i % 2 ? stepY : stepX)));
}

/**
 * Drop points that lie within `tolerance` of the line through their neighbours
 * (Ramer–Douglas–Peucker, with a stack: a long scribble must not exhaust the call stack).
 * @returns {number[]} a subset of the points, first and last included.
 */
export function simplified(points, tolerance) {
  const count = points.length / 2;
  if (count < 3) return points.slice();
  const keep = new Uint8Array(count);
  keep[0] = keep[count - 1] = 1;
  const spans = [[0, count - 1]];
  while (spans.length) {
    const [first, last] = spans.pop();
    const far = farthestBetween(points, first, last);
    if (far.distance <= tolerance) continue;
    keep[far.index] = 1;
    spans.push([first, far.index], [far.index, last]);
  }
  return points.filter((_, i) => keep[i >> 1]);
}

function farthestBetween(points, first, last) {
  const [ax, ay] = [points[2 * first], points[2 * first + 1]];
  const [bx, by] = [points[2 * last], points[2 * last + 1]];
  const far = { distance: -1, index: first };
  for (let i = first + 1; i < last; i += 1) {
    const distance = distanceToSegment(points[2 * i], points[2 * i + 1], ax, ay, bx, by);
    if (distance > far.distance) Object.assign(far, { distance, index: i });
  }
  return far;
}

/**
 * Simplify a closed ring. It is cut at its farthest two points, so that no side is lost.
 * @returns {number[]}
 */
export function simplifiedRing(ring, tolerance) {
  if (ring.length <= 8) return ring;
  let cut = 2;
  let best = -1;
  for (let i = 2; i < ring.length; i += 2) {
    const distance = Math.hypot(ring[i] - ring[0], ring[i + 1] - ring[1]);
    if (distance > best) [best, cut] = [distance, i];
  }
  const there = simplified(ring.slice(0, cut + 2), tolerance);
  const back = simplified([...ring.slice(cut), ring[0], ring[1]], tolerance);
  return [...there.slice(0, -2), ...back.slice(0, -2)];
}

/** @returns {number} the area of a closed ring, in pixels. */
export function ringArea(ring) {
  let twice = 0;
  for (let i = 0, j = ring.length - 2; i < ring.length; j = i, i += 2) {
    twice += ring[j] * ring[i + 1] - ring[i] * ring[j + 1];
  }
  return Math.abs(twice) / 2;
}
