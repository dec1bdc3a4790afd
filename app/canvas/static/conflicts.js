/** Asks which of two versions of a mark to keep, where two people changed the same one at once. */
import { make } from "./dom.js";

export class ConflictBar {
  constructor(surface) {
    this.surface = surface;
    this.open = [];
    const choice = (text, isMine) =>
      make(
        "button",
        { type: "button", class: "pc-action", onclick: () => this.settle(isMine) },
        text,
      );
    this.text = make("p", { role: "alert" });
    this.mine = choice("", true);
    const choices = make("div", { class: "pc-choices" }, this.mine, choice("Keep theirs", false));
    this.element = make("div", { class: "pc-float pc-conflict", hidden: true });
    this.element.append(this.text, choices);
  }

  get shown() {
    return this.open.find(({ imageId }) => imageId === this.surface.image?.id);
  }

  /** @param {{id: string, mine: object | null, theirs: object}[]} conflicts see merge.js. */
  add(imageId, conflicts) {
    const isElsewhere = (one) =>
      one.imageId !== imageId || conflicts.every(({ id }) => id !== one.id);
    const added = conflicts.map((conflict) => ({ ...conflict, imageId }));
    this.open = [...this.open.filter(isElsewhere), ...added];
  }

  /** Ask about the image that is shown. */
  show() {
    const { shown } = this;
    this.element.hidden = !shown;
    if (!shown) return;
    this.text.textContent = shown.mine
      ? "Somebody else changed this mark at the same time. It is shown as they left it."
      : "Somebody else changed this mark while you deleted it. It is shown as they left it.";
    this.mine.textContent = shown.mine ? "Use mine" : "Delete it";
    this.surface.store.select({ promptId: shown.id });
  }

  settle(isMine) {
    const { shown } = this;
    const { store } = this.surface;
    this.open = this.open.filter((one) => one !== shown);
    if (isMine && shown.mine) store.replacePrompt(shown.mine);
    else if (isMine) store.removePrompt(shown.id);
    this.show();
    if (!this.shown) this.surface.element.focus({ preventScroll: true });
  }
}
