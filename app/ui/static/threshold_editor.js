/** Below the categories: the score from which proposals of one of them count. */
import { h, iconButton, tell } from "./dom.js";

/** @param {(categoryId: number, threshold: number | null) => void} save null means the project's */
export function thresholdEditor(save) {
  let [id, categories, project] = [null, [], 0];
  const title = h("span", {});
  const number = h("output", { class: "st-threshold-value" });
  const slider = h("input", { type: "range", class: "st-slider", min: "0", max: "1", step: "0.01" });
  const usual = h("button", { type: "button", class: "st-link", onclick: () => choose(null, true) });
  const note = h("p", { class: "st-subtle" });
  const element = h(
    "div",
    { class: "st-own-threshold", role: "group", hidden: true },
    h("div", { class: "st-threshold-head" }, title, number, iconButton("close", "Close", () => open(id))),
    slider,
    usual,
    note,
  );
  slider.addEventListener("input", () => choose(Number(slider.value), false));
  slider.addEventListener("change", () => choose(Number(slider.value), true));

  const category = () => categories.find((one) => one.id === id);
  function choose(value, isFinal) {
    category().score_threshold = value;
    tell("category-threshold", { category_id: id, score_threshold: value });
    if (isFinal) save(id, value);
    render();
  }
  function render() {
    const shown = category();
    element.hidden = !shown;
    if (!shown) return;
    const own = shown.score_threshold;
    title.textContent = `Score threshold of ${shown.name}`;
    slider.setAttribute("aria-label", title.textContent);
    slider.value = own ?? project;
    slider.style.setProperty("--fill", `${100 * slider.value}%`);
    number.textContent = Number(slider.value).toFixed(2);
    usual.textContent = `Use the project's, ${project.toFixed(2)}`;
    usual.hidden = own === null;
    note.hidden = own !== null;
    note.textContent = "As for the whole project; move the slider for one of its own.";
  }
  /** Open the editor for a category; once more closes it. */
  function open(wanted) {
    id = id === wanted ? null : wanted;
    render();
    if (id !== null) slider.focus();
  }
  return {
    element,
    open,
    follow({ score_threshold, task }) {
      if (task === "generic") project = score_threshold;
      render();
    },
    show(state) {
      // What is being chosen right now goes before an answer that was under way.
      const chosen = slider.matches(":active") ? category()?.score_threshold : undefined;
      categories = state.categories;
      if (chosen !== undefined && category()) category().score_threshold = chosen;
      if (state.shown_task === "generic") project = state.score_threshold;
      render();
    },
  };
}
