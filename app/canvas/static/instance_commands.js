/** What keys and buttons do with the selected instances, by name. */
import { beginOutline, editsOutline, keepOutline } from "./outline_tool.js";

const DONE = {
  delete: "deleted",
  merge: "merged into one",
  fill_holes: "without holes",
  remove_specks: "without specks",
  simplify: "with a simpler outline",
  bring_forward: "brought forward",
  send_back: "sent back",
};
const DECIDED = { accepted: "accepted", rejected: "rejected", proposed: "proposed again" };

export class InstanceCommands {
  constructor(surface, editor) {
    Object.assign(this, { surface, editor });
  }

  get store() {
    return this.surface.store;
  }

  /** What keys and buttons mean: the selected objects, or else the one under the pointer. */
  get meant() {
    const { selectedInstanceIds: ids } = this.store;
    const { hovered } = this.surface;
    return ids.length || !hovered ? ids : [hovered.id];
  }

  /** Accept or reject, or make a proposal again. */
  decide(status) {
    this.onMeant((ids) => this.tell({ do: "decide", ids, status }, DECIDED[status]));
  }

  /** Reject the proposals that are shown, except the selected: one key for many wrong ones. */
  rejectOthers() {
    const { store, surface } = this;
    const selected = store.selectedInstanceIds;
    const ids = surface.shown
      .filter(({ id, status }) => status === "proposed" && !selected.includes(id))
      .map(({ id }) => id);
    if (ids.length) this.tell({ do: "decide", ids, status: "rejected" }, "rejected");
    else surface.say("There is no other proposal on this image");
  }

  /** Do what needs no more than to know which instances are meant. */
  change(what) {
    this.onMeant((ids) => this.tell({ do: what, ids }, DONE[what]));
  }

  /** Make every connected part of the selected object one of its own. */
  separate() {
    this.onMeant((ids) => this.tell({ do: "split", ids: ids.slice(-1) }, "separated"));
  }

  /** Edit the outline of the selected object by its corners; asked again, keep it. */
  reshape() {
    if (editsOutline(this.surface)) keepOutline(this.surface);
    else
      this.onSelected((ids) => {
        this.tool("select");
        if (ids.length === 1) beginOutline(this.surface, this.surface.findInstance(ids[0]));
        else this.surface.say("Select one object only to edit its outline");
      });
  }

  /** Choose another category from the menu. */
  relabel() {
    this.onSelected(() => this.panels.menu.toggle(true));
  }

  relabelAs({ id, name }) {
    this.onMeant((ids) =>
      this.tell({ do: "relabel", ids, category_id: id }, `in the category ${name}`),
    );
  }

  /** Carry out an operation that names its instances itself, or needs none. */
  edit(operation) {
    return this.editor.run(operation);
  }

  /** What goes on with the pointer needs the object selected. */
  onSelected(action) {
    this.onMeant((ids) => {
      this.store.select({ instanceIds: ids });
      action(ids);
    });
  }

  onMeant(action) {
    const ids = this.meant;
    if (this.store.readOnly || !this.surface.image) return;
    // What is done next is done to the object as it looks now.
    keepOutline(this.surface);
    if (ids.length) action(ids);
    else this.surface.say("Select an object first, with a click on it or in the list");
  }

  tell(operation, done) {
    const { length } = operation.ids;
    const what = length === 1 ? "Object" : `${length} objects`;
    const key = this.surface.keymap.shown("undo");
    return this.editor.run(operation, `${what} ${done}${key && `; ${key} undoes`}`);
  }
}
