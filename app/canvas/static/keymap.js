/**
 * The keyboard: which key means what. One table, from which come the handling of keys, the tooltips
 * and the sheet on which people choose keys of their own. No DOM.
 *
 * A key is written as its name with what is held, in small letters: "b", "ctrl shift z", "?".
 */

const STORED_AS = "dinov-keys";

/**
 * @typedef {object} Action something a key can do.
 * @property {string} id stays the same for ever: people's own keys are stored under it.
 * @property {string} does in words.
 * @property {string} [row] the row of the sheet that it shares with others.
 * @property {string[]} keys by which it is done unless someone has chosen others.
 * @property {[string, ...unknown[]]} run a method of Commands, with its argument.
 */

const CATEGORIES = Array.from({ length: 9 }, (_, index) => ({
  id: `category-${index + 1}`,
  row: "Category 1 to 9",
  does: `Category ${index + 1}`,
  keys: [String(index + 1)],
  run: ["category", index],
}));

const MOVES = [
  ["", 1, "Move by a pixel: the mark, corner or crosshair"],
  ["shift ", 10, "Move by 10 pixels"],
].flatMap(([held, step, row]) =>
  Object.entries({ left: [-1, 0], right: [1, 0], up: [0, -1], down: [0, 1] }).map(
    ([side, [x, y]]) => ({
      id: `move-${side}-${step}`,
      row,
      does: `Move ${side} by ${step}`,
      keys: [`${held}arrow${side}`],
      run: ["move", [x * step, y * step]],
    }),
  ),
);

/** @type {{title: string, actions: Action[]}[]} */
export const SECTIONS = [
  {
    title: "Mark",
    actions: [
      { id: "tool-point", does: "Point", keys: ["p"], run: ["tool", "point"] },
      { id: "tool-box", does: "Box", keys: ["b"], run: ["tool", "box"] },
      { id: "tool-scribble", does: "Scribble", keys: ["s"], run: ["tool", "scribble"] },
      { id: "tool-polygon", does: "Polygon", keys: ["g"], run: ["tool", "polygon"] },
      { id: "tool-mask", does: "Brush", keys: ["m"], run: ["tool", "mask"] },
      { id: "erase", does: "Brush: erase or paint", keys: ["e"], run: ["erase"] },
      { id: "sign", does: "Positive or negative", keys: ["n"], run: ["sign"] },
      ...CATEGORIES,
      { id: "thinner", row: "Thinner, wider", does: "Thinner", keys: ["["], run: ["width", 0.8] },
      { id: "wider", row: "Thinner, wider", does: "Wider", keys: ["]"], run: ["width", 1.25] },
      { id: "enter", does: "Place, close, done", keys: ["enter"], run: ["enter"] },
      { id: "escape", does: "Drop it; let go", keys: ["escape"], run: ["escape"] },
    ],
  },
  {
    title: "Change",
    actions: [
      { id: "tool-select", does: "Select", keys: ["v"], run: ["tool", "select"] },
      { id: "delete", does: "Delete", keys: ["delete", "backspace"], run: ["delete"] },
      { id: "reference", does: "Use as a reference", keys: ["q"], run: ["reference"] },
      ...MOVES,
      {
        id: "handle-next",
        row: "Next, previous corner",
        does: "Next corner",
        keys: ["w"],
        run: ["handle", 1],
      },
      {
        id: "handle-previous",
        row: "Next, previous corner",
        does: "Previous corner",
        keys: ["shift w"],
        run: ["handle", -1],
      },
      { id: "corner", does: "Add a corner after it", keys: ["insert", "i"], run: ["corner"] },
      { id: "undo", does: "Undo", keys: ["ctrl z"], run: ["undo"] },
      { id: "redo", does: "Redo", keys: ["ctrl shift z", "ctrl y"], run: ["redo"] },
    ],
  },
  {
    title: "Objects",
    actions: [
      { id: "annotate", does: "Draw finished objects", keys: ["d"], run: ["annotate"] },
      { id: "accept", does: "Accept", keys: ["a"], run: ["decide", "accepted"] },
      { id: "reject", does: "Reject", keys: ["x"], run: ["decide", "rejected"] },
      {
        id: "reject-others",
        does: "Reject all other proposals",
        keys: ["shift a"],
        run: ["rejectOthers"],
      },
      { id: "propose", does: "Make it a proposal again", keys: ["shift x"], run: ["decide", "proposed"] },
      { id: "relabel", does: "Another category", keys: ["r"], run: ["relabel"] },
      { id: "merge", does: "Merge the selected", keys: ["j"], run: ["change", "merge"] },
      { id: "retouch", does: "Paint on the mask", keys: ["shift m"], run: ["tool", "retouch"] },
      { id: "cut", does: "Cut along a stroke", keys: ["k"], run: ["tool", "cut"] },
      { id: "reshape", does: "Edit the outline; keep it", keys: ["o"], run: ["reshape"] },
      { id: "separate", does: "Separate the parts", keys: ["shift k"], run: ["separate"] },
      { id: "fill-holes", does: "Fill holes", keys: ["c"], run: ["change", "fill_holes"] },
      { id: "specks", does: "Remove specks", keys: ["shift c"], run: ["change", "remove_specks"] },
      { id: "simplify", does: "Simplify the outline", keys: ["shift o"], run: ["change", "simplify"] },
      { id: "forward", does: "Bring forward", keys: ["shift pageup"], run: ["change", "bring_forward"] },
      { id: "back", does: "Send back", keys: ["shift pagedown"], run: ["change", "send_back"] },
    ],
  },
  {
    title: "Look",
    actions: [
      { id: "pan", does: "Hold and drag to move the image", keys: ["space"], run: ["pan"] },
      { id: "fit", does: "Fit the image", keys: ["f"], run: ["fit"] },
      { id: "zoom-in", does: "Zoom in", keys: ["+", "="], run: ["zoom", 1.25] },
      { id: "zoom-out", does: "Zoom out", keys: ["-"], run: ["zoom", 0.8] },
      { id: "overlay", does: "Show or hide found objects", keys: ["h"], run: ["overlay"] },
      { id: "labels", does: "Labels", keys: ["l"], run: ["labels"] },
      { id: "outline", does: "Outlines only", keys: ["t"], run: ["outline"] },
      { id: "compare", does: "Reference beside the image", keys: ["\\"], run: ["compare"] },
      { id: "pattern", does: "Patterns beside colours", keys: [], run: ["pattern"] },
      { id: "colors", does: "A colour for each object", keys: [], run: ["colors"] },
      { id: "settings", does: "Settings", keys: ["ctrl ,"], run: ["page", "settings"] },
      { id: "help", does: "This sheet", keys: ["?"], run: ["help"] },
    ],
  },
  {
    title: "Images",
    actions: [
      { id: "image-before", does: "Image before", keys: ["pageup"], run: ["page", "image-before"] },
      { id: "image-after", does: "Image after", keys: ["pagedown"], run: ["page", "image-after"] },
      {
        id: "unreviewed-before",
        does: "Image before that is not reviewed",
        keys: [","],
        run: ["page", "unreviewed-before"],
      },
      {
        id: "unreviewed-after",
        does: "Next image that is not reviewed",
        keys: ["."],
        run: ["page", "unreviewed-after"],
      },
      {
        id: "review",
        does: "Reviewed, next; or review again",
        keys: ["shift enter"],
        run: ["page", "review"],
      },
    ],
  },
];

/** What mouse, fingers and pen do; told on the sheet, not to be changed. */
export const GESTURES = [
  ["Right button, or Ctrl", "Draw with the other sign; erase with the brush"],
  ["A key, with Select", "Acts on the object under the pointer, if none is selected"],
  ["Drag the dot on a side", "Add a corner"],
  ["Ctrl + click a corner", "Remove it"],
  ["Wheel, pinch", "Zoom"],
  ["Middle button, two fingers", "Move the image"],
];

const ACTIONS = SECTIONS.flatMap(({ actions }) => actions);
const BY_ID = new Map(ACTIONS.map((action) => [action.id, action]));

const MODIFIERS = new Set(["shift", "control", "alt", "altgraph", "meta", "capslock", "dead"]);

/**
 * @param {KeyboardEvent} event
 * @returns {string | null} the key with what is held; null for a modifier alone.
 */
export function keyOf(event) {
  const { key, ctrlKey, metaKey, altKey, shiftKey } = event;
  const name = key === " " ? "space" : key.toLowerCase();
  if (MODIFIERS.has(name)) return null;
  // On many keyboards brackets are typed with AltGr, which is told as Ctrl and Alt.
  const composed = name.length === 1 && (event.getModifierState?.("AltGraph") ?? false);
  const isSymbol = name.length === 1 && name.toUpperCase() === name;
  const held = [
    (ctrlKey || metaKey) && !composed && "ctrl",
    altKey && !composed && "alt",
    // A symbol says itself whether Shift was needed to type it.
    shiftKey && !isSymbol && "shift",
  ];
  return [...held.filter(Boolean), name].join(" ");
}

const NAMES = {
  arrowleft: "←",
  arrowright: "→",
  arrowup: "↑",
  arrowdown: "↓",
  escape: "Esc",
  pageup: "Page Up",
  pagedown: "Page Down",
  "-": "−",
};

/** @returns {string[]} what stands on the keys: "ctrl shift z" is Ctrl, Shift, Z. */
export function keyNames(key) {
  return key.split(" ").map((part) => NAMES[part] ?? part[0].toUpperCase() + part.slice(1));
}

/** The keys in use: those of the table, except where someone has chosen others. */
export class Keymap {
  /** @param {{getItem: Function, setItem: Function}} storage keeps what was chosen. */
  constructor(storage) {
    this.storage = storage;
    this.listeners = new Set();
    this.load();
  }

  subscribe(listener) {
    this.listeners.add(listener);
  }

  /** Read what was chosen, here or in another window. */
  load() {
    this.chosen = chosenIn(this.storage);
    this.index();
  }

  /** A key that was chosen for something is taken from what it does in the table. */
  index() {
    this.actions = new Map();
    for (const { id, keys } of ACTIONS)
      for (const key of this.chosen[id] ? [] : keys) this.actions.set(key, BY_ID.get(id));
    for (const [id, keys] of Object.entries(this.chosen))
      for (const key of keys) this.actions.set(key, BY_ID.get(id));
    for (const listener of this.listeners) listener();
  }

  /** @returns {string[]} the keys that do an action. */
  keysOf(id) {
    const keys = this.chosen[id] ?? BY_ID.get(id)?.keys ?? [];
    return keys.filter((key) => this.actions.get(key)?.id === id);
  }

  /** @returns {Action | null} what a key does. */
  actionOf(key) {
    return this.actions.get(key) ?? null;
  }

  /** @returns {[string, ...unknown[]] | null} the command meant, with its argument. */
  commandFor(event) {
    return this.actionOf(keyOf(event))?.run ?? null;
  }

  /** @returns {string} the first key of an action, as people write it; "" if it has none. */
  shown(id) {
    const [key] = this.keysOf(id);
    return key ? keyNames(key).join("+") : "";
  }

  /** @returns {Record<string, string>} the first key of every action, as people write it. */
  get allShown() {
    return Object.fromEntries(ACTIONS.map(({ id }) => [id, this.shown(id)]));
  }

  /** @returns {boolean} whether an action has other keys than those of the table. */
  isChanged(id) {
    return this.keysOf(id).join() !== BY_ID.get(id).keys.join();
  }

  get hasChanges() {
    return ACTIONS.some(({ id }) => this.isChanged(id));
  }

  /**
   * Let a key do an action, and nothing else any more.
   * @param {string | null} inPlaceOf the key of the action that it replaces.
   */
  bind(id, key, inPlaceOf = null) {
    const keys = this.keysOf(id).filter((old) => old !== key);
    const at = inPlaceOf === null ? -1 : keys.indexOf(inPlaceOf);
    if (at < 0) keys.push(key);
    else keys[at] = key;
    this.release([key]);
    this.choose({ ...this.chosen, [id]: keys });
  }

  unbind(id, key) {
    this.choose({ ...this.chosen, [id]: this.keysOf(id).filter((old) => old !== key) });
  }

  /** Give an action the keys of the table again; they do nothing else any more. */
  reset(id) {
    this.release(BY_ID.get(id).keys);
    const { [id]: _, ...others } = this.chosen;
    this.choose(others);
  }

  resetAll() {
    this.choose({});
  }

  /** Take keys from the actions for which they were chosen. */
  release(keys) {
    this.chosen = Object.fromEntries(
      Object.entries(this.chosen).map(([id, own]) => [id, own.filter((k) => !keys.includes(k))]),
    );
  }

  choose(chosen) {
    this.chosen = chosen;
    try {
      this.storage.setItem(STORED_AS, JSON.stringify(chosen));
    } catch {
      // Storage may be switched off; the keys then last until the page is left.
    }
    this.index();
  }
}

function chosenIn(storage) {
  try {
    const stored = Object.entries(JSON.parse(storage.getItem(STORED_AS) ?? "{}"));
    const isUsable = ([id, keys]) =>
      BY_ID.has(id) && Array.isArray(keys) && keys.every((key) => typeof key === "string");
    return Object.fromEntries(stored.filter(isUsable));
  } catch {
    return {};
  }
}
