/** Where a bar floats so that it hides as little as possible of what it is about. No DOM. */

const GAP = 10;

/** @typedef {{x0: number, y0: number, x1: number, y1: number}} Box in pixels of the stage. */

/**
 * @param {{width: number, height: number}} size of the bar.
 * @param {Box} object what it is about.
 * @param {{width: number, height: number}} stage
 * @param {Box[]} taken what lies there already.
 * @returns {{left: number, top: number}} at the lower left, unless it would cover the object there.
 */
export function floating(size, object, stage, taken) {
  const low = Math.min(stage.height, ...taken.filter(({ x0 }) => x0 < size.width).map(upperEdge(stage)));
  const right = stage.width - size.width - GAP;
  const along = Math.max(GAP, Math.min(object.x0, right));
  const places = [
    { left: GAP, top: low - size.height - GAP },
    { left: along, top: object.y0 - size.height - GAP },
    { left: along, top: object.y1 + GAP },
    { left: GAP, top: GAP },
    { left: right, top: low - size.height - GAP },
  ].filter(({ left, top }) => left >= 0 && top >= 0 && top + size.height <= stage.height);
  const hidden = ({ left, top }) => {
    const bar = { x0: left, y0: top, x1: left + size.width, y1: top + size.height };
    // Another bar must stay in reach, so that it counts for more than the object.
    return common(bar, object) + taken.reduce((sum, box) => sum + 10 * common(bar, box), 0);
  };
  const [dock] = places;
  return places.reduce((best, one) => (hidden(one) < hidden(best) ? one : best), dock ?? { left: GAP, top: GAP });
}

/** The upper edge of what lies at the bottom of the stage. */
function upperEdge(stage) {
  return ({ y0 }) => (y0 > stage.height / 2 ? y0 : stage.height);
}

function common(a, b) {
  const width = Math.min(a.x1, b.x1) - Math.max(a.x0, b.x0);
  const height = Math.min(a.y1, b.y1) - Math.max(a.y0, b.y0);
  return Math.max(0, width) * Math.max(0, height);
}
