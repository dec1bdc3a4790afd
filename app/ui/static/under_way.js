/**
 * The names of files that are on their way to the server. The tab keeps them until they arrive, or
 * until somebody has read that they did not: Gradio loads the page again after a lost connection,
 * and what was under way is gone then.
 */

const PLACE = "st-files-under-way";

/** @param {string[]} names of files that are about to be sent. */
export function setOut(names) {
  write([...read(), ...names]);
}

/** @param {string[]} names of files that the server has, or of which it was read that it has not. */
export function arrived(names) {
  write(read().filter((name) => !names.includes(name)));
}

/** @returns {string[]} names of the files that were under way when the page was left. */
export function leftBehind() {
  return [...new Set(read())];
}

function read() {
  try {
    const names = JSON.parse(sessionStorage.getItem(PLACE));
    return Array.isArray(names) ? names : [];
  } catch {
    return [];
  }
}

function write(names) {
  try {
    if (names.length) sessionStorage.setItem(PLACE, JSON.stringify(names));
    else sessionStorage.removeItem(PLACE);
  } catch {
    // Storage may be switched off; then a page that is loaded again cannot tell.
  }
}
