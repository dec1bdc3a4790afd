/**
 * What the canvas shows and how it came about: the document, the marks with their history, what
 * is selected. No DOM. Everything handed out is treated as immutable.
 *
 * The history keeps whole states {prompts, deleted}: prompts are few and shared between states,
 * and undoing cannot go wrong. `deleted` holds ids of instances, so that undo brings those back.
 */

const HISTORY_LIMIT = 200;
const EMPTY = { prompts: [], deleted: [] };

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
    this.reset(EMPTY);
    this.emit("clear");
  }

  /** Start a new history. */
  reset(state) {
    this.state = state;
    this.past = [];
    this.future = [];
    this.mergeKey = null;
    this.selectedPromptId = null;
    this.selectedInstanceId = null;
    this.highlightedInstanceId = null;
  }

  get prompts() {
    return this.state.prompts;
  }

  get selectedPrompt() {
    return this.prompts.find((prompt) => prompt.id === this.selectedPromptId) ?? null;
  }

  get canUndo() {
    return this.past.length > 0;
  }

  get canRedo() {
    return this.future.length > 0;
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
    this.reset({ prompts, deleted: [] });
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
   * Make an edit that can be undone.
   * @param {Partial<{prompts: object[], deleted: number[]}>} changes
   * @param {string | null} mergeKey edits in a row with the same key are undone together.
   */
  commit(changes, mergeKey = null) {
    if (!mergeKey || mergeKey !== this.mergeKey) this.past.push(this.state);
    if (this.past.length > HISTORY_LIMIT) this.past.shift();
    this.mergeKey = mergeKey;
    this.future = [];
    this.enter({ ...this.state, ...changes });
  }

  undo() {
    if (this.canUndo) this.travel(this.past, this.future);
  }

  redo() {
    if (this.canRedo) this.travel(this.future, this.past);
  }

  travel(from, to) {
    to.push(this.state);
    this.mergeKey = null;
    this.enter(from.pop());
  }

  enter(state) {
    const before = this.state;
    this.state = state;
    if (!this.selectedPrompt) this.selectedPromptId = null;
    if (state.deleted.includes(this.selectedInstanceId)) this.selectedInstanceId = null;
    this.emit("state");
    this.reportDifference(before, state);
  }

  reportDifference(before, after) {
    if (before.prompts !== after.prompts) this.emit("prompts");
    for (const id of after.deleted) if (!before.deleted.includes(id)) this.emit({ deleted: id });
    for (const id of before.deleted) if (!after.deleted.includes(id)) this.emit({ restored: id });
  }

  addPrompt(prompt) {
    this.commit({ prompts: [...this.prompts, prompt] });
  }

  /** Replace the prompt that has the same id. */
  replacePrompt(prompt, mergeKey = null) {
    const prompts = this.prompts.map((old) => (old.id === prompt.id ? prompt : old));
    this.commit({ prompts }, mergeKey);
  }

  removePrompt(id) {
    this.commit({ prompts: this.prompts.filter((prompt) => prompt.id !== id) });
  }

  deleteInstance(id) {
    this.commit({ deleted: [...this.state.deleted, id] });
  }

  /** Select a prompt, or an instance, or nothing. */
  select({ promptId = null, instanceId = null } = {}) {
    if (promptId === this.selectedPromptId && instanceId === this.selectedInstanceId) return;
    this.selectedPromptId = promptId;
    this.selectedInstanceId = instanceId;
    this.emit("selection");
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
