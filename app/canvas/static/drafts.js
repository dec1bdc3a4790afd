/**
 * Marks in the making of images that were left, such as polygons that are not closed yet: they go
 * on when one comes back. An outline being edited is none of these; it is kept at once.
 */
export class Drafts {
  constructor() {
    this.parked = new Map();
    this.gone = new Set();
  }

  /** True while something is begun on an image that is not shown. */
  get any() {
    return this.parked.size > 0;
  }

  /** Put by what is being drawn, before another image takes the place of the one it is on. */
  park({ image, draft, crosshair }) {
    if (image && !this.gone.has(image.id) && isUnfinished(draft)) this.parked.set(image.id, { draft, crosshair });
  }

  /** Give up what was begun on images that were deleted, also on the one that is still shown. */
  forget(imageIds) {
    for (const id of imageIds) {
      this.gone.add(id);
      this.parked.delete(id);
    }
  }

  /** Go on with what was begun on the image that is shown. */
  resume(surface) {
    const { store, settings, keymap } = surface;
    const begun = this.parked.get(store.image.id);
    if (!begun || store.readOnly) return;
    this.parked.delete(store.image.id);
    const { category_id: id } = begun.draft;
    // Its category may have been deleted meanwhile.
    const category_id = store.category(id) ? id : store.activeCategoryId;
    Object.assign(surface, { draft: { ...begun.draft, category_id }, crosshair: begun.crosshair });
    settings.set({ tool: begun.draft.type });
    surface.say(`The ${begun.draft.type} that was begun here goes on; ${keymap.shown("enter")} ends it`);
  }
}

/** @returns {boolean} whether a draft is neither an outline nor already on its way to the server. */
export function isUnfinished(draft) {
  return Boolean(draft) && draft.type !== "outline" && !draft.isSent;
}
