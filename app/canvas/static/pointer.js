/** Mouse, pen and touch on the stage: chooses the gesture and feeds it. */
import { correct, correctsObject } from "./object_strokes.js";
import { editsOutline } from "./outline_tool.js";
import { dropDraft, draw, grab, grabOutline, pan, pinch, promptUnder, REACH, vertex } from "./gestures.js";
import { handlesOf, handleUnder } from "./shapes.js";
import { zoomedAt } from "./view.js";

const LINE_HEIGHT = 16;
/** The button that a pen tells when it is turned around. */
const PEN_ERASER = 5;

export class Pointer {
  constructor(surface) {
    this.surface = surface;
    this.down = new Map();
    this.gesture = null;
    this.panHeld = false;
    this.penSeen = false;
    const { element } = surface;
    const listen = (name, handler) => element.addEventListener(name, handler.bind(this));
    listen("pointerdown", this.onDown);
    listen("pointermove", this.onMove);
    listen("pointerup", this.onUp);
    listen("pointercancel", this.onCancel);
    listen("pointerleave", this.onLeave);
    element.addEventListener("contextmenu", (event) => event.preventDefault());
    element.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
  }

  place(event) {
    const { left, top } = this.surface.element.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  }

  /** End whatever is going on without a trace. */
  abort() {
    this.gesture?.cancel();
    this.gesture = null;
  }

  onDown(event) {
    if (!this.surface.image) return;
    this.surface.element.focus({ preventScroll: true });
    this.surface.crosshair = null;
    this.penSeen ||= event.pointerType === "pen";
    this.down.set(event.pointerId, this.place(event));
    capture(this.surface.element, event.pointerId);
    if (this.down.size > 1) this.abort();
    if (this.down.size === 2) this.gesture = pinch(this.surface, () => [...this.down.values()]);
    if (this.down.size === 1) this.gesture = this.chosen(event, this.place(event));
    this.updateCursor(null);
  }

  chosen(event, at) {
    const { surface } = this;
    const { settings, store } = surface;
    const reach = REACH[event.pointerType] ?? REACH.mouse;
    const resting = event.pointerType === "touch" && this.penSeen;
    if (event.button === 1 || this.panHeld || resting) return pan(surface, at);
    const how = { adds: event.shiftKey, removes: isModified(event) };
    if (editsOutline(surface) && event.button === 0) return grabOutline(surface, at, reach, how);
    if (settings.tool === "select" || store.readOnly) {
      return event.button === 0 ? grab(surface, at, reach, how) : null;
    }
    const isOther = event.button === 2 || event.button === PEN_ERASER || isModified(event);
    if (correctsObject(surface)) return correct(surface, at, settings.erasing !== isOther);
    if (!store.activeCategory) {
      surface.say("Add a category first: what should be found?");
      return pan(surface, at);
    }
    if (settings.tool === "mask") {
      return draw(surface, at, { positive: settings.positive, erases: settings.erasing !== isOther });
    }
    const positive = settings.positive !== isOther;
    return settings.tool === "polygon"
      ? vertex(surface, at, positive, reach)
      : draw(surface, at, { positive });
  }

  onMove(event) {
    const at = this.place(event);
    if (this.down.has(event.pointerId)) this.down.set(event.pointerId, at);
    if (this.gesture) {
      const steps = event.getCoalescedEvents?.() ?? [];
      this.gesture.move(steps.length ? steps.map((step) => this.place(step)) : [at]);
    }
    this.surface.setPointerAt(event.pointerType === "touch" ? null : at);
    if (!this.down.size) this.hover(event, at);
  }

  hover(event, at) {
    const { surface } = this;
    if (!surface.image) return;
    const here = surface.toImage(at);
    const near = (REACH[event.pointerType] ?? REACH.mouse) * surface.pixel;
    const prompt = surface.settings.tool === "select" ? promptUnder(surface, here, near) : null;
    const found = prompt || surface.draft ? null : surface.instanceUnder(here);
    surface.store.highlight(found?.id ?? null);
    this.updateCursor({ here, near, prompt, found });
  }

  /** Show by the cursor what pressing would do. */
  updateCursor(hovered) {
    const { surface } = this;
    const { element, settings, store } = surface;
    let cursor = "crosshair";
    if (this.panHeld) cursor = this.down.size ? "grabbing" : "grab";
    else if (store.readOnly || settings.tool === "select") {
      if (!hovered) return;
      cursor = hovered.found ? "pointer" : "default";
      if (hovered.prompt) cursor = "move";
      const { shape } = surface;
      const handle = shape && hovered.here ? handleUnder(shape, hovered.here, hovered.near) : -1;
      if (handle >= 0) ({ cursor } = handlesOf(shape)[handle]);
    } else if (surface.strokeWidth) cursor = "none";
    element.style.cursor = cursor;
  }

  onUp(event) {
    if (!this.down.delete(event.pointerId)) return;
    // After a pinch the finger that stays must not begin to draw.
    const { gesture } = this;
    this.gesture = null;
    gesture?.end();
    if (!this.down.size && event.pointerType !== "touch") this.hover(event, this.place(event));
  }

  onCancel(event) {
    if (this.down.delete(event.pointerId)) this.abort();
  }

  onLeave() {
    if (this.down.size) return;
    this.surface.setPointerAt(null);
    this.surface.store.highlight(null);
  }

  onWheel(event) {
    const { surface } = this;
    if (!surface.image) return;
    event.preventDefault();
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE_HEIGHT : 1;
    // With ctrlKey set it is a pinch on a trackpad, which reports small steps.
    const factor = Math.exp(-event.deltaY * unit * (event.ctrlKey ? 0.01 : 0.0015));
    surface.setView(
      zoomedAt(surface.view, factor, this.place(event), surface.image, surface.stage),
    );
  }

  /** While the key for it is held, dragging moves the image. */
  holdPan(held) {
    if (held === this.panHeld) return;
    this.panHeld = held;
    this.updateCursor({});
  }

  /** The escape key: drop what is being done, else what is selected. */
  escape() {
    if (this.gesture) this.abort();
    else if (this.surface.draft) dropDraft(this.surface);
    else if (this.surface.handle !== null) this.surface.setHandle(null);
    else this.surface.store.select();
    this.surface.crosshair = null;
    this.surface.repaint("marks");
  }
}

/** Ctrl or Alt held is as good as the right button, which trackpads and pens may not have. */
function isModified({ ctrlKey, altKey, metaKey }) {
  return ctrlKey || altKey || metaKey;
}

function capture(element, pointerId) {
  try {
    element.setPointerCapture(pointerId);
  } catch {
    // The pointer may already be gone; the gesture then ends with the next event.
  }
}
