/**
 * The canvas and the page around it: documents come in, saves and events go out.
 *
 * Other parts of the page speak to it by events on `document`, without a detour over the server:
 * dinov:threshold {score_threshold}, dinov:category-threshold {category_id, score_threshold},
 * dinov:hidden {category_ids}, dinov:highlight {instance_id}, dinov:select {instance_ids},
 * dinov:category {category_id}, dinov:mark {image_id, prompt_id} (select it once its image is here),
 * dinov:reference {instance_id}, dinov:command {name, argument}, dinov:changed {image_id,
 * prompts_rev} (somebody may have changed the marks), dinov:settle {image_id, waits} (gets the
 * image that is shown, and a promise that all edits are with the server), dinov:images-gone
 * {image_ids} (deleted). It says dinov:hover {instance_id}, dinov:selected {instance_ids},
 * dinov:category itself, and for keys that mean something to other parts of the page dinov:page
 * {does}; and dinov:keys {shown by action}, when asked by dinov:keys-asked and whenever somebody
 * has chosen others; and dinov:hints-asked.
 */
import { FoundBar } from "./found_bar.js";
import { InstanceBar } from "./instance_bar.js";
import { Commands } from "./commands.js";
import { ConflictBar } from "./conflicts.js";
import { Drafts, isUnfinished } from "./drafts.js";
import { make, showKeys } from "./dom.js";
import { Editor } from "./edits.js";
import { Keymap } from "./keymap.js";
import { keepOutline } from "./outline_tool.js";
import { Notices, Panels, StatusLine } from "./panels.js";
import { Pointer } from "./pointer.js";
import { ReferenceView } from "./reference_view.js";
import { Saver } from "./saver.js";
import { Settings } from "./settings.js";
import { Store } from "./store.js";
import { Surface } from "./surface.js";
import { CategoryMenu, Toolbar, ZoomBar } from "./toolbar.js";

/** What a screen reader says of the stage. */
function stageLabel(keymap) {
  const tools = ["point", "box", "scribble", "polygon", "mask", "select"];
  const name = (tool) => (tool === "mask" ? "brush" : tool);
  const keys = tools.map((tool) => `${keymap.shown(`tool-${tool}`)} ${name(tool)}`).join(", ");
  const help = keymap.shown("help").replace("?", "question mark");
  const place = keymap.shown("enter");
  const places = place && `, ${place} places`;
  return `Image with marks. ${keys}. Arrows move the crosshair${places}. ${help} lists all keys.`;
}

/**
 * Build the canvas inside `host`.
 * @param {{host: HTMLElement, props: {value: string}, trigger: Function, watch: Function,
 *   save: (text: string) => Promise<string>, edit: (text: string) => Promise<string>}} page what the
 *   component gives.
 */
export async function mount({ host, props, trigger, watch, save, edit }) {
  await styled();
  const canvas = new Canvas(host, trigger, { save, edit });
  watch("value", () => canvas.receive(props.value));
  canvas.receive(props.value);
}

/** Wait for the style sheet, so that nothing is ever shown unstyled. */
function styled() {
  const href = new URL("canvas.css", import.meta.url).href;
  if ([...document.styleSheets].some((sheet) => sheet.href === href)) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const onerror = () => reject(new Error("its style sheet is missing"));
    document.head.append(
      make("link", { rel: "stylesheet", href, onload: () => resolve(), onerror }),
    );
  });
}

class Canvas {
  constructor(host, trigger, { save, edit }) {
    this.host = host;
    this.trigger = trigger;
    this.requestedFor = null;
    this.taken = 0;
    this.wantedMark = null;
    this.drafts = new Drafts();
    this.store = new Store();
    this.settings = new Settings();
    // Where storage is switched off, already naming it throws.
    this.keymap = new Keymap({
      getItem: (name) => localStorage.getItem(name),
      setItem: (name, text) => localStorage.setItem(name, text),
    });
    this.surface = new Surface({
      store: this.store,
      settings: this.settings,
      keymap: this.keymap,
      say: (text) => this.status.say(text),
    });
    this.saver = new Saver({
      send: async (text) => JSON.parse(await save(text)),
      fetchMarks,
      onState: (state) => this.status.showSaved(state),
      onMerged: (...news) => this.takeOthers(...news),
      onSaved: (saved, history) => this.onSaved(saved, history),
      later: (callback, ms) => setTimeout(callback, ms),
    });
    this.editor = new Editor({
      store: this.store,
      saver: this.saver,
      find: (id) => this.surface.findInstance(id),
      send: async (text) => JSON.parse(await edit(text)),
      take: (imageId, reply) => this.take(imageId, reply),
      reload: (imageId) => this.request(imageId),
      say: (text) => this.status.say(text),
    });
    this.surface.edit = (operation, said) => this.editor.run(operation, said);
    this.build();
    this.listen();
    host.__canvas = this;
    this.showKeys();
  }

  build() {
    const { surface } = this;
    this.pointer = new Pointer(surface);
    this.panels = new Panels(surface);
    this.commands = new Commands(surface, this.pointer, this.panels, this.editor);
    this.panels.menu = new CategoryMenu(surface, (index) => this.commands.category(index));
    this.toolbar = new Toolbar(surface, this.commands, this.panels.menu);
    this.zoomBar = new ZoomBar(surface, this.commands);
    this.instanceBar = new InstanceBar(surface, this.commands);
    this.foundBar = new FoundBar(surface, this.commands);
    this.reference = new ReferenceView(surface, this.commands);
    this.notices = new Notices(surface);
    this.conflicts = new ConflictBar(surface);
    this.status = new StatusLine(surface, this.panels.marksButton, () => this.saver.retry());
    const body = make(
      "div",
      { class: "pc-body" },
      this.reference.element,
      surface.element,
      this.notices.blank,
      this.notices.note,
      this.conflicts.element,
    );
    body.append(this.instanceBar.element, this.foundBar.element, this.zoomBar.element, this.panels.marks, this.panels.help);
    this.host.replaceChildren(this.toolbar.element, body, this.status.element);
  }

  listen() {
    const { store, surface, settings } = this;
    store.subscribe((change) => this.onStore(change));
    settings.subscribe(() => this.update());
    this.keymap.subscribe(() => this.showKeys());
    surface.onChange = (what) =>
      what === "pointer" ? this.status.updatePosition() : this.update();
    this.on(document, "keydown", (event) => this.onKey(event));
    this.on(document, "keyup", () => this.pointer.holdPan(false));
    this.on(window, "storage", () => this.keymap.load());
    this.on(document, "pointerdown", (event) => this.closePanelsFor(event.target));
    this.on(window, "beforeunload", (event) => {
      keepOutline(surface);
      const isDrawing = this.drafts.any || isUnfinished(surface.draft);
      if (this.saver.isDirty || this.editor.isBusy || isDrawing) event.preventDefault();
    });
    this.on(document, "dinov:threshold", ({ detail }) =>
      store.setThreshold(detail.score_threshold),
    );
    this.on(document, "dinov:category-threshold", ({ detail }) =>
      store.setCategoryThreshold(detail.category_id, detail.score_threshold),
    );
    this.on(document, "dinov:hidden", ({ detail }) => settings.set({ hidden: detail.category_ids }));
    tell("dinov:hidden-asked", null);
    this.on(document, "dinov:highlight", ({ detail }) => store.highlight(detail.instance_id));
    this.on(document, "dinov:select", ({ detail }) => this.selectInstances(detail.instance_ids));
    this.on(document, "dinov:mark", ({ detail }) => {
      this.wantedMark = detail;
      this.selectWantedMark();
    });
    this.on(document, "dinov:reference", ({ detail }) =>
      this.commands.reference(detail.instance_id),
    );
    this.on(document, "dinov:command", ({ detail }) => this.commands[detail.name](detail.argument));
    this.on(document, "dinov:changed", ({ detail }) => this.followOthers(detail));
    this.on(document, "dinov:images-gone", ({ detail }) => this.drafts.forget(detail.image_ids));
    this.on(document, "dinov:category", ({ detail }) => store.activate(detail.category_id));
    this.on(document, "dinov:keys-asked", () => tell("dinov:keys", this.keymap.allShown));
    this.on(document, "dinov:settle", ({ detail }) => {
      keepOutline(surface);
      detail.image_id = store.image?.id ?? null;
      detail.waits.push(this.editor.done());
    });
  }

  /** Listen as long as the canvas is on the page: Gradio tells nobody when it removes it. */
  on(target, name, handler) {
    const listener = (event) => {
      if (this.host.isConnected) handler(event);
      else target.removeEventListener(name, listener);
    };
    target.addEventListener(name, listener);
  }

  /** Take in a document that the server has set as the value. */
  receive(text) {
    const document = parsed(text);
    if (document?.kind === "update") {
      if (document.image_id === this.store.image?.id) this.store.update(document);
      // Of two documents that come at once the first, which opened the image, is not seen here.
      else this.request(document.image_id);
    } else if (document?.kind === "load" && !(document.taken < this.taken)) {
      this.taken = document.taken ?? this.taken;
      if (document.image_id === null) this.clear();
      else this.load(document);
    }
  }

  clear() {
    this.leaveImage();
    this.store.clear();
    this.surface.clear();
    this.surface.setView(this.surface.view);
  }

  /** Lose nothing of what is going on, before another image takes the place of the one it is on. */
  leaveImage() {
    this.pointer.abort();
    keepOutline(this.surface);
    this.drafts.park(this.surface);
  }

  /** Show a document, unless what is here already is newer. */
  load(document) {
    const { image_id: id, rev } = document;
    const known = this.saver.revs.get(id) ?? -1;
    const isShown = this.store.image?.id === id && this.store.image.url === document.url;
    if (isShown && rev <= known) {
      this.store.update(document);
      const isUpToDate = rev === known && !this.saver.isDirty && !this.editor.isBusy;
      if (isUpToDate) this.store.setHistory(document.history);
    } else if (rev < known && !this.saver.unsaved(id) && this.requestedFor !== id) {
      this.request(id);
    } else {
      this.leaveImage();
      this.requestedFor = null;
      this.saver.track(id, rev, document.prompts);
      this.store.load(document, this.saver.unsaved(id) ?? document.prompts);
      this.drafts.resume(this.surface);
      this.conflicts.show();
    }
    this.selectWantedMark();
  }

  /** Select the mark that another part of the page has pointed at, if it is on this image. */
  selectWantedMark() {
    const { wantedMark, store, surface } = this;
    if (wantedMark === null || wantedMark.image_id !== store.image?.id) return;
    this.wantedMark = null;
    this.commands.tool("select");
    store.select({ promptId: wantedMark.prompt_id });
    if (store.selectedPrompt) surface.revealMark(store.selectedPrompt);
  }

  /** Ask the server for the document of the image that is open. */
  request(imageId) {
    this.requestedFor = imageId;
    this.trigger("document_requested", { image_id: imageId });
  }

  /** Somebody else has changed the marks: show it, unless something here is still to be saved. */
  async followOthers({ image_id: id, prompts_rev: rev }) {
    const { store, saver } = this;
    const isNews = () => store.image?.id === id && !saver.isDirty && rev > saver.revs.get(id);
    if (!isNews()) return;
    const current = await fetchMarks(id).catch(() => null);
    if (current && isNews())
      this.takeOthers(id, saver.absorb(id, current.rev, current.prompts), current);
  }

  /** Show marks of others, with those drawn here meanwhile. */
  takeOthers(imageId, { prompts, conflicts }, current) {
    const { store, trigger } = this;
    this.conflicts.add(imageId, conflicts);
    if (store.image?.id !== imageId) return;
    store.update({ categories: current.categories });
    store.receive({ history: current.history, prompts });
    this.conflicts.show();
    trigger("prompts_changed", { image_id: imageId, rev: current.rev, count: prompts.length });
  }

  onStore(change) {
    const { store, trigger } = this;
    const image_id = store.image?.id ?? null;
    if (change === "prompts") this.saver.put(image_id, store.prompts, store.mergeKey);
    if (change === "selection") keepOutline(this.surface);
    if (change === "selection")
      trigger("instance_selected", { image_id, instance_id: store.selectedInstanceId });
    if (store.selectedInstanceIds !== this.toldSelected) {
      this.toldSelected = store.selectedInstanceIds;
      tell("dinov:selected", { instance_ids: store.selectedInstanceIds });
    }
    if (change === "category") {
      trigger("category_picked", { category_id: store.activeCategoryId });
      tell("dinov:category", { category_id: store.activeCategoryId });
    }
    if (change === "highlight") tell("dinov:hover", { instance_id: store.highlightedInstanceId });
    this.update();
  }

  onSaved(saved, history) {
    const isShown = this.store.image?.id === saved.image_id;
    if (isShown && !this.saver.unsaved(saved.image_id)) this.store.setHistory(history);
    this.trigger("prompts_changed", saved);
    this.reference.load();
  }

  /** Show what an edit, an undo or a redo has changed. */
  take(imageId, reply) {
    if (reply.rev !== undefined) this.saver.track(imageId, reply.rev, reply.prompts);
    if (this.store.image?.id === imageId) {
      this.surface.takeInstances(reply);
      this.store.receive(reply);
    }
    this.trigger("image_edited", { image_id: imageId });
  }

  selectInstances(instanceIds) {
    this.store.select({ instanceIds });
    const found = this.surface.findInstance(instanceIds.at(-1));
    if (found) this.surface.reveal(found);
  }

  /** Keys count here and, as far as they mean nothing there, where nothing is being typed. */
  onKey(event) {
    if (this.host.offsetParent === null || isTyping(event.target)) return;
    // Where nothing has the focus a key arrives here also while a dialog covers the page.
    if (document.querySelector("dialog:modal")) return;
    const place = this.placeOf(event.target);
    const [name, argument] = this.keymap.commandFor(event) ?? [];
    if (!name || KEPT_BY[place].includes(name)) return;
    if (!this.panels.help.hidden && name !== "help" && name !== "escape") return;
    event.preventDefault();
    event.stopPropagation();
    this.commands[name](argument);
  }

  placeOf(target) {
    if (target === this.surface.element) return "stage";
    if (target === document.body) return "page";
    return this.host.contains(target) ? "controls" : "elsewhere";
  }

  closePanelsFor(target) {
    const { marks, marksButton, menu, help } = this.panels;
    const own = [marks, marksButton, menu.element, help, this.toolbar.element];
    if (!own.some((element) => element.contains(target))) this.panels.closeAll();
    else if (!menu.element.contains(target)) menu.toggle(false);
  }

  /** Name the keys where they are told: tooltips, and the label of the stage. */
  showKeys() {
    showKeys(this.host, this.keymap);
    this.surface.element.setAttribute("aria-label", stageLabel(this.keymap));
    tell("dinov:keys", this.keymap.allShown);
    this.update();
  }

  update() {
    this.host.dataset.tool = this.settings.tool;
    for (const part of [
      this.toolbar,
      this.zoomBar,
      this.foundBar,
      this.reference,
      this.instanceBar,
      this.notices,
      this.panels,
      this.status,
    ])
      part.update();
  }
}

/** The marks that the server has of an image, with categories and history. */
async function fetchMarks(imageId) {
  const response = await fetch(new URL(`marks/${imageId}`, document.baseURI));
  if (!response.ok) throw new Error(response.statusText);
  return response.json();
}

/** What keys do not do, by where the focus is: buttons and lists have their own use for them. */
const KEPT_BY = {
  stage: [],
  page: ["move", "pan"],
  controls: ["move", "enter", "pan"],
  elsewhere: ["move", "enter", "delete", "escape", "pan"],
};

function isTyping(target) {
  const fields =
    "input:not([type=range], [type=checkbox], [type=radio], [type=button]), textarea, select";
  return (
    target.matches?.(`${fields}, [contenteditable=true], [role=combobox], [role=listbox] *`) ??
    false
  );
}

function tell(name, detail) {
  document.dispatchEvent(new CustomEvent(name, { detail }));
}

function parsed(text) {
  try {
    const message = JSON.parse(text);
    return message?.schema === 1 ? message : null;
  } catch {
    return null;
  }
}
