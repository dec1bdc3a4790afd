/**
 * What the canvas shows: the document, the marks, what is selected, and where the history stands.
 * No DOM. Everything handed out is treated as immutable.
 *
 * The one history of an image is on the server: it holds marks and instances together and outlives
 * the page. Here is only what it says can be undone and redone.
 */

const NO_HISTORY = { head: 0, undo: null, redo: null };

export class Store {
  constructor() {
    this.listeners = new Set();
    this.clear();
  }

  /** Show nothing. */
  clear() {
    this.image = null;
    this.readOnly = false;
    this.categories = [];
    this.activeCategoryId = null;
    this.scoreThreshold = 0;
    this.categoryThresholds = {};
    this.resultsUrl = null;
    this.reset([], NO_HISTORY);
    this.emit("clear");
  }

  reset(prompts, history) {
    this.prompts = prompts;
    this.history = history;
    this.mergeKey = null;
    this.selectedPromptId = null;
    this.selectedInstanceIds = [];
    this.highlightedInstanceId = null;
  }

  /** The instance that was selected last, or null. */
  get selectedInstanceId() {
    return this.selectedInstanceIds.at(-1) ?? null;
  }

  get selectedPrompt() {
    return this.prompts.find((prompt) => prompt.id === this.selectedPromptId) ?? null;
  }

  get canUndo() {
    return this.history.undo !== null;
  }

  get canRedo() {
    return this.history.redo !== null;
  }

  get activeCategory() {
    return this.category(this.activeCategoryId);
  }

  category(id) {
    return this.categories.find((category) => category.id === id) ?? null;
  }

  /** Call `listener` after every change, with what kind it was. */
  subscribe(listener) {
    this.listeners.add(listener);
  }

  emit(change) {
    for (const listener of this.listeners) listener(change);
  }

  /**
   * Show another document.
   * @param {object} document a load document; its prompts may be replaced by unsaved ones.
   * @param {object[]} prompts
   */
  load(document, prompts) {
    this.image = {
      id: document.image_id,
      name: document.name,
      url: document.url,
      width: document.width,
      height: document.height,
    };
    this.readOnly = document.read_only;
    this.reset(prompts, document.history ?? NO_HISTORY);
    this.apply(document);
    this.emit("load");
  }

  /** Take over what an update document brings. */
  update(document) {
    this.apply(document);
    this.emit("update");
  }

  apply({
    categories,
    active_category_id: active,
    score_threshold: threshold,
    category_thresholds: thresholds,
    results_url: url,
  }) {
    if (categories !== undefined) this.categories = categories;
    if (active) this.activeCategoryId = active;
    if (threshold !== undefined) this.scoreThreshold = threshold;
    if (thresholds !== undefined) this.categoryThresholds = thresholds;
    if (url !== undefined) this.resultsUrl = url;
    if (!this.activeCategory) this.activeCategoryId = this.categories[0]?.id ?? null;
  }

  /**
   * Make an edit of the marks.
   * @param {object[]} prompts all marks after it.
   * @param {string | null} mergeKey edits in a row with the same key are undone together.
   */
  commit(prompts, mergeKey = null) {
    this.mergeKey = mergeKey;
    // Until the server has answered: there is something to undo, and nothing to redo.
    this.history = { ...this.history, undo: this.history.undo ?? "mark", redo: null };
    this.enter(prompts);
    this.emit("prompts");
  }

  enter(prompts) {
    this.prompts = prompts;
    if (!this.selectedPrompt) this.selectedPromptId = null;
    this.emit("state");
  }

  /** Take over what the server says of the history. */
  setHistory(history) {
    this.history = history;
    this.emit("update");
  }

  /** Take over what the server has changed: marks, and instances that are gone. */
  receive({ history, prompts, removed = [] }) {
    this.history = history;
    const isLeft = (id) => !removed.includes(id);
    this.selectedInstanceIds = this.selectedInstanceIds.filter(isLeft);
    this.enter(prompts ?? this.prompts);
  }

  addPrompt(prompt) {
    this.commit([...this.prompts, prompt]);
  }

  /** Replace the prompt that has the same id. */
  replacePrompt(prompt, mergeKey = null) {
    const prompts = this.prompts.map((old) => (old.id === prompt.id ? prompt : old));
    this.commit(prompts, mergeKey);
  }

  removePrompt(id) {
    this.commit(this.prompts.filter((prompt) => prompt.id !== id));
  }

  /** Select a prompt, or instances, or nothing. */
  select({ promptId = null, instanceIds = [] } = {}) {
    const same = instanceIds.join() === this.selectedInstanceIds.join();
    if (promptId === this.selectedPromptId && same) return;
    this.selectedPromptId = promptId;
    this.selectedInstanceIds = instanceIds;
    this.emit("selection");
  }

  /** Select one instance more, or one less. */
  toggleInstance(id) {
    const others = this.selectedInstanceIds.filter((other) => other !== id);
    const isNew = others.length === this.selectedInstanceIds.length;
    this.select({ instanceIds: isNew ? [...others, id] : others });
  }

  highlight(instanceId) {
    if (instanceId === this.highlightedInstanceId) return;
    this.highlightedInstanceId = instanceId;
    this.emit("highlight");
  }

  setThreshold(value) {
    this.scoreThreshold = value;
    this.emit("update");
  }

  /** Choose the threshold of one category; null for that of all. */
  setCategoryThreshold(categoryId, value) {
    const { [categoryId]: _, ...others } = this.categoryThresholds;
    this.categoryThresholds = value === null ? others : { ...others, [categoryId]: value };
    this.emit("update");
  }

  /** The score below which proposals of a category are hidden. */
  thresholdOf(categoryId) {
    return this.categoryThresholds[categoryId] ?? this.scoreThreshold;
  }

  /** Choose the category of the next prompt. */
  activate(categoryId) {
    if (categoryId === this.activeCategoryId || !this.category(categoryId)) return;
    this.activeCategoryId = categoryId;
    this.emit("category");
  }
}
