/** Sending files to the server a few at a time, so that thumbnails appear while the rest travels. */
import { h, plural } from "./dom.js";
import { arrived as noteArrived, setOut } from "./under_way.js";

const AT_ONCE = 4;

/**
 * Upload `files` and call `received([{path, name}, ...])` after every few of them.
 * @param {{upload: function(File): Promise<{path: string}>}} context
 * @param {File[]} files
 * @param {string} noun what one of them is called
 * @param {HTMLElement} progress where to say how far it is
 * @param {function(string[]): void} failed told which files could not be sent, and why
 */
export async function uploadFiles({ upload }, files, noun, progress, received, failed) {
  const failures = [];
  setOut(files.map(({ name }) => name));
  for (let start = 0; start < files.length; start += AT_ONCE) {
    progress.replaceChildren(
      `Adding ${plural(files.length, noun)} … ${start} of ${files.length}`,
      h("progress", { max: String(files.length), value: String(start) }),
    );
    const batch = files.slice(start, start + AT_ONCE);
    const outcomes = await Promise.allSettled(batch.map((file) => upload(file)));
    const arrived = [];
    outcomes.forEach((outcome, index) => {
      const name = batch[index].name;
      if (outcome.status === "fulfilled") arrived.push({ path: outcome.value.path, name });
      else failures.push(`${name}: ${outcome.reason?.message ?? "the upload failed"}`);
    });
    if (arrived.length) received(arrived);
    noteArrived(arrived.map(({ name }) => name));
  }
  progress.replaceChildren();
  failed(failures);
}
