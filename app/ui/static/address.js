/** Keeps the address in step with the open image, so that a reload or a bookmark comes back to it. */
import { follow } from "./dom.js";

export function mount(context) {
  follow(context, ({ project_id, image_id, title }) => {
    const url = new URL(window.location.href);
    for (const [name, value] of [
      ["project", project_id],
      ["image", image_id],
    ]) {
      if (value === null) url.searchParams.delete(name);
      else url.searchParams.set(name, value);
    }
    window.history.replaceState(window.history.state, "", url);
    document.title = title;
  });
}
