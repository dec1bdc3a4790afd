/**
 * Brings edits of instances, undo and redo to the server and takes over what they have changed. One
 * after the other, and after the marks that are still to be saved. No DOM.
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
   * @param {(reply: object) => void} parts.take shows what was changed.
   * @param {(imageId: number) => void} parts.reload gets the image anew.
   * @param {(text: string) => void} parts.say
   */
  constructor(parts) {
    Object.assign(this, parts);
    this.turn = Promise.resolve();
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
    const turn = this.turn.then(() => this.perform(imageId, operation, said));
    this.turn = turn.catch(() => null);
    return turn;
  }

  /** @param {"undo" | "redo"} direction */
  travel(direction) {
    const { history } = this.store;
    if (history[direction] === null) return Promise.resolve(null);
    return this.run({ do: direction });
  }

  async perform(imageId, operation, said) {
    if (!(await this.saver.idle())) return this.refuse(UNSAVED);
    if (this.store.image?.id !== imageId) return null;
    const { history } = this.store;
    const isTravel = operation.do === "undo" || operation.do === "redo";
    const whole = isTravel ? { ...operation, head: history.head } : operation;
    const message = { schema: 1, kind: "edit", image_id: imageId, operation: whole };
    const seen = this.seen(operation.ids ?? []);
    let reply;
    try {
      reply = await this.send(JSON.stringify({ ...message, seen }));
    } catch {
      return this.refuse(UNREACHABLE);
    }
    if (!reply.ok) {
      if (reply.reason !== "refused") this.reload(imageId);
      return this.refuse(reply.message);
    }
    if (this.store.image?.id === imageId) this.take(reply);
    const traveled = { undo: `Undone: ${history.undo}`, redo: `Done again: ${history.redo}` };
    this.say(reply.said ?? traveled[operation.do] ?? said);
    return reply;
  }

  /** The revisions of instances as they are shown, so that nothing newer is overwritten. */
  seen(ids) {
    const known = ids.map((id) => this.find(id)).filter(Boolean);
    return Object.fromEntries(known.map(({ id, rev }) => [id, rev]));
  }

  refuse(message) {
    this.say(message);
    return null;
  }
}
