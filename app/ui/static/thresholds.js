/** Which instances are shown while a slider is being moved; the server decides by the same rule. */

/**
 * @param {{status: string, score: number, category_id: number}} instance
 * @param {{score_threshold: number, category_thresholds: Object<number, number>}} chosen
 */
export function isShown({ status, score, category_id }, { score_threshold, category_thresholds }) {
  if (status !== "proposed") return status === "accepted";
  return score >= (category_thresholds?.[category_id] ?? score_threshold);
}

/** The thresholds with the one of a category chosen anew; null takes it away. */
export function withThreshold(thresholds, { category_id, score_threshold }) {
  const { [category_id]: _, ...others } = thresholds ?? {};
  return score_threshold === null ? others : { ...others, [category_id]: score_threshold };
}
