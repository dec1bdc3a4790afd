/**
 * How long somebody worked on each image: time counts from a sign of life (a key, the pointer) until
 * `idle` milliseconds after the last one. No DOM; moments are milliseconds of a clock that only goes
 * forward, and must not go back from call to call.
 */
export class ActiveTime {
  /** @param {number} [idle] so long after the last sign of life nobody works any more */
  constructor(idle = 30_000) {
    Object.assign(this, { idle, image: null, counted: 0, aliveUntil: 0, spent: new Map() });
  }

  /** Count up to this moment. */
  settle(now) {
    const worked = Math.min(now, this.aliveUntil) - this.counted;
    if (worked > 0 && this.image !== null)
      this.spent.set(this.image, (this.spent.get(this.image) ?? 0) + worked);
    this.counted = now;
  }

  /** Somebody is there. */
  act(now) {
    this.settle(now);
    this.aliveUntil = now + this.idle;
  }

  /** Another window, tab or view has come to the front. */
  leave(now) {
    this.settle(now);
    this.aliveUntil = now;
  }

  /** @param {number | null} image the id of the image that is open from now on */
  open(image, now) {
    this.settle(now);
    this.image = image;
  }

  /**
   * Hand out what is to be reported, and forget it.
   * @returns {[number, number][]} image ids, and for each the milliseconds that were worked on it
   */
  take(now) {
    this.settle(now);
    const taken = [...this.spent];
    this.spent.clear();
    return taken;
  }

  /** Take back what could not be reported. */
  giveBack(taken) {
    for (const [image, worked] of taken)
      this.spent.set(image, (this.spent.get(image) ?? 0) + worked);
  }
}
