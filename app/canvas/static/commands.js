/** What keys and buttons do, by name. */
import { clamp, intoImage } from "./geometry.js";
import { addVertex, described, dropDraft, finishDraft, REACH } from "./gestures.js";
import { addExample } from "./examples.js";
import { begun, extended, moved } from "./shapes.js";
import { fitted, toImage, zoomedAt } from "./view.js";

export class Commands {
  constructor(surface, pointer, panels) {
    Object.assign(this, { surface, pointer, panels });
  }

  get store() {
    return this.surface.store;
  }

  get settings() {
    return this.surface.settings;
  }

  tool(tool) {
    if (this.store.readOnly && tool !== "select") return;
    this.pointer.abort();
    if (this.surface.draft) dropDraft(this.surface);
    if (tool !== "select") this.store.select();
    this.settings.set({ tool });
    this.pointer.updateCursor({});
  }

  /** Change the sign of the selected mark, else of the next one. */
  sign(positive) {
    const { selectedPrompt, readOnly } = this.store;
    const wanted = positive ?? !(selectedPrompt ?? this.settings).positive;
    if (selectedPrompt && !readOnly)
      this.store.replacePrompt({ ...selectedPrompt, positive: wanted });
    this.settings.set({ positive: wanted });
  }

  /** Choose the category with this place in the list, also for the selected mark. */
  category(index) {
    const category = this.store.categories[index];
    if (!category) return;
    const { selectedPrompt, readOnly } = this.store;
    if (selectedPrompt && !readOnly && selectedPrompt.category_id !== category.id) {
      this.store.replacePrompt({ ...selectedPrompt, category_id: category.id });
    }
    this.store.activate(category.id);
  }

  undo() {
    if (this.surface.draft) return this.dropCorner();
    return this.step("undo", "Undone");
  }

  redo() {
    this.step("redo", "Done again");
  }

  step(direction, said) {
    if (this.store.readOnly || !this.store[direction === "undo" ? "canUndo" : "canRedo"]) return;
    this.store[direction]();
    this.surface.say(said);
  }

  /** Take back the last corner of the polygon being drawn. */
  dropCorner() {
    const { draft } = this.surface;
    if (draft.type !== "polygon" || draft.points.length <= 2) return dropDraft(this.surface);
    this.surface.draft = { ...draft, points: draft.points.slice(0, -2) };
    return this.surface.repaint("marks");
  }

  delete() {
    const { selectedPrompt, selectedInstanceId, readOnly } = this.store;
    if (readOnly) return;
    if (this.surface.draft) this.dropCorner();
    else if (selectedPrompt) {
      this.surface.say(`${described(selectedPrompt, this.store)} deleted`);
      this.store.removePrompt(selectedPrompt.id);
    } else if (selectedInstanceId !== null) {
      this.surface.say(`Found object deleted; ${this.surface.keymap.shown("undo")} brings it back`);
      this.store.deleteInstance(selectedInstanceId);
    }
  }

  /** Make a found object an example of its category: a mask on this image, which undo takes back. */
  async reference(instanceId = this.store.selectedInstanceId) {
    const { store, surface } = this;
    const found = surface.left.find(({ id }) => id === instanceId);
    if (store.readOnly || !store.image) return;
    if (!found) {
      surface.say("Select a found object first; Q makes it a reference");
      return;
    }
    const { id: imageId } = store.image;
    const answer = await fetch(new URL(`instances/${instanceId}/mask`, document.baseURI));
    if (!answer.ok) {
      surface.say(await answer.text());
      return;
    }
    const rle = await answer.json();
    if (store.image?.id !== imageId) return;
    const said = addExample(store, { categoryId: found.categoryId, rle });
    surface.say(said);
  }

  escape() {
    if (!this.panels.closeAll()) this.pointer.escape();
  }

  /** Move the selected mark, or else the crosshair. */
  move([dx, dy]) {
    const { surface, store } = this;
    const { image } = surface;
    if (!image) return;
    if (store.selectedPrompt && !store.readOnly) {
      const { selectedPrompt } = store;
      store.replacePrompt(moved(selectedPrompt, dx, dy, image), `move ${selectedPrompt.id}`);
    } else if (this.settings.tool !== "select" && !store.readOnly) {
      const { width, height } = surface.stage;
      const from = surface.crosshair ?? toImage(surface.view, { x: width / 2, y: height / 2 });
      surface.crosshair = intoImage({ x: from.x + dx, y: from.y + dy }, image);
      if (surface.draft && surface.draft.type !== "polygon") {
        surface.draft = extended(surface.draft, [surface.crosshair]);
      }
      surface.repaint("marks");
    }
  }

  /** Close the polygon; or, with the crosshair shown, do there what pressing a button would. */
  enter() {
    const { surface, store } = this;
    const { crosshair, draft } = surface;
    const { tool, positive } = this.settings;
    if (!crosshair) {
      if (draft?.type === "polygon") finishDraft(surface);
    } else if (!store.activeCategory) surface.say("Add a category first: what should be found?");
    else if (tool === "polygon") addVertex(surface, crosshair, positive, REACH.mouse);
    else if (draft) finishDraft(surface);
    else {
      const width = this.settings.scribbleWidth(surface.image);
      surface.draft = begun(tool, crosshair, {
        categoryId: store.activeCategoryId,
        positive,
        width,
      });
      if (tool === "point") finishDraft(surface);
      else surface.repaint("marks");
    }
  }

  width(factor) {
    const { image } = this.surface;
    if (!image) return;
    const width = this.settings.scribbleWidth(image);
    const next = factor > 1 ? Math.ceil(width * factor) : Math.floor(width * factor);
    this.settings.set({ width: clamp(next, 1, 400) });
    this.surface.say(`Scribble ${this.settings.width} pixels wide`);
  }

  fit() {
    const { image, stage } = this.surface;
    if (image) this.surface.setView(fitted(image, stage));
  }

  zoom(factor) {
    const { image, stage, view } = this.surface;
    const middle = { x: stage.width / 2, y: stage.height / 2 };
    if (image) this.surface.setView(zoomedAt(view, factor, middle, image, stage));
  }

  overlay() {
    this.settings.set({ overlay: !this.settings.overlay });
    this.surface.say(this.settings.overlay ? "Found objects shown" : "Found objects hidden");
  }

  labels() {
    this.settings.set({ labels: !this.settings.labels });
  }

  help() {
    this.panels.toggleHelp();
  }

  /** Until the key is let go, dragging moves the image. */
  pan() {
    this.pointer.holdPan(true);
  }

  /** What another part of the page does; it hears of it. */
  page(does) {
    document.dispatchEvent(new CustomEvent("dinov:page", { detail: { does } }));
  }
}
