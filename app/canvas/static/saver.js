/**
 * Brings every edit of marks to the server: in order, one at a time, each a step of its history.
 * What could not be saved is kept and tried again; where somebody else has saved meanwhile, both
 * are merged. No DOM.
 */
import { merged } from "./merge.js";

const RETRY_AFTER_MS = [1000, 2000, 5000, 10000, 30000];

/**
 * @typedef {{ok: true, rev: number, history: object} | {ok: false, reason: "stale"|"gone"|"refused", message: string}} Reply
 * @typedef {{kind: "saved"|"saving"|"offline"|"refused", message: string}} SaveState
 */
export class Saver {
  /**
   * @param {(text: string) => Promise<Reply>} send rejects when the server cannot be reached.
   * @param {(imageId: number) => Promise<{rev: number, prompts: object[]}>} fetchMarks the marks
   *   that the server has.
   * @param {(state: SaveState) => void} onState
   * @param {(saved: {image_id: number, rev: number, count: number}, history: object) => void}
   *   onSaved
   * @param {(imageId: number, merged: {prompts: object[], conflicts: object[]}, current: object)
   *   => void} onMerged
   * @param {(callback: () => void, ms: number) => unknown} later
   */
  constructor({ send, fetchMarks, onState, onSaved, onMerged, later = setTimeout }) {
    Object.assign(this, { send, fetchMarks, onState, onSaved, onMerged, later });
    this.revs = new Map();
    this.bases = new Map();
    this.waiting = new Map();
    this.blocked = new Set();
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

  /** Learn the marks that the server has sent for an image, and their revision. */
  track(imageId, rev, prompts) {
    if (this.waiting.has(imageId)) return;
    this.revs.set(imageId, rev);
    this.bases.set(imageId, prompts);
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
    this.blocked = new Set();
    this.failures = 0;
    this.pump();
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
      this.bases.set(imageId, step.prompts);
      this.drop(imageId, step);
      const saved = { image_id: imageId, rev: reply.rev, count: step.prompts.length };
      this.onSaved(saved, reply.history);
    } else if (reply.reason === "gone") {
      this.waiting.delete(imageId);
    } else if (reply.reason === "stale") {
      this.blocked.add(imageId);
      this.catchUp(imageId);
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

  /** Somebody else has saved meanwhile: merge their marks with these, and go on. */
  async catchUp(imageId) {
    let current = null;
    try {
      current = await this.fetchMarks(imageId);
    } catch {
      // As without a server: it is asked again a little later.
    }
    this.blocked.delete(imageId);
    if (current === null) {
      this.tryLater();
      return;
    }
    this.onMerged(imageId, this.absorb(imageId, current.rev, current.prompts), current);
    this.pump();
  }

  /**
   * Go on from the marks that the server has by now; what is not saved yet is merged with them.
   * @returns {{prompts: object[], conflicts: object[]}} see merge.js.
   */
  absorb(imageId, rev, theirs) {
    const base = this.bases.get(imageId) ?? [];
    const results = (this.waiting.get(imageId) ?? []).map((step) => ({
      ...step,
      ...merged(base, step.prompts, theirs),
    }));
    if (results.length) this.waiting.set(imageId, results);
    this.revs.set(imageId, rev);
    this.bases.set(imageId, theirs);
    return results.at(-1) ?? { prompts: theirs, conflicts: [] };
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
