/** Editing of the outline of the selected object. However much is moved, it is one edit. */
import { ringsOf } from "./contour.js";
import { simplifiedOutline, wholeRing } from "./outlines.js";
import { runEnds } from "./rle.js";

/** How far a side may lie from what it stands for, in screen pixels. */
const TOLERANCE = 2;
const CHANGED = "The object was changed meanwhile; it is shown as it is now";

/** @returns {boolean} whether an outline is being edited, and not already on its way to the server. */
export function editsOutline({ draft }) {
  return draft?.type === "outline" && !draft.isSent;
}

/** Show the corners of an object. Its mask comes at the size of the image. */
export async function beginOutline(surface, { id, rev, categoryId }) {
  const answer = await fetch(new URL(`instances/${id}/mask`, document.baseURI)).catch(() => null);
  if (!answer?.ok) {
    surface.say(answer ? await answer.text() : "The server cannot be reached. Try again.");
    return;
  }
  const { size, counts } = await answer.json();
  const isThere = surface.findInstance(id)?.rev === rev;
  if (!isThere || surface.draft || surface.store.selectedInstanceIds.join() !== String(id)) return;
  const rings = simplifiedOutline(ringsOf(runEnds(counts), size[0]), TOLERANCE * surface.pixel);
  const look = { category_id: categoryId, positive: true };
  show(surface, { type: "outline", instanceId: id, rev, ...look, rings, before: null });
  surface.element.focus({ preventScroll: true });
}

/** Bring the outline to the server, if it was changed; without it, editing goes on. */
export async function keepOutline(surface) {
  const { draft } = surface;
  if (!editsOutline(surface)) return;
  if (draft.before === null) {
    show(surface, null);
    return;
  }
  if (surface.findInstance(draft.instanceId)?.rev !== draft.rev) {
    surface.say(CHANGED);
    show(surface, null);
    return;
  }
  const sent = { ...draft, isSent: true };
  show(surface, sent);
  const operation = { do: "outline", ids: [draft.instanceId], rings: draft.rings.map(wholeRing) };
  const said = `Outline changed; ${surface.keymap.shown("undo")} undoes`;
  const isDone = await surface.edit(operation, said);
  if (surface.draft === sent) show(surface, isDone ? null : draft);
}

/** Take back the last change of the outline; if there was none, end. */
export function stepBack(surface) {
  show(surface, surface.draft.before);
}

function show(surface, draft) {
  surface.draft = draft;
  surface.repaint("found");
  surface.setHandle(null);
}
