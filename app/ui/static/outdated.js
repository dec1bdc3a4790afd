/** Results of another model than the one in use, in words. */
import { plural } from "./dom.js";

/** Said of images that wait for review with what another model has found. */
export function outdatedText(count) {
  const verb = count === 1 ? "was" : "were";
  return `${plural(count, "image")} not reviewed yet ${verb} segmented with another model. Segment again to replace what it found.`;
}
