/**
 * Brings every edit of marks to the server: in order, one at a time, each a step of its history.
 * What could not be saved is kept and tried again. No DOM.
 */

const RETRY_AFTER_MS = [1000, 2000, 5000, 10000, 30000];

/**
 * @typedef {{ok: true, rev: number, history: object} | {ok: false, reason: "stale"|"gone"|"refused", message: string}} Reply
 * @typedef {{kind: "saved"|"saving"|"offline"|"refused"|"stale", message: string}} SaveState
 */
export class Saver {
  /**
   * @param {(text: string) => Promise<Reply>} send rejects when the server cannot be reached.
   * @param {(state: SaveState) => void} onState
   * @param {(saved: {image_id: number, rev: number, count: number}, history: object) => void}
   *   onSaved
   * @param {(callback: () => void, ms: number) => unknown} later
   */
  constructor({ send, onState, onSaved, later = setTimeout }) {
    Object.assign(this, { send, onState, onSaved, later });
    this.revs = new Map();
    this.waiting = new Map();
    this.blocked = new Set();
    this.held = new Set();
    this.busy = false;
    this.failures = 0;
    this.turn = 0;
    this.idlers = [];
  }

  /** True while something is not on the server yet. */
  get isDirty() {
    return this.waiting.size > 0;
  }

  /** Unsaved prompts of an image, or null. They are newer than what the server sends. */
  unsaved(imageId) {
    return this.waiting.get(imageId)?.at(-1).prompts ?? null;
  }

  /** Learn the revision that the server has sent for an image. */
  track(imageId, rev) {
    if (!this.waiting.has(imageId)) this.revs.set(imageId, rev);
  }

  /** Save the prompts of an image; saves in a row with the same key are undone together. */
  put(imageId, prompts, mergeKey = null) {
    // What is held back for a reason is sent as one step, later.
    const before = this.blocked.has(imageId) ? [] : (this.waiting.get(imageId) ?? []);
    this.waiting.set(imageId, [...before, { prompts, mergeKey }]);
    if (this.blocked.has(imageId)) return;
    this.onState({ kind: "saving", message: "" });
    this.pump();
  }

  /** @returns {Promise<boolean>} true once all is saved, false if something is in the way. */
  idle() {
    if (!this.isDirty) return Promise.resolve(true);
    if (this.blocked.size || this.failures) return Promise.resolve(false);
    return new Promise((resolve) => this.idlers.push(resolve));
  }

  tellIdlers(isSaved) {
    for (const resolve of this.idlers.splice(0)) resolve(isSaved);
  }

  /** Try everything again, now. */
  retry() {
    this.blocked = new Set(this.held);
    this.failures = 0;
    this.pump();
  }

  /** Give up unsaved prompts of an image, and send none until the server's have come. */
  hold(imageId) {
    this.held.add(imageId);
    this.blocked.add(imageId);
    this.waiting.delete(imageId);
    this.revs.delete(imageId);
    this.onState({ kind: "saving", message: "" });
  }

  /** The server's prompts of an image are here. If it was held, what was drawn meanwhile is gone. */
  release(imageId) {
    if (!this.held.delete(imageId)) return;
    this.blocked.delete(imageId);
    this.waiting.delete(imageId);
    if (!this.isDirty) this.onState({ kind: "saved", message: "" });
  }

  async pump() {
    const next = [...this.waiting].find(([imageId]) => !this.blocked.has(imageId));
    if (this.busy || !next) return;
    const [imageId, [step]] = next;
    this.busy = true;
    this.turn += 1;
    let reply;
    try {
      reply = await this.send(this.message(imageId, step));
    } catch {
      reply = null;
    }
    this.busy = false;
    if (reply === null) this.tryLater();
    else this.settle(imageId, step, reply);
  }

  message(imageId, { prompts, mergeKey }) {
    const base = this.revs.get(imageId);
    const kind = "prompts";
    const step = { schema: 1, kind, image_id: imageId, base_rev: base, merge_key: mergeKey };
    return JSON.stringify({ ...step, prompts });
  }

  settle(imageId, step, reply) {
    this.failures = 0;
    if (reply.ok) {
      this.revs.set(imageId, reply.rev);
      this.drop(imageId, step);
      const saved = { image_id: imageId, rev: reply.rev, count: step.prompts.length };
      this.onSaved(saved, reply.history);
    } else if (reply.reason === "gone") {
      this.waiting.delete(imageId);
    } else {
      this.blocked.add(imageId);
      this.waiting.set(imageId, this.waiting.get(imageId)?.slice(-1) ?? [step]);
      this.onState({ kind: reply.reason, message: reply.message });
      this.tellIdlers(false);
    }
    if (!this.isDirty) {
      this.onState({ kind: "saved", message: "" });
      this.tellIdlers(true);
    }
    this.pump();
  }

  drop(imageId, step) {
    const left = (this.waiting.get(imageId) ?? []).filter((other) => other !== step);
    if (left.length) this.waiting.set(imageId, left);
    else this.waiting.delete(imageId);
  }

  tryLater() {
    const wait = RETRY_AFTER_MS[Math.min(this.failures, RETRY_AFTER_MS.length - 1)];
    this.failures += 1;
    this.onState({ kind: "offline", message: "The server cannot be reached." });
    this.tellIdlers(false);
    const { turn } = this;
    this.later(() => {
      if (this.turn === turn) this.pump();
    }, wait);
  }
}
