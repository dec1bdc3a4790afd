/** Masks encoded by pycocotools, as test data; tests/app/canvas checks that they really are. */
import { readFileSync } from "node:fs";

export const MASKS = JSON.parse(readFileSync(new URL("masks.json", import.meta.url), "utf8"));

export const SMALL_MASKS = MASKS.filter(({ rows }) => rows);

/** @returns {{name: string, counts: string, size: number[], rows: string[]}} */
export function mask(name) {
  return MASKS.find((one) => one.name === name);
}
