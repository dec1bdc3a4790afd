/** The keyboard: which key means what. The same table makes the sheet of shortcuts. */

/** @type {{title: string, keys: {show: string, does: string}[]}[]} */
export const SHORTCUTS = [
  {
    title: "Mark",
    keys: [
      { show: "P  B  S  G", does: "point, box, scribble, polygon" },
      { show: "Right button", does: "draw with the other sign" },
      { show: "N", does: "positive or negative" },
      { show: "1 … 9", does: "category" },
      { show: "[  ]", does: "thinner or wider scribble" },
      { show: "Enter", does: "close a polygon" },
      { show: "Esc", does: "drop what is being drawn" },
    ],
  },
  {
    title: "Change",
    keys: [
      { show: "V", does: "select marks and found objects" },
      { show: "Delete", does: "delete what is selected" },
      { show: "Arrows", does: "move it by 1 pixel, with Shift by 10" },
      { show: "Ctrl Z", does: "undo" },
      { show: "Ctrl Shift Z", does: "redo" },
    ],
  },
  {
    title: "Look",
    keys: [
      { show: "Wheel, pinch", does: "zoom" },
      { show: "Space + drag", does: "move the image (also: middle button)" },
      { show: "F  +  −", does: "fit, zoom in, zoom out" },
      { show: "Page Up", does: "image before" },
      { show: "Page Down", does: "image after" },
      { show: "H", does: "show or hide found objects" },
      { show: "L", does: "labels" },
      { show: "?", does: "this sheet" },
    ],
  },
  {
    title: "Without a mouse",
    keys: [
      { show: "Arrows", does: "with a drawing tool: move the crosshair" },
      { show: "Enter", does: "place a point or corner, begin or end a scribble" },
    ],
  },
];

const LETTERS = {
  v: ["tool", "select"],
  p: ["tool", "point"],
  b: ["tool", "box"],
  s: ["tool", "scribble"],
  g: ["tool", "polygon"],
  n: ["sign"],
  h: ["overlay"],
  l: ["labels"],
  f: ["fit"],
  "+": ["zoom", 1.25],
  "=": ["zoom", 1.25],
  "-": ["zoom", 0.8],
  "[": ["width", 1 / 1.25],
  "]": ["width", 1.25],
  "?": ["help"],
  delete: ["delete"],
  backspace: ["delete"],
  escape: ["escape"],
  enter: ["enter"],
};

const ARROWS = { arrowleft: [-1, 0], arrowright: [1, 0], arrowup: [0, -1], arrowdown: [0, 1] };

/**
 * @param {{key: string, ctrlKey: boolean, metaKey: boolean, altKey: boolean, shiftKey: boolean}} event
 * @returns {[string, ...unknown[]] | null} the action meant, with its argument.
 */
export function actionFor({ key, ctrlKey, metaKey, altKey, shiftKey }) {
  const name = key.toLowerCase();
  if (ctrlKey || metaKey) {
    if (name === "z") return [shiftKey ? "redo" : "undo"];
    return name === "y" ? ["redo"] : null;
  }
  if (altKey) return null;
  if (/^[1-9]$/.test(name)) return ["category", Number(name) - 1];
  if (Object.hasOwn(ARROWS, name))
    return ["move", ARROWS[name].map((step) => step * (shiftKey ? 10 : 1))];
  return Object.hasOwn(LETTERS, name) ? LETTERS[name] : null;
}
