/** One image of the filmstrip: what it is for, what is on it, how far the work on it has come. */
import { confirmDialog, h, icon, iconButton, plural } from "./dom.js";
import { STATUSES } from "./strip.js";

/**
 * @param {object} image a card of the server, with `current`, `place` and `total`; `chosen` says
 *   whether it is among those selected, null while none are
 * @param {{open: Function, send: Function}} does `send(event, data)` tells the server
 */
export function card(image, { open, send }) {
  const status = STATUSES[image.status];
  return h(
    "li",
    {
      class: `st-card ${image.current ? "is-current" : ""} ${image.chosen ? "is-chosen" : ""}`,
      "aria-posinset": String(image.place),
      "aria-setsize": String(image.total),
    },
    h(
      "button",
      {
        type: "button",
        class: "st-card-open",
        "data-focus": "open",
        "aria-current": image.current ? "true" : null,
        "aria-pressed": image.chosen === null ? null : String(image.chosen),
        title: `${image.name} · ${image.width} × ${image.height} · ${status.word}: ${status.means}`,
        "aria-label": `${image.name}. ${status.word}, ${describe(image)}`,
        onclick: (event) => open(image, event),
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
          { class: "st-badge st-badge-marks", title: `${plural(image.prompts, "mark")} on this image` },
          icon("mark"),
          String(image.prompts),
        ),
      h(
        "span",
        { class: `st-badge st-badge-status is-${image.status}` },
        icon(status.icon),
        status.word,
      ),
      outcomeBadge(image),
      image.chosen !== null && h("span", { class: "st-card-choice" }, image.chosen && icon("check")),
    ),
    foot(image, send),
  );
}

function foot(image, send) {
  const role = (name, label, hint, possible = true) =>
    h(
      "button",
      {
        type: "button",
        class: "st-role",
        disabled: !possible,
        "aria-pressed": String(image[name]),
        title: hint,
        "data-focus": name,
        onclick: () => send("role_changed", { changed_id: image.id, [name]: !image[name] }),
      },
      label,
    );
  const remove = async () => {
    const sure = await confirmDialog({
      title: `Remove “${image.name}”?`,
      action: "Remove image",
      text: "The image, its marks and its results are deleted from this project.",
    });
    if (sure) send("image_removed", { removed_id: image.id });
  };
  return h(
    "div",
    { class: "st-card-foot" },
    h("span", { class: "st-card-name" }, image.name),
    h(
      "span",
      { class: "st-card-tools" },
      role(
        "is_reference",
        "Ref",
        image.prompts
          ? "Reference: its marks show the model what to look for"
          : "Becomes a reference when you mark something on it",
        image.prompts > 0,
      ),
      role("is_target", "Target", "Target: is segmented by “Segment all”"),
      iconButton("trash", "Remove the image", remove, { "data-focus": "remove" }),
    ),
  );
}

/** What stands on the thumbnail once the image has been segmented. */
function outcomeBadge({ segmented, shown, hidden }) {
  if (!segmented && !shown) return null;
  const text = shown ? `${shown} found` : hidden ? `${hidden} below` : "nothing found";
  return h("span", { class: "st-badge st-badge-found" }, text);
}

function describe(image) {
  const parts = [image.prompts ? plural(image.prompts, "mark") : "no marks"];
  if (!image.segmented) parts.push("not segmented");
  else parts.push(image.shown ? `${image.shown} found` : "nothing found");
  return parts.join(", ");
}
