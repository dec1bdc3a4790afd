from __future__ import annotations

import pytest

from app.history import HISTORY_LIMIT
from app.project import InstanceStatus, InvalidInput, StaleEdit, StoredPrompt
from app.segmentation import Studio
from app.settings import Settings
from dinov.types import Prompt, PromptType


def mark(number: int, x: float = 15.0) -> StoredPrompt:
    return StoredPrompt(f"m{number}", 0, Prompt(1, PromptType.POINT, (x, 15.0)))


def save(marked, prompts, merge_key=None) -> int:
    image = marked.studio.image(marked.target.id)
    stored = [StoredPrompt(one.id, image.id, one.prompt) for one in prompts]
    return marked.studio.save_prompts(image.id, image.prompts_rev, stored, merge_key)


def marks(marked) -> list[tuple[str, float]]:
    _, prompts = marked.studio.prompts(marked.target.id)
    return [(one.id, one.prompt.points[0]) for one in prompts]


def statuses(marked) -> list[str]:
    instances = marked.studio.results(marked.target.id)["instances"]
    return [one["status"] for one in sorted(instances, key=lambda one: one["id"])]


def segmented(marked) -> list[int]:
    marked.studio.segment_now(marked.id)
    instances = marked.studio.results(marked.target.id)["instances"]
    return sorted(one["id"] for one in instances)


def test_prompts_and_instances_share_one_history_in_the_order_they_were_changed(marked):
    studio, image_id = marked.studio, marked.target.id
    first, *_ = segmented(marked)
    save(marked, [mark(1)])
    studio.editing.decide(image_id, [first], InstanceStatus.ACCEPTED)
    save(marked, [mark(1), mark(2)])
    assert studio.history.view(image_id).undo == "mark added"
    assert studio.history.undo(image_id).prompts
    assert marks(marked) == [("m1", 15.0)]
    assert statuses(marked)[0] == "accepted"
    assert studio.history.undo(image_id).instances == (first,)
    assert marks(marked) == [("m1", 15.0)]
    assert statuses(marked)[0] == "proposed"
    studio.history.undo(image_id)
    assert marks(marked) == []
    assert studio.history.view(image_id).undo is None
    for _ in range(3):
        studio.history.redo(image_id)
    assert marks(marked) == [("m1", 15.0), ("m2", 15.0)]
    assert statuses(marked)[0] == "accepted"
    assert studio.history.view(image_id).redo is None


def test_taking_back_restores_the_order_of_marks(marked):
    save(marked, [mark(1), mark(2), mark(3)])
    save(marked, [mark(1), mark(3)])
    save(marked, [mark(3), mark(1)])
    marked.studio.history.undo(marked.target.id)
    assert [name for name, _ in marks(marked)] == ["m1", "m3"]
    marked.studio.history.undo(marked.target.id)
    assert [name for name, _ in marks(marked)] == ["m1", "m2", "m3"]
    marked.studio.history.redo(marked.target.id)
    marked.studio.history.redo(marked.target.id)
    assert [name for name, _ in marks(marked)] == ["m3", "m1"]


def test_undoing_the_first_mark_makes_the_image_no_reference_again(marked):
    save(marked, [mark(1)])
    assert marked.studio.image(marked.target.id).is_reference
    before = marked.studio.image(marked.target.id).prompts_rev
    marked.studio.history.undo(marked.target.id)
    image = marked.studio.image(marked.target.id)
    assert not image.is_reference
    assert image.prompts_rev > before
    marked.studio.history.redo(marked.target.id)
    assert marked.studio.image(marked.target.id).is_reference


def test_a_new_step_forgets_what_was_undone(marked):
    save(marked, [mark(1)])
    save(marked, [mark(1), mark(2)])
    marked.studio.history.undo(marked.target.id)
    save(marked, [mark(1), mark(3)])
    with pytest.raises(InvalidInput, match="nothing to redo"):
        marked.studio.history.redo(marked.target.id)
    marked.studio.history.undo(marked.target.id)
    assert [name for name, _ in marks(marked)] == ["m1"]


def test_steps_with_one_key_are_undone_together(marked):
    save(marked, [mark(1)])
    for x in (16.0, 17.0, 18.0):
        save(marked, [mark(1, x)], "move m1")
    save(marked, [mark(1, 30.0)])
    marked.studio.history.undo(marked.target.id)
    assert marks(marked) == [("m1", 18.0)]
    marked.studio.history.undo(marked.target.id)
    assert marks(marked) == [("m1", 15.0)]
    marked.studio.history.redo(marked.target.id)
    assert marks(marked) == [("m1", 18.0)]


def test_the_history_outlives_the_server(marked, tmp_path, predictor):
    first, *_ = segmented(marked)
    save(marked, [mark(1)])
    marked.studio.editing.delete(marked.target.id, [first])
    marked.studio.close()
    again = Studio.open(Settings(data_dir=tmp_path / "data"), load_predictor=lambda _: predictor)
    marked.studio = again
    assert again.history.view(marked.target.id).undo == "1 object deleted"
    again.history.undo(marked.target.id)
    assert first in [one["id"] for one in again.results(marked.target.id)["instances"]]
    again.history.undo(marked.target.id)
    assert marks(marked) == []
    again.close()


def test_only_what_was_seen_is_undone(marked):
    save(marked, [mark(1)])
    seen = marked.studio.history.view(marked.target.id).head
    save(marked, [mark(1), mark(2)])
    with pytest.raises(StaleEdit, match="another window"):
        marked.studio.history.undo(marked.target.id, seen)
    assert len(marks(marked)) == 2
    marked.studio.history.undo(marked.target.id, marked.studio.history.view(marked.target.id).head)
    assert len(marks(marked)) == 1


def test_what_was_changed_outside_of_the_history_is_not_overwritten(marked):
    studio, image_id = marked.studio, marked.target.id
    save(marked, [mark(1)])
    first, second, _third = segmented(marked)
    studio.editing.bring_forward(image_id, [first])
    studio.editing.delete(image_id, [second])
    studio.history.undo(image_id)
    # A new run takes the place of all proposals.
    studio.add_prompt(marked.id, marked.reference.id, "red", "point", [15, 15])
    new = segmented(marked)
    assert second not in new
    with pytest.raises(StaleEdit, match="cannot be done again"):
        studio.history.redo(image_id)
    studio.history.undo(image_id)
    assert marks(marked) == []
    assert not any(one["id"] == second for one in studio.results(image_id)["instances"])


def test_a_step_of_a_removed_category_is_forgotten_in_words(marked):
    studio, image_id = marked.studio, marked.target.id
    first, *_ = segmented(marked)
    other = studio.add_category(marked.id, "other").id
    studio.editing.relabel(image_id, [first], other)
    studio.remove_category(other)
    with pytest.raises(StaleEdit, match="1 object relabelled"):
        studio.history.undo(image_id)
    assert studio.history.view(image_id).undo is None


def test_what_fails_leaves_no_step(marked):
    first, *_ = segmented(marked)
    with pytest.raises(InvalidInput):
        marked.studio.editing.split(marked.target.id, first, [0, 0, 1, 1])
    assert marked.studio.history.view(marked.target.id).undo is None


def test_old_steps_are_forgotten(marked):
    for number in range(HISTORY_LIMIT + 5):
        save(marked, [mark(1, float(number % 70))])
    steps = 0
    while marked.studio.history.view(marked.target.id).undo:
        marked.studio.history.undo(marked.target.id)
        steps += 1
    assert steps == HISTORY_LIMIT


def test_each_image_has_a_history_of_its_own(marked):
    save(marked, [mark(1)])
    marked.studio.history.undo(marked.reference.id)
    assert marks(marked) == [("m1", 15.0)]
    assert marked.studio.prompts(marked.reference.id)[1] == []
    with pytest.raises(InvalidInput, match="nothing to undo"):
        marked.studio.history.undo(marked.empty.id)
