/** The images of the project: upload, choose, see at a glance what each one is for and what was found. */
import { confirmDialog, follow, h, hear, icon, iconButton, plural, syncList } from "./dom.js";
import { uploadFiles } from "./upload.js";

export function mount(context) {
  const { element, trigger } = context;
  const state = { project_id: null, image_id: null, images: [], opening: null };
  const count = h("span", { class: "st-subtle" });
  const progress = h("div", { class: "st-upload", role: "status" });
  let failures = [];
  const problems = problemList(() => {
    failures = [];
    problems.show([]);
    trigger("problems_read", { project_id: state.project_id, image_id: state.image_id });
  });
  const showProblems = () => problems.show([...failures, ...(state.problems ?? [])]);
  const input = h("input", {
    type: "file",
    multiple: true,
    accept: "image/*",
    hidden: true,
    "aria-label": "Image files",
    onchange: () => {
      add([...input.files]);
      input.value = "";
    },
  });
  const list = h("ul", {
    class: "st-filmstrip-list",
    "aria-label": "Images",
    onkeydown: (event) => moveFocus(event, list),
  });
  element.replaceChildren(
    h(
      "section",
      { class: "st-panel st-filmstrip", "aria-label": "Images" },
      h(
        "header",
        { class: "st-panel-head" },
        h("h2", {}, "Images"),
        count,
        h("span", { class: "st-spacer" }),
        h(
          "button",
          {
            type: "button",
            class: "st-button",
            title: "Add images (or drop or paste them anywhere)",
            onclick: () => input.click(),
          },
          icon("upload"),
          "Add",
        ),
      ),
      input,
      progress,
      problems.element,
      list,
    ),
  );

  const add = (files) =>
    uploadFiles(
      context,
      files,
      "image",
      progress,
      (paths) => {
        trigger("files_added", {
          project_id: state.project_id,
          image_id: state.image_id,
          files: paths,
        });
      },
      (texts) => {
        failures.push(...texts);
        showProblems();
      },
    );
  const open = (image) => {
    if (image.id === state.image_id) return;
    state.image_id = state.opening = image.id;
    render();
    trigger("image_opened", { project_id: state.project_id, image_id: image.id });
  };
  const render = () => {
    count.textContent = state.images.length ? String(state.images.length) : "";
    const rows = state.images.map((image) => ({ ...image, current: image.id === state.image_id }));
    syncList(list, rows, (image) => card(image, state, trigger, open));
  };

  hear(element, "files", (files) => add(files));
  hear(element, "choose-files", () => input.click());
  acceptDrops(element, add);
  stepWithKeys(element, state, open);
  follow(context, (value) => {
    // An answer under way when another image was chosen must not take the choice back.
    if (state.opening === value.image_id || value.refused) state.opening = null;
    if (state.opening !== null) value.image_id = state.opening;
    const moved = value.image_id !== state.image_id || value.project_id !== state.project_id;
    Object.assign(state, value);
    showProblems();
    render();
    if (moved)
      list
        .querySelector("[aria-current=true]")
        ?.scrollIntoView({ block: "nearest", inline: "nearest" });
  });
}

function card(image, state, trigger, open) {
  const role = (name, on, label, hint, possible = true) =>
    h(
      "button",
      {
        type: "button",
        class: "st-role",
        disabled: !possible,
        "aria-pressed": String(on),
        title: hint,
        "data-focus": name,
        onclick: () =>
          trigger("role_changed", {
            project_id: state.project_id,
            image_id: state.image_id,
            changed_id: image.id,
            [name]: !on,
          }),
      },
      label,
    );
  const remove = async () => {
    const sure = await confirmDialog({
      title: `Remove “${image.name}”?`,
      action: "Remove image",
      text: "The image, its marks and its results are deleted from this project.",
    });
    if (sure)
      trigger("image_removed", {
        project_id: state.project_id,
        image_id: state.image_id,
        removed_id: image.id,
      });
  };
  return h(
    "li",
    { class: `st-card ${image.current ? "is-current" : ""}` },
    h(
      "button",
      {
        type: "button",
        class: "st-card-open",
        "data-focus": "open",
        "aria-current": image.current ? "true" : null,
        title: `${image.name} · ${image.width} × ${image.height} (Page up and Page down step through the images)`,
        "aria-label": `${image.name}. ${describe(image)}`,
        onclick: () => open(image),
      },
      h("img", {
        src: image.thumbnail,
        alt: "",
        loading: "lazy",
        decoding: "async",
        draggable: "false",
      }),
      image.prompts > 0 &&
        h(
          "span",
          {
            class: "st-badge st-badge-marks",
            title: `${plural(image.prompts, "mark")} on this image`,
          },
          icon("mark"),
          String(image.prompts),
        ),
      outcomeBadge(image),
    ),
    h(
      "div",
      { class: "st-card-foot" },
      h("span", { class: "st-card-name" }, image.name),
      h(
        "span",
        { class: "st-card-tools" },
        role(
          "is_reference",
          image.is_reference,
          "Ref",
          image.prompts
            ? "Reference: its marks show the model what to look for"
            : "Becomes a reference when you mark something on it",
          image.prompts > 0,
        ),
        role("is_target", image.is_target, "Target", "Target: is segmented by “Segment all”"),
        iconButton("trash", "Remove the image", remove, { "data-focus": "remove" }),
      ),
    ),
  );
}

/** Files that were left out, each with the reason, until dismissed. */
function problemList(onDismiss) {
  const element = h("div", { class: "st-upload", role: "alert" });
  const dismiss = h("button", { type: "button", class: "st-link", onclick: onDismiss }, "Dismiss");
  let shown = "";
  const show = (texts) => {
    if (texts.join("\n") === shown) return;
    shown = texts.join("\n");
    const lines = texts.map((text) => h("li", {}, text));
    element.replaceChildren(
      ...(lines.length ? [h("ul", { class: "st-problems" }, lines), dismiss] : []),
    );
  };
  return { element, show };
}

/** What stands on the thumbnail once the image has been segmented. */
function outcomeBadge(image) {
  if (image.segmented && image.shown)
    return h("span", { class: "st-badge st-badge-found" }, icon("check"), `${image.shown} found`);
  if (image.segmented)
    return h(
      "span",
      { class: "st-badge st-badge-none" },
      image.hidden ? `${image.hidden} below` : "nothing found",
    );
  return null;
}

function describe(image) {
  const parts = [image.prompts ? plural(image.prompts, "mark") : "no marks"];
  if (!image.segmented) parts.push("not segmented");
  else parts.push(image.shown ? `${image.shown} found` : "nothing found");
  return parts.join(", ");
}

/** Arrow keys walk along the strip; Enter and Space open, as on any button. */
function moveFocus(event, list) {
  const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const buttons = [...list.querySelectorAll(".st-card-open")];
  const next = buttons[buttons.indexOf(document.activeElement) + step];
  if (!next) return;
  event.preventDefault();
  next.focus();
}

/** Keys open the image before and after, wherever the focus is; the canvas knows which. */
function stepWithKeys(element, state, open) {
  hear(element, "page", ({ does }) => {
    const step = { "image-before": -1, "image-after": 1 }[does];
    if (!step) return;
    const next =
      state.images[state.images.findIndex((image) => image.id === state.image_id) + step];
    if (next) open(next);
  });
}

/** Files may be dropped, or an image pasted, anywhere on the page. */
function acceptDrops(element, add) {
  const controller = new AbortController();
  const on = (name, listener) =>
    window.addEventListener(
      name,
      (event) => {
        if (!element.isConnected) controller.abort();
        else listener(event);
      },
      { signal: controller.signal },
    );
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  on("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    document.body.classList.add("st-dropping");
  });
  on("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("st-dropping");
  });
  on("drop", (event) => {
    document.body.classList.remove("st-dropping");
    if (!carriesFiles(event)) return;
    event.preventDefault();
    add([...event.dataTransfer.files]);
  });
  on("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) add(files);
  });
}
