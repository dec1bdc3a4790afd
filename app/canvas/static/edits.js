/**
 * Brings edits of instances, undo and redo to the server and takes over what they have changed. One
 * after the other, and after the marks that are still to be saved; also when another image is shown
 * by then. No DOM.
 */

const UNREACHABLE = "The server cannot be reached. Nothing was changed; try again.";
const UNSAVED = "Your last marks are not saved yet, so this has to wait. See below on the right.";

export class Editor {
  /**
   * @param {object} parts
   * @param {object} parts.store
   * @param {object} parts.saver
   * @param {(id: number) => object | undefined} parts.find an instance by its id.
   * @param {(text: string) => Promise<object>} parts.send rejects when the server cannot be reached.
   * @param {(imageId: number, reply: object) => void} parts.take shows what was changed.
   * @param {(imageId: number) => void} parts.reload gets the image anew.
   * @param {(text: string) => void} parts.say
   */
  constructor(parts) {
    Object.assign(this, parts);
    this.turn = Promise.resolve();
    this.waiting = 0;
    // Revisions that answers have told, by id: the image may not be the one shown any more.
    this.revs = new Map();
  }

  /** True while the server has not answered yet. */
  get isBusy() {
    return this.waiting > 0;
  }

  /**
   * Carry out an operation on the image that is shown.
   * @param {{do: string, ids?: number[]}} operation
   * @param {string} said what to say once it is done.
   * @returns {Promise<object | null>} the answer; null if nothing was done, which is then said.
   */
  run(operation, said = "") {
    const imageId = this.store.image?.id;
    if (imageId === undefined || this.store.readOnly) return Promise.resolve(null);
    const seen = this.seen(operation.ids ?? []);
    this.waiting += 1;
    const turn = this.turn.then(() => this.perform(imageId, operation, seen, said));
    this.turn = turn.catch(() => null).finally(() => (this.waiting -= 1));
    return turn;
  }

  /** Wait until all that was asked for is done, or was refused. */
  async done() {
    await this.saver.idle();
    await this.turn;
  }

  /** @param {"undo" | "redo"} direction */
  travel(direction) {
    const { history } = this.store;
    if (history[direction] === null) return Promise.resolve(null);
    return this.run({ do: direction });
  }

  async perform(imageId, operation, seen, said) {
    if (!(await this.saver.idle())) return this.refuse(UNSAVED);
    const isShown = () => this.store.image?.id === imageId;
    const { history } = this.store;
    const isTravel = operation.do === "undo" || operation.do === "redo";
    // Which step is meant is known of the image that is shown.
    if (isTravel && !isShown()) return null;
    const whole = isTravel ? { ...operation, head: history.head } : operation;
    const message = { schema: 1, kind: "edit", image_id: imageId, operation: whole };
    let reply;
    try {
      reply = await this.send(JSON.stringify({ ...message, seen: this.brought(seen) }));
    } catch {
      return this.refuse(UNREACHABLE);
    }
    if (!reply.ok) {
      if (reply.reason !== "refused" && isShown()) this.reload(imageId);
      return this.refuse(reply.message);
    }
    for (const { id, rev } of reply.instances ?? []) this.revs.set(id, rev);
    this.take(imageId, reply);
    const traveled = { undo: `Undone: ${history.undo}`, redo: `Done again: ${history.redo}` };
    if (isShown()) this.say(reply.said ?? traveled[operation.do] ?? said);
    return reply;
  }

  /** The revisions of instances as they are shown, so that nothing newer is overwritten. */
  seen(ids) {
    const known = ids.map((id) => this.find(id)).filter(Boolean);
    return Object.fromEntries(known.map(({ id, rev }) => [id, rev]));
  }

  /** The same after the edits that were made here since: revisions only grow. */
  brought(seen) {
    const newest = ([id, rev]) => [id, Math.max(rev, this.revs.get(Number(id)) ?? 0)];
    return Object.fromEntries(Object.entries(seen).map(newest));
  }

  refuse(message) {
    this.say(message);
    return null;
  }
}
