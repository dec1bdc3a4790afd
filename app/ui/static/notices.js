/** What did not work, in words, for as long as it takes to read. */
import { follow, h, icon, iconButton } from "./dom.js";

const READING_MS = 9000;

export function mount(context) {
  const list = h("div", { class: "st-notices", role: "alert" });
  context.element.replaceChildren(list);
  follow(context, ({ text, deleted_id }) => {
    const close = () => notice.remove();
    const undo = () => {
      context.trigger("project_restored", { project_id: deleted_id });
      close();
    };
    const notice = h(
      "div",
      { class: "st-notice" },
      icon(deleted_id ? "trash" : "warning"),
      h("span", {}, text),
      deleted_id && h("button", { type: "button", class: "st-button", onclick: undo }, "Undo"),
      iconButton("close", "Close", close),
    );
    list.append(notice);
    let timer = window.setTimeout(close, READING_MS);
    notice.addEventListener("pointerenter", () => window.clearTimeout(timer));
    notice.addEventListener("pointerleave", () => {
      timer = window.setTimeout(close, READING_MS / 2);
    });
  });
}
