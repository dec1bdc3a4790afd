/**
 * Strokes that correct the selected object rather than mark anything: paint on it, erase from it,
 * cut it. The stroke is shown while it is drawn; the mask is worked out at full size by the server.
 */
import { intoImage } from "./geometry.js";
import { begun, extended, finished } from "./shapes.js";

/** Tools that work on the selected object. */
export const OBJECT_TOOLS = ["retouch", "cut"];

/** @returns {boolean} whether a stroke of the tool in hand corrects an object. */
export function correctsObject({ settings, store }) {
  const goesOn = settings.annotates && settings.tool === "mask" && store.selectedInstanceIds.length;
  return OBJECT_TOOLS.includes(settings.tool) || Boolean(goesOn);
}

/** @param {boolean} erases whether the brush takes away; a cut does neither. */
export function correct(surface, start, erases) {
  const { image, settings, store } = surface;
  const [id, ...others] = store.selectedInstanceIds;
  const found = surface.findInstance(id);
  if (!found || others.length) {
    surface.say("Select one object first, with a click on it or in the list");
    return null;
  }
  const cuts = settings.tool === "cut";
  const width = cuts ? 2 * surface.pixel : settings.widthOf(settings.tool, image);
  const look = { categoryId: found.categoryId, positive: !erases && !cuts, width };
  surface.draft = begun("scribble", intoImage(surface.toImage(start), image), look);
  surface.repaint("marks");
  return {
    move(places) {
      const inside = places.map((place) => intoImage(surface.toImage(place), image));
      surface.draft = extended(surface.draft, inside);
      surface.repaint("marks");
    },
    end: () => send(surface, id, cuts, erases),
    cancel: () => drop(surface, surface.draft),
  };
}

/** The stroke stays in sight until the mask has changed. */
async function send(surface, id, cuts, erases) {
  const draft = { ...surface.draft, isSent: true };
  surface.draft = draft;
  const { points, width } = finished(draft, surface.pixel);
  const operation = cuts
    ? { do: "split", ids: [id], points }
    : { do: "brush", ids: [id], strokes: [{ points, width, erases }] };
  const said = cuts ? "Object cut" : erases ? "Erased from the object" : "Added to the object";
  const isDone = await surface.edit(operation, said);
  drop(surface, draft);
  if (isDone && cuts && surface.settings.tool === "cut") surface.settings.set({ tool: "select" });
}

function drop(surface, draft) {
  if (surface.draft === draft) surface.draft = null;
  surface.repaint("marks");
}

/** Make an accepted object of what was drawn, and select it. */
export async function addObject(surface, { category_id, type, points, rle }) {
  const shape = type === "mask" ? { rle } : { points };
  const name = surface.store.category(category_id)?.name;
  const reply = await surface.edit(
    { do: "draw", category_id, type, ...shape },
    `Object of ${name} added, as accepted`,
  );
  if (reply) surface.store.select({ instanceIds: reply.instances.map(({ id }) => id) });
}
