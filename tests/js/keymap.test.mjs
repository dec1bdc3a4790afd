import assert from "node:assert/strict";
import { test } from "node:test";

import { Keymap, keyNames, keyOf, SECTIONS } from "../../app/canvas/static/keymap.js";

const ACTIONS = SECTIONS.flatMap(({ actions }) => actions);

function memory(text = null) {
  return {
    text,
    getItem() {
      return this.text;
    },
    setItem(_, value) {
      this.text = value;
    },
  };
}

const event = (key, held = {}) => ({
  key,
  ctrlKey: false,
  metaKey: false,
  altKey: false,
  shiftKey: false,
  ...held,
});
const press = (key, held = {}) => new Keymap(memory()).commandFor(event(key, held));

test("letters choose tools, also with caps lock", () => {
  assert.deepEqual(press("b"), ["tool", "box"]);
  assert.deepEqual(press("B"), ["tool", "box"]);
});

test("digits choose categories, counted from the first", () => {
  assert.deepEqual(press("1"), ["category", 0]);
  assert.deepEqual(press("9"), ["category", 8]);
  assert.equal(press("0"), null);
});

test("undo and redo by either habit, on a Mac too", () => {
  assert.deepEqual(press("z", { ctrlKey: true }), ["undo"]);
  assert.deepEqual(press("Z", { metaKey: true, shiftKey: true }), ["redo"]);
  assert.deepEqual(press("y", { ctrlKey: true }), ["redo"]);
});

test("the browser keeps its own shortcuts", () => {
  assert.equal(press("s", { ctrlKey: true }), null);
  assert.equal(press("l", { ctrlKey: true }), null);
  assert.equal(press("b", { altKey: true }), null);
  assert.equal(press("Tab"), null);
  assert.equal(press("constructor"), null);
});

test("arrows move by one, with shift by ten", () => {
  assert.deepEqual(press("ArrowLeft"), ["move", [-1, 0]]);
  assert.deepEqual(press("ArrowDown", { shiftKey: true }), ["move", [0, 10]]);
});

test("a symbol counts whether Shift or AltGr types it", () => {
  assert.deepEqual(press("?", { shiftKey: true }), ["help"]);
  const altGraph = { ctrlKey: true, altKey: true, getModifierState: (name) => name === "AltGraph" };
  assert.deepEqual(press("[", altGraph), ["width", 0.8]);
  assert.equal(keyOf(event("Shift", { shiftKey: true })), null);
});

test("no key of the table means two things, and no id stands twice", () => {
  const keys = ACTIONS.flatMap((action) => action.keys);
  assert.deepEqual(
    keys.filter((key, at) => keys.indexOf(key) !== at),
    [],
  );
  assert.equal(new Set(ACTIONS.map(({ id }) => id)).size, ACTIONS.length);
});

test("keys are named as they are written on keyboards", () => {
  assert.deepEqual(keyNames("ctrl shift z"), ["Ctrl", "Shift", "Z"]);
  assert.deepEqual(keyNames("pageup"), ["Page Up"]);
  assert.equal(new Keymap(memory()).shown("redo"), "Ctrl+Shift+Z");
});

test("a key of one's own replaces one of the table, is remembered, and can be taken back", () => {
  const storage = memory();
  const keymap = new Keymap(storage);
  keymap.bind("tool-box", "r", "b");
  assert.deepEqual(keymap.keysOf("tool-box"), ["r"]);
  assert.equal(keymap.commandFor(event("b")), null);
  const later = new Keymap(storage);
  assert.deepEqual(later.commandFor(event("r")), ["tool", "box"]);
  assert.ok(later.isChanged("tool-box"));
  later.reset("tool-box");
  assert.deepEqual(later.commandFor(event("b")), ["tool", "box"]);
  assert.ok(!later.hasChanges);
});

test("a key that is given to another action is taken from the first; a reset takes it back", () => {
  const keymap = new Keymap(memory());
  keymap.bind("tool-box", "p", "b");
  assert.equal(keymap.actionOf("p").id, "tool-box");
  assert.deepEqual(keymap.keysOf("tool-point"), []);
  assert.equal(keymap.shown("tool-point"), "");
  assert.equal(keymap.allShown["tool-point"], "");
  keymap.bind("tool-point", "b");
  keymap.reset("tool-box");
  assert.deepEqual(keymap.keysOf("tool-box"), ["b"]);
  assert.deepEqual(keymap.keysOf("tool-point"), []);
  keymap.resetAll();
  assert.deepEqual(keymap.keysOf("tool-point"), ["p"]);
});

test("a second key can be added and taken away, without touching the first", () => {
  const keymap = new Keymap(memory());
  keymap.bind("redo", "ctrl r");
  assert.deepEqual(keymap.keysOf("redo"), ["ctrl shift z", "ctrl y", "ctrl r"]);
  keymap.unbind("redo", "ctrl y");
  assert.deepEqual(keymap.keysOf("redo"), ["ctrl shift z", "ctrl r"]);
});

test("what is stored may be anything", () => {
  const isUsual = (storage) => !new Keymap(storage).hasChanges;
  assert.ok(isUsual(memory("nonsense")));
  assert.ok(isUsual(memory('{"no-such-action": ["x"], "tool-box": "b", "undo": [1]}')));
  assert.ok(
    isUsual({
      getItem() {
        throw new Error("storage is switched off");
      },
    }),
  );
});
