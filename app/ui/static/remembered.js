/** What this browser remembers of how somebody arranged the page. Never anything of the work itself. */

/** @returns the value kept under `name` if it is of the same type as `otherwise`, else `otherwise`. */
export function recall(name, otherwise) {
  try {
    const kept = JSON.parse(localStorage.getItem(`st-${name}`));
    const fits = typeof kept === typeof otherwise && Array.isArray(kept) === Array.isArray(otherwise);
    return fits && kept !== null ? kept : otherwise;
  } catch {
    return otherwise;
  }
}

export function keep(name, value) {
  try {
    localStorage.setItem(`st-${name}`, JSON.stringify(value));
  } catch {
    // Storage may be switched off; the arrangement then lasts until the page is left.
  }
}
