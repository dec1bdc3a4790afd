/** @returns {string} an id that nothing else has. */
export function newId() {
  // randomUUID exists on https and localhost only; the app may be reached by address at home.
  return crypto.randomUUID?.() ?? randomId();
}

function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, "0"),
  ).join("");
}
