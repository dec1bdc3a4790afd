/** Settings: the model, which is the server's and so of all projects, and the open project's own. */
import { follow, h, hear, icon, plural } from "./dom.js";
import { bytes } from "./format.js";
import { outdatedText } from "./outdated.js";
import { overlay } from "./overlay.js";

const POLL_MS = 500;

const HELP = {
  checkpoint: "The weights that find objects. Larger ones know more, and need more time and memory.",
  device: "What computes: a GPU is many times as fast as the CPU.",
  precision:
    "What numbers are computed in. The lower ones take half the memory and are faster on hardware that knows them: "
    + "bfloat16 on recent CPUs and GPUs, float16 on GPUs.",
  input_size:
    "Side in pixels to which images are resized for the model. A larger one shows it smaller objects and takes longer; "
    + "masks keep the full size of the image. Empty: the checkpoint’s own.",
  cache_mb:
    "At most so much keeps what was computed of images seen before, so that a changed mark on them costs little.",
};

const THRESHOLDS = {
  generic: {
    name: "Score threshold, every object like these",
    help: "Proposals that score less are hidden. Categories may have their own, under Categories.",
  },
  refer: {
    name: "Score threshold, this very object",
    help: "Scores here are shares of all candidates on an image, so that even a low one can be right: 0 shows the best one always.",
  },
  overlap: {
    name: "Overlap threshold",
    help: "Of two masks found that overlap by more (intersection over union), only the better stays. It counts from the next run on.",
  },
};

export function mount(context) {
  const { element, trigger } = context;
  const state = { project: null, model: null, change: null, draft: {} };
  const place = () => ({ project_id: state.project_id, image_id: state.image_id });
  const send = (event, detail = {}) => trigger(event, { ...place(), ...detail });
  const body = h("div", { class: "st-settings" }, h("p", { class: "st-view-empty", role: "status" }, "Looking at this machine …"));
  const view = overlay("settings", "Settings", { opened: () => send("settings_asked") }, body);
  let parts = null;
  hear(element, "show-settings", view.open);
  hear(element, "close-views", view.close);
  hear(element, "model-changed", () => view.isOpen() && send("settings_asked"));
  hear(element, "page", ({ does }) => does === "settings" && view.open());
  follow(context, (value) => {
    const wasBusy = isBusy(state);
    Object.assign(state, value);
    if (wasBusy && !isBusy(state) && !state.change) state.draft = {};
    if (!parts) {
      parts = build(state, send, () => parts.render());
      body.replaceChildren(...parts.nodes);
    }
    parts.render();
  });
  window.setInterval(() => {
    if (element.isConnected && isBusy(state)) send("polled");
  }, POLL_MS);
  view.openIfLinked();
}

function isBusy({ change }) {
  return Boolean(change?.step);
}

/** What is chosen: what the server says, with what was changed here and not applied yet. */
function chosen(state) {
  return { ...state.model, ...state.draft };
}

function isChanged(state) {
  return Object.entries(state.draft).some(([name, value]) => value !== state.model[name]);
}

function build(state, send, render) {
  const choose = (name) => (value) => {
    state.draft[name] = value;
    state.problem = "";
    render();
  };
  const fields = [
    checkpointField(state, choose("checkpoint")),
    selectField("device", "Device", choose("device"), () => deviceOptions(state)),
    numberField("input_size", "Input size (pixels)", choose("input_size"), () => ({
      min: state.input_sizes[0],
      max: state.input_sizes[1],
      placeholder: state.own_input_size ? `the checkpoint’s own, ${state.own_input_size}` : "the checkpoint’s own",
    })),
    selectField("precision", "Precision", choose("precision"), () =>
      state.precisions.map((name) => [name, name, true]),
    ),
    numberField("cache_mb", "Memory for images (MB)", choose("cache_mb"), () => ({ min: 0 })),
  ];
  const who = h("p", { class: "st-subtle" });
  const foot = footer(state, send, render);
  const form = h(
    "form",
    {
      class: "st-settings-part",
      onsubmit: (event) => {
        event.preventDefault();
        send("model_chosen", changes(state));
      },
    },
    h("div", { class: "st-settings-head" }, h("h2", {}, "Model"), h("span", { class: "st-scope" }, "all projects"), who),
    fields.map(({ node }) => node),
    foot.node,
  );
  const project = projectPart(state, send);
  return {
    nodes: [form, project.node],
    render: () => {
      who.textContent = whoMay(state);
      for (const field of fields) field.render(state);
      foot.render();
      project.render();
    },
  };
}

function changes({ draft, model }) {
  return Object.fromEntries(Object.entries(draft).filter(([name, value]) => value !== model[name]));
}

function whoMay({ may_change, admins }) {
  if (may_change) return "The same for all projects of this server, and kept when it is started again.";
  return admins.length
    ? `Only ${admins.join(", ")} can change it.`
    : "It is chosen where the server is started, on the command line.";
}

/** A setting: its name, the control, one sentence on it, and why it cannot be changed. */
function row(name, title, control, { labelled = true } = {}) {
  const help = h("p", { class: "st-subtle", id: `st-help-${name}` }, HELP[name]);
  const fixed = h("p", { class: "st-fixed" });
  const label = labelled
    ? h("label", { class: "st-setting-name", for: `st-set-${name}` }, title)
    : h("span", { class: "st-setting-name", id: `st-name-${name}` }, title);
  const node = h("div", { class: "st-setting" }, label, h("div", {}, control, help, fixed));
  const lock = (state) => {
    const isGiven = state.given.includes(name);
    fixed.hidden = !isGiven;
    fixed.textContent = `Set on the command line with --${name.replaceAll("_", "-")}, which goes before what is chosen here.`;
    return isGiven || !state.may_change || isBusy(state);
  };
  return { node, lock };
}

function selectField(name, title, choose, options) {
  const select = h("select", {
    class: "st-field",
    id: `st-set-${name}`,
    "aria-describedby": `st-help-${name}`,
    onchange: () => choose(select.value),
  });
  const { node, lock } = row(name, title, select);
  let drawn = "";
  const render = (state) => {
    const all = options();
    if (JSON.stringify(all) !== drawn)
      select.replaceChildren(
        ...all.map(([value, text, isHere]) => h("option", { value, disabled: !isHere }, text)),
      );
    drawn = JSON.stringify(all);
    select.value = chosen(state)[name];
    select.disabled = lock(state);
  };
  return { node, render };
}

function deviceOptions({ devices, model }) {
  const best = devices.filter(({ is_here }) => is_here).at(-1);
  const all = [
    ["auto", `The best there is (${best.title})`, true],
    ...devices.map(({ name, title, is_here }) => [name, is_here ? title : `${title}: not on this machine`, is_here]),
  ];
  const isListed = all.some(([name]) => name === model.device);
  return isListed ? all : [...all, [model.device, model.device, true]];
}

function numberField(name, title, choose, limits) {
  const input = h("input", {
    type: "number",
    class: "st-field st-number",
    id: `st-set-${name}`,
    "aria-describedby": `st-help-${name}`,
    step: "1",
    oninput: () => choose(input.value === "" ? null : Number(input.value)),
  });
  const { node, lock } = row(name, title, input);
  const render = (state) => {
    for (const [limit, value] of Object.entries(limits())) input.setAttribute(limit, value);
    input.required = name === "cache_mb";
    const value = chosen(state)[name];
    if (document.activeElement !== input) input.value = value ?? "";
    input.disabled = lock(state);
  };
  return { node, render };
}

/** The checkpoints by name, and a file of one's own. */
function checkpointField(state, choose) {
  const file = h("input", {
    type: "text",
    class: "st-field",
    placeholder: "/path/to/mine.safetensors",
    "aria-label": "Path of the checkpoint file on the server",
    spellcheck: "false",
    oninput: () => choose(file.value),
  });
  const choices = state.checkpoints.map(({ name }) => {
    const detail = h("span", { class: "st-subtle" });
    return { name, detail, ...radio(name, detail, () => choose(name)) };
  });
  const own = radio("A file of your own", file, () => {
    choose(file.value);
    file.focus();
  });
  const list = h(
    "div",
    { class: "st-checkpoints", role: "radiogroup", "aria-labelledby": "st-name-checkpoint", "aria-describedby": "st-help-checkpoint" },
    choices.map(({ node }) => node),
    own.node,
  );
  const { node, lock } = row("checkpoint", "Checkpoint", list, { labelled: false });
  const render = (current) => {
    const { checkpoint } = chosen(current);
    const isLocked = lock(current);
    const isNamed = choices.some(({ name }) => name === checkpoint);
    choices.forEach((choice, index) => {
      choice.input.checked = choice.name === checkpoint;
      choice.input.disabled = isLocked;
      choice.detail.textContent = describeCheckpoint(current.checkpoints[index]);
    });
    own.input.checked = !isNamed;
    own.input.disabled = isLocked;
    file.disabled = isLocked;
    if (!isNamed && document.activeElement !== file) file.value = checkpoint;
  };
  return { node, render };
}

function radio(name, detail, onchange) {
  const input = h("input", { type: "radio", name: "st-checkpoint", onchange });
  return { input, node: h("label", { class: "st-checkpoint" }, input, h("span", {}, h("b", {}, name), detail)) };
}

function describeCheckpoint({ about, nbytes, present, is_here }) {
  if (is_here) return `${about} · on this machine, ${bytes(nbytes)}`;
  const rest = present ? `${bytes(present)} of about ${bytes(nbytes)} downloaded` : `to be downloaded, about ${bytes(nbytes)}`;
  return `${about} · ${rest}`;
}

function footer(state, send, render) {
  const apply = h("button", { type: "submit", class: "st-button st-primary" });
  const discard = h(
    "button",
    {
      type: "button",
      class: "st-button",
      onclick: () => {
        Object.assign(state, { draft: {}, problem: "" });
        if (state.change) send("change_stopped");
        render();
      },
    },
    "Discard",
  );
  const stop = h("button", { type: "button", class: "st-button", onclick: () => send("change_stopped") });
  const line = h("p", { role: "status" });
  const problem = h("p", { class: "st-settings-problem", role: "alert" });
  const bar = h("progress", { "aria-label": "Download" });
  const node = h("div", { class: "st-settings-foot" }, h("div", { class: "st-settings-buttons" }, apply, discard, stop), bar, line, problem);
  const update = () => {
    const busy = isBusy(state);
    const wanted = state.checkpoints.find(({ name }) => name === chosen(state).checkpoint);
    const mustFetch = wanted && !wanted.is_here && wanted.name !== "lite";
    apply.textContent = mustFetch ? `Download ${wanted.name} and use it` : "Apply";
    apply.disabled = busy || !isChanged(state);
    apply.hidden = discard.hidden = !state.may_change;
    discard.disabled = busy || !(isChanged(state) || state.change);
    stop.hidden = !busy || !state.may_change;
    stop.replaceChildren(icon("stop"), state.change?.step === "wait" ? "Keep the present model" : "Stop");
    bar.hidden = state.change?.step !== "download";
    if (state.change?.total) Object.assign(bar, { max: state.change.total, value: state.change.done });
    else bar.removeAttribute("value");
    line.textContent = busy ? describeChange(state.change) : isChanged(state) ? PROMISE : "";
    const text = state.problem || state.change?.problem || "";
    if (problem.textContent !== text) problem.textContent = text;
  };
  return { node, render: update };
}

const PROMISE =
  "What is under way is done with the present model first. What was found so far stays until you segment again.";

function describeChange({ step, wanted, done, total, jobs }) {
  const name = wanted.checkpoint.split(/[\\/]/).at(-1);
  if (step === "download") return `Downloading ${name}: ${bytes(done)}${total ? ` of ${bytes(total)}` : ""}`;
  if (step === "load") return `Loading ${name} and trying it out …`;
  return jobs
    ? `${name} was tried out. It takes over when ${plural(jobs, "run")} under way ${jobs === 1 ? "has" : "have"} ended; the clock in the top bar lists what runs.`
    : `${name} was tried out and takes over.`;
}

/** The thresholds of the open project; each is saved when it is chosen. */
function projectPart(state, send) {
  const name = h("span", { class: "st-scope" });
  const outdated = h("p", { class: "st-settings-note", role: "status" });
  const score = (task) =>
    threshold(task, (value) => send("score_changed", { score_threshold: value, task }), () => ({
      value: state.project.score_thresholds[task],
      usual: task === "refer" ? 0 : state.score_threshold,
      means: task === "refer" ? "0" : "the checkpoint’s own",
    }));
  const rows = [
    score("generic"),
    score("refer"),
    threshold("overlap", (value) => send("overlap_changed", { overlap_threshold: value }), () => ({
      value: state.project.overlap_threshold,
      usual: state.usual_overlap,
      means: "the usual",
    })),
  ];
  const node = h(
    "section",
    { class: "st-settings-part", "aria-label": "Thresholds of this project" },
    h("div", { class: "st-settings-head" }, h("h2", {}, "Thresholds"), name, h("p", { class: "st-subtle" }, "This project’s own; saved at once.")),
    rows.map((one) => one.node),
    outdated,
  );
  const render = () => {
    node.hidden = !state.project;
    if (!state.project) return;
    name.textContent = state.project.name;
    for (const one of rows) one.render();
    outdated.hidden = !state.project.outdated;
    outdated.replaceChildren(icon("warning"), outdatedText(state.project.outdated));
  };
  return { node, render };
}

function threshold(key, save, read) {
  const { name, help } = THRESHOLDS[key];
  const input = h("input", {
    type: "number",
    class: "st-field st-number",
    id: `st-set-${key}`,
    "aria-describedby": `st-help-${key}`,
    min: "0",
    max: "1",
    step: "0.01",
    onchange: () => (input.reportValidity() && input.value !== "" ? save(Number(input.value)) : render()),
  });
  const usual = h("button", { type: "button", class: "st-link", onclick: () => save(read().usual) });
  const render = () => {
    const { value, usual: other, means } = read();
    if (document.activeElement !== input || input.value === "") input.value = String(Math.round(100 * value) / 100);
    const isUsual = other === null || Math.abs(other - value) < 0.005;
    usual.hidden = isUsual;
    usual.textContent = isUsual ? "" : `Use ${means}${means === "0" ? "" : `, ${other.toFixed(2)}`}`;
  };
  const node = h(
    "div",
    { class: "st-setting" },
    h("label", { class: "st-setting-name", for: input.id }, name),
    h(
      "div",
      {},
      h("div", { class: "st-setting-line" }, input, usual),
      h("p", { class: "st-subtle", id: `st-help-${key}` }, help),
    ),
  );
  return { node, render };
}
