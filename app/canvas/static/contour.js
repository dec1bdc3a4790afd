/** Outlines of masks along pixel edges: a 10x10 block gives a ring from (0, 0) to (10, 10). */

// Directions, clockwise on the screen: right, down, left, up.
const STEP_X = [1, 0, -1, 0];
const STEP_Y = [0, 1, 0, -1];

/**
 * Trace every border between inside and outside, inside on the right hand. Outer rings run
 * clockwise, holes anticlockwise; filled together (even-odd) they give the mask back exactly.
 *
 * Where two inside pixels touch only by a corner they are kept apart (4-connectivity).
 * @param {Uint8Array} bits row-major, 1 inside.
 * @returns {number[][]} closed rings of corners; straight runs have no points in between.
 */
export function ringsOf(bits, width, height) {
  const at = (x, y) => x >= 0 && y >= 0 && x < width && y < height && bits[y * width + x] === 1;
  const seen = new Uint8Array(width * (height + 1));
  const rings = [];
  for (let y = 0; y <= height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      // A ring has a top edge (outside above, inside below) or, for a hole, a bottom edge.
      const below = at(x, y);
      if (below === at(x, y - 1) || seen[y * width + x]) continue;
      rings.push(below ? follow(at, seen, width, x, y, 0) : follow(at, seen, width, x + 1, y, 2));
    }
  }
  return rings;
}

function follow(at, seen, width, startX, startY, startDirection) {
  const ring = [];
  let [x, y, direction] = [startX, startY, startDirection];
  do {
    if (direction === 0) seen[y * width + x] = 1;
    if (direction === 2) seen[y * width + x - 1] = 1;
    x += STEP_X[direction];
    y += STEP_Y[direction];
    const next = turn(at, x, y, direction);
    if (next !== direction) ring.push(x, y);
    direction = next;
  } while (x !== startX || y !== startY || direction !== startDirection);
  return ring;
}

/** The way on from a corner: right if that keeps to this pixel, else straight on, else left. */
function turn(at, x, y, direction) {
  const ahead = aheadOf(x, y, direction);
  if (!at(ahead.right[0], ahead.right[1])) return (direction + 1) % 4;
  if (!at(ahead.left[0], ahead.left[1])) return direction;
  return (direction + 3) % 4;
}

/** The two pixels before a corner, on either hand of someone going in `direction`. */
function aheadOf(x, y, direction) {
  switch (direction) {
    case 0:
      return { right: [x, y], left: [x, y - 1] };
    case 1:
      return { right: [x - 1, y], left: [x, y] };
    case 2:
      return { right: [x - 1, y - 1], left: [x - 1, y] };
    default:
      return { right: [x, y - 1], left: [x - 1, y - 1] };
  }
}
