/**
 * The stage: three canvases (photo, found objects, marks), the view on them, and what is loaded
 * into them. Paints at most once per frame, and only the canvases that changed.
 */
import { endsOfMask } from "./brush.js";
import { make } from "./dom.js";
import {
  cleared,
  leftInstances,
  paintBrush,
  paintCrosshair,
  paintDraft,
  paintImage,
  paintPrompts,
  paintResults,
  shownInstances,
} from "./render.js";
import { boundsOf } from "./geometry.js";
import { boxOf, contains } from "./rle.js";
import { cornerCount } from "./shapes.js";
import { instanceAt, ResultsLoader, updated } from "./results.js";
import { colorOf } from "./color.js";
import { isVisible } from "./look.js";
import { constrained, fitted, panned, toImage } from "./view.js";

const LAYERS = ["photo", "found", "marks"];

export class Surface {
  /**
   * @param {{store: object, settings: object, keymap: object, say: (text: string) => void}} parts
   */
  constructor({ store, settings, keymap, say }) {
    Object.assign(this, { store, settings, keymap, say });
    this.canvases = Object.fromEntries(
      LAYERS.map((name) => [name, make("canvas", { class: "pc-layer" })]),
    );
    this.element = make("div", { class: "pc-stage", tabindex: "0", role: "application" });
    this.element.append(...Object.values(this.canvases));
    this.stage = { width: 0, height: 0 };
    this.loader = new ResultsLoader();
    this.decoded = new WeakMap();
    this.waiting = new Set();
    this.onChange = () => {};
    this.edit = () => Promise.resolve(null);
    this.masks = {
      contains: (prompt, at) => this.isInsideMask(prompt, at),
      boxOf: (prompt) => this.maskOf(prompt).box,
    };
    this.clear();
    store.subscribe((change) => this.onStore(change));
    settings.subscribe(() => this.repaint("found", "marks"));
    new ResizeObserver(() => this.resize()).observe(this.element);
  }

  clear() {
    this.loader.cancel();
    Object.assign(this, {
      picture: null,
      pictureState: "none",
      results: null,
      resultsState: "none",
    });
    Object.assign(this, { draft: null, preview: null, pointerAt: null, crosshair: null, handle: null });
    this.view = { scale: 1, x: 0, y: 0 };
    this.shownUrl = null;
  }

  get image() {
    return this.store.image;
  }

  /** The length of a screen pixel, in image pixels. */
  get pixel() {
    return 1 / this.view.scale;
  }

  toImage(place) {
    return toImage(this.view, place);
  }

  setView(view) {
    this.view = view;
    this.repaint(...LAYERS);
    this.onChange("view");
  }

  /** @param {{x: number, y: number} | null} at in stage pixels. */
  setPointerAt(at) {
    this.pointerAt = at;
    if (this.strokeWidth || this.draft) this.repaint("marks");
    this.onChange("pointer");
  }

  /** What is changed by its handles: the outline being edited, else the selected mark, or null. */
  get shape() {
    return this.draft?.type === "outline" ? this.draft : this.store.selectedPrompt;
  }

  /**
   * Take over a change of it.
   * @param {string | null} mergeKey changes in a row with the same key are taken back together.
   */
  setShape(shape, mergeKey = null) {
    if (shape.type !== "outline") return this.store.replacePrompt(shape, mergeKey);
    const goesOn = mergeKey !== null && this.draft.mergeKey === mergeKey;
    this.draft = { ...shape, mergeKey, before: goesOn ? this.draft.before : this.draft };
    return this.repaint("marks");
  }

  /** Choose a handle of it, by its index, for the keys. */
  setHandle(handle) {
    this.handle = handle;
    this.repaint("marks");
    this.onChange("handle");
  }

  /** How wide the strokes of the tool in hand are, in image pixels; null if it makes none. */
  get strokeWidth() {
    const { tool } = this.settings;
    const makesStrokes = ["scribble", "mask", "retouch"].includes(tool) && !this.store.readOnly;
    return makesStrokes && this.image ? this.settings.widthOf(tool, this.image) : null;
  }

  get erasing() {
    return ["mask", "retouch"].includes(this.settings.tool) && this.settings.erasing;
  }

  /** The colour of what the next stroke makes. */
  get nextColor() {
    const { selectedPrompt, activeCategory } = this.store;
    const [object] = this.settings.tool === "retouch" ? this.selectedInstances : [];
    if (object) return colorOf(this.store.category(object.categoryId));
    return colorOf(selectedPrompt ? this.store.category(selectedPrompt.category_id) : activeCategory);
  }

  onStore(change) {
    const isGone = this.handle >= cornerCount(this.shape);
    if (change === "selection" || isGone) this.handle = null;
    if (change === "load") this.open();
    if (change === "load" || change === "update") this.loadResults();
    this.repaint("found", "marks");
  }

  /** Show the store's image; the view is kept if it is the one already shown. */
  open() {
    this.draft = this.preview = this.crosshair = this.handle = null;
    const { id, url } = this.image;
    if (this.shownUrl === url && this.pictureState === "ready") return;
    if (this.shownUrl !== url) {
      this.view = fitted(this.image, this.stage);
      this.results = null;
      this.resultsUrl = null;
    }
    this.shownUrl = url;
    this.loadPicture(id, url);
  }

  async loadPicture(id, url) {
    this.picture = null;
    this.pictureState = "loading";
    this.onChange("picture");
    this.repaint(...LAYERS);
    const picture = new Image();
    picture.src = new URL(url, document.baseURI);
    const state = await picture.decode().then(
      () => "ready",
      () => "failed",
    );
    if (this.image?.id !== id || this.shownUrl !== url) return;
    this.pictureState = state;
    this.picture = state === "ready" ? picture : null;
    this.onChange("picture");
    this.repaint("photo");
  }

  retryPicture() {
    this.loadPicture(this.image.id, this.shownUrl);
  }

  async loadResults() {
    const url = this.store.resultsUrl;
    if (url === this.resultsUrl && this.resultsState !== "failed") return;
    this.resultsUrl = url;
    if (!url) {
      this.loader.cancel();
      this.setResults(null, "none");
      return;
    }
    this.resultsState = "loading";
    try {
      const results = await this.loader.get(url);
      if (results) this.setResults(results, stateOf(results));
    } catch (error) {
      this.setResults(null, "failed");
      this.say(`The found objects could not be loaded: ${error.message}`);
    }
  }

  setResults(results, state) {
    this.results = results;
    this.resultsState = state;
    if (this.pointerAt) this.store.highlight(this.hovered?.id ?? null);
    this.repaint("found");
    this.onChange("results");
  }

  /** Take over instances that an edit has changed, without asking for all the others again. */
  takeInstances({ instances, removed, results_rev: rev }) {
    const url = `results/${this.image.id}?rev=${rev}`;
    if (!this.results || this.resultsState === "loading") return this.store.update({ results_url: url });
    this.store.resultsUrl = this.resultsUrl = url;
    const results = updated(this.results, instances, removed);
    return this.setResults(results, stateOf(results));
  }

  findInstance(id) {
    return this.results?.instances.find((found) => found.id === id);
  }

  /** The selected instances, in the order they were selected. */
  get selectedInstances() {
    return this.store.selectedInstanceIds.map((id) => this.findInstance(id)).filter(Boolean);
  }

  /** Where the selected instances lie on the stage. */
  get boxOfSelected() {
    const boxes = this.selectedInstances.map(({ box }) => box);
    const pixels = (this.image.width / this.results.width) * this.view.scale;
    const { x, y } = this.view;
    return {
      x0: x + Math.min(...boxes.map(({ x0 }) => x0)) * pixels,
      y0: y + Math.min(...boxes.map(({ y0 }) => y0)) * pixels,
      x1: x + Math.max(...boxes.map(({ x1 }) => x1)) * pixels,
      y1: y + Math.max(...boxes.map(({ y1 }) => y1)) * pixels,
    };
  }

  /** With the select tool: the object under the pointer, which keys mean when none is selected. */
  get hovered() {
    if (this.settings.tool !== "select" || !this.pointerAt || this.draft) return null;
    return this.instanceUnder(this.toImage(this.pointerAt));
  }

  /** The instances that are not rejected. */
  get left() {
    return leftInstances(this.results);
  }

  /** Those of them that pass the score threshold. */
  get shown() {
    return shownInstances(this.results, this.store);
  }

  instanceUnder(at) {
    if (!this.results || !this.settings.overlay) return null;
    const visible = this.shown.filter((found) => isVisible(found, this.settings));
    return instanceAt(this.results, visible, at, this.image);
  }

  /** The decoded mask of a mask prompt. */
  maskOf(prompt) {
    if (!this.decoded.has(prompt.rle)) {
      const ends = endsOfMask(prompt);
      this.decoded.set(prompt.rle, { ends, box: boxOf(ends, prompt.rle.size[0]) });
    }
    return this.decoded.get(prompt.rle);
  }

  isInsideMask(prompt, { x, y }) {
    const [height, width] = prompt.rle.size;
    const column = Math.floor((x * width) / this.image.width);
    const row = Math.floor((y * height) / this.image.height);
    const inside = column >= 0 && row >= 0 && column < width && row < height;
    return inside && contains(this.maskOf(prompt).ends, height, column, row);
  }

  /** Bring a found object into the stage, if it is outside. */
  reveal({ box }) {
    this.bring(box, this.image.width / this.results.width);
  }

  /** Bring a mark into the stage, if it is outside. */
  revealMark(prompt) {
    if (prompt.type !== "mask") this.bring(boundsOf(prompt.points), 1);
    else this.bring(this.maskOf(prompt).box, this.image.width / prompt.rle.size[1]);
  }

  /** Bring the middle of a box into the stage; `pixels` is the length of its unit. */
  bring({ x0, y0, x1, y1 }, pixels) {
    const { scale, x, y } = this.view;
    const middle = {
      x: x + ((x0 + x1) / 2) * pixels * scale,
      y: y + ((y0 + y1) / 2) * pixels * scale,
    };
    const { width, height } = this.stage;
    if (middle.x > 0 && middle.y > 0 && middle.x < width && middle.y < height) return;
    const dx = width / 2 - middle.x;
    const dy = height / 2 - middle.y;
    this.setView(panned(this.view, dx, dy, this.image, this.stage));
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.element;
    const before = this.stage;
    this.stage = { width, height };
    if (this.image) this.view = this.viewAfterResize(before);
    this.repaint(...LAYERS);
    this.onChange("view");
  }

  /** A fitted image stays fitted; otherwise the middle of the stage stays where it is. */
  viewAfterResize(before) {
    const was = fitted(this.image, before);
    const isFitted =
      Math.abs(was.scale - this.view.scale) < 1e-6 && Math.abs(was.x - this.view.x) < 1;
    if (isFitted || !before.width) return fitted(this.image, this.stage);
    const { scale, x, y } = this.view;
    const dx = (this.stage.width - before.width) / 2;
    const dy = (this.stage.height - before.height) / 2;
    return constrained({ scale, x: x + dx, y: y + dy }, this.image, this.stage);
  }

  repaint(...layers) {
    if (!this.waiting.size) requestAnimationFrame(() => this.paint());
    for (const layer of layers) this.waiting.add(layer);
  }

  paint() {
    const layers = [...this.waiting];
    this.waiting.clear();
    if (!this.stage.width) return;
    for (const layer of layers) {
      const context = cleared(this.canvases[layer], this.stage, window.devicePixelRatio || 1);
      if (this.image) this[`${layer}Painted`](context);
    }
  }

  photoPainted(context) {
    paintImage(context, this.picture, this.image, this.view);
  }

  foundPainted(context) {
    if (!this.results || !this.settings.overlay) return;
    // Its outline is painted with the marks while it is edited.
    const isOther = ({ id }) => id !== this.draft?.instanceId;
    const results = { ...this.results, instances: this.results.instances.filter(isOther) };
    paintResults(context, results, this.store, this.view, this.settings);
  }

  marksPainted(context) {
    const { store, preview, view, draft, strokeWidth } = this;
    const look = {
      view,
      imageWidth: this.image.width,
      colorFor: (id) => colorOf(store.category(id)),
      maskOf: (prompt) => this.maskOf(prompt),
      handle: this.handle,
    };
    const prompts = store.prompts
      .filter(({ id }) => id !== draft?.id)
      .map((prompt) => (prompt.id === preview?.id ? preview : prompt));
    paintPrompts(context, prompts, store.selectedPromptId, look);
    const pointer = this.crosshair ?? (this.pointerAt && this.toImage(this.pointerAt));
    const drawn = preview?.type === "outline" ? preview : draft;
    if (drawn) paintDraft(context, drawn, pointer, look);
    if (this.crosshair) paintCrosshair(context, this.crosshair, view);
    else if (strokeWidth && pointer) {
      const erases = draft?.brush ? draft.brush.erases : this.erasing;
      paintBrush(context, pointer, { width: strokeWidth, erases, color: this.nextColor }, view);
    }
  }
}

/** An image that was never segmented has results as soon as something was drawn on it. */
function stateOf({ runId, instances }) {
  return runId === null && !instances.length ? "none" : "ready";
}
