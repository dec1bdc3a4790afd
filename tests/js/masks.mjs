/** Masks encoded by pycocotools, as test data; tests/app/canvas checks that they really are. */
import { readFileSync } from "node:fs";

import { contains, endsOf } from "../../app/canvas/static/rle.js";

export const MASKS = JSON.parse(readFileSync(new URL("masks.json", import.meta.url), "utf8"));

export const SMALL_MASKS = MASKS.filter(({ rows }) => rows);

/** @returns {{name: string, counts: string, size: number[], rows: string[]}} */
export function mask(name) {
  return MASKS.find((one) => one.name === name);
}

/** @param {string[]} rows of a picture of a mask, "#" inside. */
export function endsOfRows(rows) {
  const spans = [];
  for (let x = 0; x < rows[0].length; x += 1)
    rows.forEach((row, y) => row[x] === "#" && spans.push(x, y, y + 1));
  return endsOf(spans, { width: rows[0].length, height: rows.length });
}

/** @returns {string[]} the picture of a mask. */
export function rowsOf(ends, { width, height }) {
  return Array.from({ length: height }, (_, y) =>
    Array.from({ length: width }, (__, x) => (contains(ends, height, x, y) ? "#" : ".")).join(""),
  );
}
