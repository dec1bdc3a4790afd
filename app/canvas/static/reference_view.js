/**
 * A reference of the active category beside the image, with the marks it has for that category:
 * what is looked for, and where, side by side. It has a zoom of its own and cannot be drawn on.
 */
import { colorOf } from "./color.js";
import { iconButton, make } from "./dom.js";
import { cleared, paintImage, paintPrompts } from "./render.js";
import { fitted, panned, zoomedAt } from "./view.js";

const KEYS = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] };

export class ReferenceView {
  constructor(surface, commands) {
    this.surface = surface;
    this.references = [];
    this.shown = null;
    this.asked = null;
    this.picture = null;
    this.canvas = make("canvas", { class: "pc-layer" });
    this.stage = make("div", {
      class: "pc-reference-stage",
      "aria-label": "No reference",
      tabindex: "0",
      role: "img",
      onkeydown: (event) => this.onKey(event),
      ondblclick: () => this.fit(),
      onpointerdown: (event) => this.drag(event),
    });
    this.stage.append(this.canvas);
    this.stage.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    this.title = make("span", { class: "pc-name", role: "status" });
    this.blank = make("p", { class: "pc-reference-blank" });
    this.before = iconButton("before", "Reference before", "", () => this.step(-1));
    this.after = iconButton("after", "Next reference", "", () => this.step(1));
    const fit = iconButton("fit", "Fit the reference", "", () => this.fit());
    const close = iconButton("close", "Close the reference", "compare", () => commands.compare());
    this.element = make("section", {
      class: "pc-reference",
      "aria-label": "Reference beside the image",
      hidden: true,
    });
    const head = make("header", {}, this.before, this.title, this.after, fit, close);
    this.element.append(head, this.stage, this.blank);
    new ResizeObserver(() => this.fit()).observe(this.stage);
    surface.settings.subscribe(() => this.repaint());
  }

  get reference() {
    return this.references.find(({ image_id: id }) => id === this.shown) ?? null;
  }

  get size() {
    return { width: this.stage.clientWidth, height: this.stage.clientHeight };
  }

  /** Follow the active category, and the marks as they are saved. */
  update() {
    const { settings, store } = this.surface;
    const isOpen = settings.compare && store.image !== null;
    this.element.hidden = !isOpen;
    this.element.parentElement?.classList.toggle("is-comparing", isOpen);
    document.body.classList.toggle("pc-comparing", isOpen);
    if (isOpen && this.asked !== store.activeCategoryId) this.load();
  }

  /** Ask for the references of the active category; their marks may have changed. */
  async load() {
    const { activeCategoryId: id, activeCategory } = this.surface.store;
    if (this.element.hidden) {
      this.asked = null;
      return;
    }
    this.asked = id;
    const answer = id === null ? null : await fetch(new URL(`references/${id}`, document.baseURI));
    if (this.asked !== id) return;
    this.references = answer?.ok ? (await answer.json()).references : [];
    // The image that is open is seen already.
    const others = this.references.filter(({ image_id: one }) => one !== this.surface.image?.id);
    if (!this.reference) this.shown = (others[0] ?? this.references[0])?.image_id ?? null;
    this.blank.hidden = this.references.length > 0;
    this.blank.textContent = `No image is a reference for “${activeCategory?.name ?? "this"}” yet.`;
    this.show();
  }

  step(by) {
    const at = this.references.indexOf(this.reference);
    const count = this.references.length;
    this.shown = this.references[(at + by + count) % count]?.image_id ?? null;
    this.show();
  }

  async show() {
    const { reference } = this;
    const at = this.references.indexOf(reference);
    this.title.textContent = reference
      ? `${at + 1} of ${this.references.length} · ${reference.name}`
      : "Reference";
    this.stage.setAttribute("aria-label", reference ? `Reference ${reference.name}` : "No reference");
    this.before.disabled = this.after.disabled = this.references.length < 2;
    if (this.picture?.dataset.url === reference?.url) return this.repaint();
    this.picture = null;
    this.fit();
    if (!reference) return undefined;
    const picture = new Image();
    picture.dataset.url = reference.url;
    picture.src = new URL(reference.url, document.baseURI);
    await picture.decode().catch(() => null);
    if (this.reference?.url !== reference.url) return undefined;
    this.picture = picture;
    return this.repaint();
  }

  fit() {
    if (this.reference) this.setView(fitted(this.reference, this.size));
    else this.repaint();
  }

  setView(view) {
    this.view = view;
    this.repaint();
  }

  repaint() {
    if (this.element.hidden || !this.size.width) return;
    const context = cleared(this.canvas, this.size, window.devicePixelRatio || 1);
    const { reference, view, surface } = this;
    if (!reference || !view) return;
    paintImage(context, this.picture, reference, view);
    paintPrompts(context, reference.prompts, null, {
      view,
      imageWidth: reference.width,
      colorFor: (id) => colorOf(surface.store.category(id)),
      maskOf: (prompt) => surface.maskOf(prompt),
    });
  }

  onWheel(event) {
    event.preventDefault();
    if (!this.reference) return;
    const { left, top } = this.stage.getBoundingClientRect();
    const at = { x: event.clientX - left, y: event.clientY - top };
    this.setView(zoomedAt(this.view, Math.exp(-event.deltaY / 400), at, this.reference, this.size));
  }

  drag(event) {
    if (!this.reference || event.button > 1) return;
    this.stage.setPointerCapture(event.pointerId);
    let last = event;
    const move = (next) => {
      const [dx, dy] = [next.clientX - last.clientX, next.clientY - last.clientY];
      this.setView(panned(this.view, dx, dy, this.reference, this.size));
      last = next;
    };
    this.stage.addEventListener("pointermove", move);
    const end = () => this.stage.removeEventListener("pointermove", move);
    this.stage.addEventListener("lostpointercapture", end, { once: true });
  }

  onKey(event) {
    if (!this.reference) return;
    const { width, height } = this.size;
    const zoom = { "+": 1.25, "=": 1.25, "-": 0.8 }[event.key];
    const step = KEYS[event.key];
    if (zoom) {
      const middle = { x: width / 2, y: height / 2 };
      this.setView(zoomedAt(this.view, zoom, middle, this.reference, this.size));
    } else if (step) this.setView(panned(this.view, ...step, this.reference, this.size));
    else if (event.key === "f") this.fit();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
