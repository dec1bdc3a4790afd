/** Accept or reject many proposals at once, by their score. */
import { h, icon, plural, tell } from "./dom.js";

/**
 * @param {object} state of the list: instances, score_threshold, bulk (what was decided last).
 * @returns {{toggle: HTMLElement, element: HTMLElement, render: () => void}}
 */
export function bulkControls(state) {
  const score = h("input", {
    type: "number",
    class: "st-field st-number",
    min: "0",
    max: "1",
    step: "0.01",
    "aria-label": "Score",
  });
  const scope = select("Where", [
    ["image", "this image"],
    ["project", "all images"],
  ]);
  const category = select("Which category", []);
  const accept = button("check", () => send("accepted"));
  const reject = button("close", () => send("rejected"));
  const undo = h("p", { class: "st-bulk-undo", role: "status" });
  const fields = h("p", {}, "Proposals of ", category, " on ", scope, " with a score of");
  const element = h(
    "div",
    { class: "st-bulk", hidden: true },
    fields,
    h("div", { class: "st-bulk-score" }, score, h("span", {}, "or more, or below it")),
    h("div", { class: "st-run-buttons" }, accept, reject),
    undo,
  );
  const toggle = h(
    "button",
    {
      type: "button",
      class: "st-link",
      "aria-expanded": "false",
      onclick: () => {
        element.hidden = !element.hidden;
        toggle.setAttribute("aria-expanded", String(!element.hidden));
        if (!element.hidden) score.value = state.score_threshold.toFixed(2);
        render();
      },
    },
    "Many at once…",
  );

  const send = (status) => {
    const range = status === "accepted" ? { at_least: Number(score.value) } : below(score.value);
    const argument = {
      do: "decide_by_score",
      status,
      ...range,
      category_id: category.value ? Number(category.value) : null,
      whole_project: scope.value === "project",
    };
    tell("command", { name: "edit", argument });
  };
  const render = () => {
    if (element.hidden) return;
    fillCategories(category, state.categories ?? []);
    const here = (state.instances ?? []).filter(
      ({ status, category_id }) =>
        status === "proposed" && (!category.value || category_id === Number(category.value)),
    );
    const high = here.filter((one) => one.score >= Number(score.value)).length;
    const onAll = scope.value === "project";
    accept.lastChild.textContent = onAll ? "Accept" : `Accept ${high}`;
    reject.lastChild.textContent = onAll ? "Reject those below" : `Reject ${here.length - high} below`;
    accept.disabled = !onAll && high === 0;
    reject.disabled = !onAll && high === here.length;
    renderUndo(undo, state.bulk);
  };
  for (const field of [score, scope, category]) field.addEventListener("input", render);
  return { toggle, element, render };
}

function below(value) {
  return { at_least: 0, below: Number(value) };
}

function select(label, options) {
  return h(
    "select",
    { class: "st-field", "aria-label": label },
    options.map(([value, says]) => h("option", { value }, says)),
  );
}

function button(name, onclick) {
  return h("button", { type: "button", class: "st-button", onclick }, icon(name), h("span", {}));
}

function fillCategories(field, categories) {
  const names = JSON.stringify(categories);
  if (field.names === names) return;
  field.names = names;
  const { value } = field;
  const options = categories.map(({ id, name }) => h("option", { value: String(id) }, name));
  field.replaceChildren(h("option", { value: "" }, "every category"), ...options);
  field.value = categories.some(({ id }) => String(id) === value) ? value : "";
}

/** What was decided last can be taken back here, on all the images it was about. */
function renderUndo(line, bulk) {
  if (!bulk) return line.replaceChildren();
  const argument = { do: "undo_bulk", bulk_id: bulk.id };
  const onclick = () => tell("command", { name: "edit", argument });
  const where = bulk.images > 1 ? ` on ${plural(bulk.images, "image")}` : "";
  return line.replaceChildren(
    `Last: ${bulk.title.replace(/ on [\d,]+ images$/, "")}${where}. `,
    h("button", { type: "button", class: "st-link", onclick }, "Take it back"),
  );
}
