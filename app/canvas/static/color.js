/** Category colours on photographs. Colours are "#rrggbb". */

const UNKNOWN = "#8a8f98";

/** @returns {string} the colour of a category, grey if it is not known (any more). */
export function colorOf(category) {
  return category?.color ?? UNKNOWN;
}

/** @returns {string} the colour with an opacity between 0 and 1. */
export function faded(color, opacity) {
  return (
    color +
    Math.round(255 * opacity)
      .toString(16)
      .padStart(2, "0")
  );
}

/** @returns {string} black or white, whichever reads better on the colour (WCAG luminance). */
export function inkOn(color) {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const value = parseInt(color.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.2 ? "#16181d" : "#ffffff";
}
