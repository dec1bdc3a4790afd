/** A video or other sequence: step through its frames, track what is marked, correct and go on. */
import { editInPlace, follow, h, icon, iconButton, plural } from "./dom.js";
import { isActive, jobBox } from "./job_box.js";
import { section } from "./section.js";
import { uploadFiles } from "./upload.js";

const DIRECTIONS = { forward: "Forward", backward: "Backward", both: "Both ways" };

export function mount(context) {
  const { element, trigger } = context;
  const state = { project_id: null, image_id: null, sequence: null, others: [], job: null };
  const place = () => ({ project_id: state.project_id, image_id: state.image_id });
  const open = (image_id) => trigger("frame_opened", { project_id: state.project_id, image_id });
  const count = h("span", { class: "st-subtle" });
  const player = buildPlayer(state, open);
  const tracking = buildTracking((direction, isFromHere) =>
    trigger("track_pressed", {
      ...place(),
      sequence_id: state.sequence.id,
      direction,
      from_image_id: isFromHere ? state.image_id : null,
    }),
  );
  const remove = iconButton("close", "Forget that these images are a sequence", () =>
    trigger("sequence_removed", { ...place(), sequence_id: state.sequence.id }),
  );
  const name = h("span", { class: "st-row-name" });
  const rename = iconButton("pencil", "Rename the sequence", () =>
    editInPlace(name, {
      value: name.textContent,
      name: "Name of the sequence",
      save: (text) => trigger("sequence_renamed", { ...place(), sequence_id: state.sequence.id, name: text }),
    }),
  );
  const own = h(
    "div",
    {},
    h("div", { class: "st-video-head" }, name, rename, remove),
    player.element,
    tracking.element,
  );
  const others = h("div", {});
  const adding = buildAdding(context, place);
  const job = jobBox(trigger, place);
  element.replaceChildren(
    section(
      "video", "Video", { extras: [count], open: false }, own, job.element, others, adding.element,
    ),
  );
  follow(context, (value) => {
    Object.assign(state, value);
    const { sequence } = state;
    own.hidden = !sequence;
    count.textContent = "";
    if (sequence) {
      const at = sequence.image_ids.indexOf(state.image_id);
      count.textContent = `frame ${at + 1} of ${sequence.image_ids.length}`;
      name.textContent = sequence.name;
      player.render(sequence, at);
      tracking.render(sequence, at, isActive(state.job));
    }
    others.replaceChildren(
      ...state.others.map((other) =>
        h(
          "button",
          { type: "button", class: "st-link", onclick: () => open(other.first) },
          `${other.name} (${plural(other.count, "frame")})`,
        ),
      ),
    );
    job.render(state.job);
    adding.render(state);
  });
}

/** A slider over the frames, with ticks for marked frames and a bar where objects were found. */
function buildPlayer(state, open) {
  const slider = h("input", {
    type: "range",
    class: "st-slider",
    min: "1",
    "aria-label": "Frame",
    onchange: () => open(state.sequence.image_ids[Number(slider.value) - 1]),
  });
  const ticks = h("div", { class: "st-ticks", "aria-hidden": "true" });
  const step = (by) => {
    const { image_ids } = state.sequence;
    const next = image_ids[image_ids.indexOf(state.image_id) + by];
    if (next !== undefined) open(next);
  };
  const element = h(
    "div",
    { class: "st-player" },
    iconButton("chevron", "Frame before", () => step(-1), { class: "st-icon-button is-back" }),
    h("div", { class: "st-player-track" }, slider, ticks),
    iconButton("chevron", "Frame after", () => step(1), { class: "st-icon-button is-next" }),
  );
  const render = ({ image_ids, marked, found }, at) => {
    const last = Math.max(1, image_ids.length - 1);
    slider.max = String(image_ids.length);
    slider.value = String(at + 1);
    slider.style.setProperty("--fill", `${(100 * at) / last}%`);
    slider.setAttribute("aria-valuetext", `${at + 1} of ${image_ids.length}`);
    const tick = (id, kind) =>
      h("i", { class: kind, style: { left: `${(100 * image_ids.indexOf(id)) / last}%` } });
    ticks.replaceChildren(
      ...found.map((id) => tick(id, "is-found")),
      ...marked.map((id) => tick(id, "is-marked")),
    );
  };
  return { element, render };
}

function buildTracking(track) {
  const radios = Object.entries(DIRECTIONS).map(([value, text]) => {
    const radio = h("input", { type: "radio", name: "st-direction", value });
    radio.checked = value === "forward";
    return h("label", { class: "st-task" }, radio, h("span", {}, text));
  });
  const chosen = () => radios.map((one) => one.firstChild).find(({ checked }) => checked).value;
  const button = (text, title, from, look = "") =>
    h(
      "button",
      { type: "button", class: `st-button ${look}`, title, onclick: () => track(chosen(), from) },
      from ? null : icon("target"),
      text,
    );
  const all = button(
    "Track",
    "Finds what is marked on any frame along the whole sequence. Each category is one object.",
    false,
    "st-primary",
  );
  const here = button(
    "From this frame",
    "Leaves the frames before this one as they are: for after a correction.",
    true,
  );
  const hint = h("p", { class: "st-hint" });
  const element = h(
    "div",
    { class: "st-tracking" },
    h("fieldset", { class: "st-tasks" }, h("legend", {}, "Direction"), radios),
    h("div", { class: "st-bank-buttons" }, all, here),
    hint,
  );
  const render = ({ marked }, at, busy) => {
    all.disabled = here.disabled = busy || !marked.length;
    hint.textContent = marked.length
      ? ""
      : "Mark the object on one frame. A category stands for one object.";
    hint.hidden = marked.length > 0;
  };
  return { element, render };
}

function buildAdding(context, place) {
  const { trigger } = context;
  const progress = h("p", { class: "st-hint", role: "status" });
  const number = (value, label, max) =>
    h("input", { type: "number", class: "st-field", min: "1", max, value, "aria-label": label });
  const every = number("5", "Take every so many frames", "1000");
  const most = number("200", "At most so many frames", "2000");
  const input = h("input", {
    type: "file",
    accept: "video/*",
    hidden: true,
    "aria-label": "Video file",
    onchange: async () => {
      const files = [...input.files];
      input.value = "";
      await uploadFiles(
        context, files, "video", progress,
        (sent) =>
          trigger("video_added", {
            ...place(),
            files: sent,
            every: Number(every.value) || 1,
            most: Number(most.value) || 1,
          }),
        (failures) => progress.replaceChildren(failures.join("\n")),
      );
    },
  });
  const add = h(
    "button",
    { type: "button", class: "st-button", onclick: () => input.click() },
    icon("upload"),
    "Add a video …",
  );
  const make = h(
    "button",
    {
      type: "button",
      class: "st-button",
      title: "All images, in the order of their names, are frames that belong together",
      onclick: () => trigger("sequence_made", place()),
    },
    "Images as a sequence",
  );
  const element = h(
    "div",
    { class: "st-video-add" },
    h("p", { class: "st-video-numbers" }, "Every ", every, " frames, at most ", most),
    h("div", { class: "st-bank-buttons" }, add, make),
    input,
    progress,
  );
  const render = ({ loose, images, sequence }) => {
    make.hidden = !loose || images < 2 || sequence !== null;
  };
  return { element, render };
}
