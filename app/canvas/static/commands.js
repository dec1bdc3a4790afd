/** What keys and buttons do, by name. */
import { clamp, intoImage } from "./geometry.js";
import { isUnfinished } from "./drafts.js";
import { addExample } from "./examples.js";
import {
  addVertex,
  beginDraft,
  described,
  dropDraft,
  finishDraft,
  REACH,
  removeVertex,
} from "./gestures.js";
import { InstanceCommands } from "./instance_commands.js";
import { OBJECT_TOOLS } from "./object_strokes.js";
import { editsOutline, keepOutline, stepBack } from "./outline_tool.js";
import { cornerCount, extended, handlesOf, hasCorners, moved, reshaped } from "./shapes.js";
import { fitted, toImage, zoomedAt } from "./view.js";

const WIDEST_STROKE = 2000;

export class Commands extends InstanceCommands {
  constructor(surface, pointer, panels, editor) {
    super(surface, editor);
    Object.assign(this, { pointer, panels });
  }

  get settings() {
    return this.surface.settings;
  }

  tool(tool) {
    if (this.store.readOnly && tool !== "select") return;
    this.pointer.abort();
    keepOutline(this.surface);
    // What is half drawn is kept as it is; Escape would drop it.
    if (isUnfinished(this.surface.draft) && tool !== this.settings.tool) finishDraft(this.surface);
    // The brush goes on with the mask that is selected.
    const goesOn = tool === "mask" && this.store.selectedPrompt?.type === "mask";
    const isForObject = OBJECT_TOOLS.includes(tool);
    if (tool !== "select" && !goesOn && !isForObject) this.store.select();
    this.settings.set({ tool, erasing: false });
    if (isForObject) this.onSelected(() => {});
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

  /** Let the brush erase, or paint again; takes it in hand, if it is not. */
  erase() {
    const brushes = ["mask", "retouch"];
    const isInHand = brushes.includes(this.settings.tool);
    if (!isInHand) this.tool("mask");
    if (brushes.includes(this.settings.tool))
      this.settings.set({ erasing: !isInHand || !this.settings.erasing });
  }

  /** Let go of the mask that is being painted: the next stroke begins another one. */
  finishMask() {
    if (this.store.selectedPrompt) this.surface.say("Done: the next stroke begins a new mask");
    this.store.select();
    this.settings.set({ erasing: false });
  }

  /** Choose the category with this place in the list, also for the selected mark. */
  category(index) {
    const category = this.store.categories[index];
    if (!category) return;
    const { selectedPrompt, readOnly } = this.store;
    if (selectedPrompt && !readOnly && selectedPrompt.category_id !== category.id) {
      this.store.replacePrompt({ ...selectedPrompt, category_id: category.id });
    }
    if (this.store.selectedInstanceIds.length) this.relabelAs(category);
    this.store.activate(category.id);
  }

  undo() {
    if (editsOutline(this.surface)) return stepBack(this.surface);
    if (this.surface.draft) return this.dropCorner();
    return this.editor.travel("undo");
  }

  redo() {
    return editsOutline(this.surface) ? undefined : this.editor.travel("redo");
  }

  /** Take back the last corner of the polygon being drawn. */
  dropCorner() {
    const { draft } = this.surface;
    if (draft.type !== "polygon" || draft.points.length <= 2) return dropDraft(this.surface);
    this.surface.draft = { ...draft, points: draft.points.slice(0, -2) };
    return this.surface.repaint("marks");
  }

  delete() {
    const { selectedPrompt, readOnly } = this.store;
    const { draft, shape, handle } = this.surface;
    if (readOnly) return;
    if (handle !== null && hasCorners(shape)) removeVertex(this.surface);
    else if (editsOutline(this.surface)) this.surface.say("Choose a corner first, with a click on it");
    else if (draft) this.dropCorner();
    else if (selectedPrompt) {
      this.surface.say(`${described(selectedPrompt, this.store)} deleted`);
      this.store.removePrompt(selectedPrompt.id);
    } else if (this.meant.length) this.change("delete");
  }

  /** Make a found object an example of its category: a mask on this image, which undo takes back. */
  async reference(instanceId = this.meant.at(-1)) {
    const { store, surface } = this;
    const found = surface.left.find(({ id }) => id === instanceId);
    if (store.readOnly || !store.image) return;
    if (!found) {
      const key = surface.keymap.shown("reference");
      surface.say(`Select a found object first${key && `; ${key} makes it a reference`}`);
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
    const undoKey = surface.keymap.shown("undo");
    surface.say(addExample(store, { categoryId: found.categoryId, rle }, undoKey));
  }

  escape() {
    if (this.panels.closeAll()) return;
    const { draft, settings } = this.surface;
    if (!draft && OBJECT_TOOLS.includes(settings.tool)) this.tool("select");
    else this.pointer.escape();
  }

  /** Let boxes, polygons and masks be finished objects, or examples to search with again. */
  annotate() {
    const annotates = !this.settings.annotates;
    this.settings.set({ annotates });
    this.surface.say(
      annotates
        ? "Box, polygon and brush now draw finished objects, without the model"
        : "What is drawn marks examples to search with",
    );
  }

  /** Move the chosen corner or side of the selected mark or outline, or the mark, or the crosshair. */
  move([dx, dy]) {
    const { surface, store } = this;
    const { image, handle, shape } = surface;
    if (!image) return;
    if (shape && !store.readOnly && this.settings.tool !== "mask") {
      if (handle !== null) {
        const { x, y } = handlesOf(shape)[handle];
        const change = reshaped(shape, handle, { x: x + dx, y: y + dy }, image);
        surface.setShape(change, `reshape ${shape.id} ${handle}`);
      } else if (shape === store.selectedPrompt)
        store.replacePrompt(moved(shape, dx, dy, image), `move ${shape.id}`);
    } else if (this.settings.tool !== "select" && !store.readOnly) {
      const { width, height } = surface.stage;
      const from = surface.crosshair ?? toImage(surface.view, { x: width / 2, y: height / 2 });
      surface.crosshair = intoImage({ x: from.x + dx, y: from.y + dy }, image);
      if (surface.draft && surface.draft.type !== "polygon") {
        surface.draft = extended(surface.draft, [surface.crosshair]);
      }
      surface.repaint("marks");
    }
    return undefined;
  }

  /** Choose the next (1) or previous (-1) corner or side of the selected mark, for the arrows. */
  handle(step) {
    const { store, handle, shape } = this.surface;
    const count = cornerCount(shape);
    if (!count || store.readOnly) return;
    const next = handle === null ? (step > 0 ? 0 : count - 1) : (handle + step + count) % count;
    this.surface.setHandle(next);
    const kind = hasCorners(shape) ? "Corner" : "Handle";
    this.surface.say(`${kind} ${next + 1} of ${count}: arrows move it`);
  }

  /** Give the selected polygon, or the outline, a corner in the middle of the side after the chosen one. */
  corner() {
    const { store, handle, shape, image } = this.surface;
    if (store.readOnly || !hasCorners(shape)) return;
    const side = handle ?? 0;
    const dot = cornerCount(shape) + side;
    this.surface.setShape(reshaped(shape, dot, handlesOf(shape)[dot], image));
    this.surface.setHandle(side + 1);
    this.surface.say("Corner added; arrows move it");
  }

  /** Close the polygon; or, with the crosshair shown, do there what pressing a button would. */
  enter() {
    const { surface, store } = this;
    const { crosshair, draft } = surface;
    const { tool, positive } = this.settings;
    if (editsOutline(surface)) keepOutline(surface);
    else if (!crosshair) {
      if (draft?.type === "polygon") finishDraft(surface);
      else if (tool === "mask") this.finishMask();
    } else if (!store.activeCategory) surface.say("Add a category first: what should be found?");
    else if (tool === "polygon") addVertex(surface, crosshair, positive, REACH.mouse);
    else if (draft) finishDraft(surface);
    else {
      beginDraft(surface, crosshair, { positive, erases: this.settings.erasing });
      if (tool === "point") finishDraft(surface);
    }
  }

  /** How wide the selected scribble is, else the strokes of the tool in hand; null if neither is. */
  get strokeWidth() {
    const { selectedPrompt } = this.store;
    if (selectedPrompt?.type === "scribble") return selectedPrompt.width ?? 1;
    return this.surface.strokeWidth;
  }

  setStrokeWidth(width) {
    const { selectedPrompt, readOnly } = this.store;
    const next = clamp(Math.round(width), 1, WIDEST_STROKE);
    if (selectedPrompt?.type === "scribble") {
      if (!readOnly)
        this.store.replacePrompt({ ...selectedPrompt, width: next }, `width ${selectedPrompt.id}`);
    } else this.settings.set({ widths: { ...this.settings.widths, [this.settings.tool]: next } });
  }

  width(factor) {
    const width = this.strokeWidth;
    if (width === null) return;
    this.setStrokeWidth(factor > 1 ? Math.ceil(width * factor) : Math.floor(width * factor));
    this.surface.say(`${this.strokeWidth} pixels wide`);
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

  /** Show a reference of the active category beside the image, or no more. */
  compare() {
    this.settings.set({ compare: !this.settings.compare });
  }

  outline() {
    this.settings.set({ outline: !this.settings.outline });
  }

  pattern() {
    this.settings.set({ pattern: !this.settings.pattern });
  }

  colors() {
    const colorBy = this.settings.colorBy === "instance" ? "category" : "instance";
    this.settings.set({ colorBy });
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
