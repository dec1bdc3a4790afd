"""To review is to accept what is shown; it can be taken back, and news ask for another look."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.project import InvalidInput, NotFound, ReviewStatus, Task, uncertainty
from tests.app.conftest import decide

UNMARKED, PROPOSED, REVIEWED, EMPTY = ReviewStatus


def statuses(marked) -> list[ReviewStatus]:
    return [counts.status for counts in marked.studio.counts(marked.id).values()]


def decisions(marked) -> list[tuple[int, str]]:
    found = marked.studio.results(marked.target.id)["instances"]
    return [(instance["id"], instance["status"]) for instance in found]


def test_an_image_goes_from_unmarked_to_reviewed_or_empty(marked):
    assert statuses(marked) == [PROPOSED, UNMARKED, UNMARKED]
    marked.studio.segment_now(marked.id)
    assert statuses(marked) == [PROPOSED, PROPOSED, PROPOSED]
    marked.studio.review.mark(marked.target.id)
    marked.studio.review.mark(marked.empty.id)
    assert statuses(marked) == [PROPOSED, REVIEWED, EMPTY]
    with pytest.raises(NotFound):
        marked.studio.review.mark(999)


def test_what_was_approved_stays_whatever_the_threshold(marked):
    marked.studio.segment_now(marked.id)
    marked.studio.review.mark(marked.target.id)
    marked.studio.set_score_threshold(marked.id, 1)
    counts = marked.studio.counts(marked.id)[marked.target.id]
    assert (counts.shown, counts.accepted, counts.hidden) == (2, 2, 1)
    assert counts.status is REVIEWED


def test_a_review_is_taken_back_exactly(marked):
    marked.studio.segment_now(marked.id)
    first, second, _ = marked.studio.results(marked.target.id)["instances"]
    decide(marked.studio, first["id"])
    before = decisions(marked)
    rev = marked.studio.results(marked.target.id)["rev"]
    marked.studio.review.mark(marked.target.id)
    assert decisions(marked) != before
    # What was rejected after the review is no proposal again.
    marked.studio.review.unmark(marked.target.id)
    assert decisions(marked) == before
    assert marked.studio.results(marked.target.id)["rev"] > rev
    marked.studio.review.mark(marked.target.id)
    decide(marked.studio, second["id"], "rejected")
    marked.studio.review.unmark(marked.target.id)
    assert (second["id"], "rejected") in decisions(marked)
    assert statuses(marked)[1] is PROPOSED


def test_a_review_is_a_step_of_the_history_of_its_image(marked):
    studio, image_id = marked.studio, marked.target.id
    studio.segment_now(marked.id)
    before = decisions(marked)
    first = before[0][0]
    decide(studio, first, "rejected")
    studio.review.mark(image_id)
    after = decisions(marked)
    assert studio.history.view(image_id).undo == "image reviewed"
    assert first not in studio.history.undo(image_id).instances
    assert statuses(marked)[1] is PROPOSED
    studio.history.undo(image_id)
    assert decisions(marked) == before
    for _ in range(2):
        studio.history.redo(image_id)
    assert decisions(marked) == after
    assert statuses(marked)[1] is REVIEWED
    # Taking it back is a step, too: without it the review is in force again.
    studio.review.unmark(image_id)
    assert studio.history.view(image_id).undo == "review taken back"
    studio.history.undo(image_id)
    assert decisions(marked) == after
    assert statuses(marked)[1] is REVIEWED
    # Also where nothing had to be accepted.
    studio.review.mark(marked.empty.id)
    studio.history.undo(marked.empty.id)
    assert statuses(marked)[2] is PROPOSED


def test_new_proposals_ask_for_another_look_and_only_those(marked):
    studio = marked.studio
    studio.segment_now(marked.id)
    for image in (marked.target, marked.empty):
        studio.review.mark(image.id)
    studio.add_prompt(marked.id, marked.reference.id, "red", "point", [15, 15])
    studio.segment_now(marked.id)
    assert statuses(marked) == [PROPOSED, REVIEWED, EMPTY]
    studio.set_score_threshold(marked.id, 0.1)
    assert statuses(marked) == [PROPOSED, PROPOSED, EMPTY]
    studio.review.mark(marked.target.id)
    assert statuses(marked) == [PROPOSED, REVIEWED, EMPTY]
    studio.review.unmark(marked.target.id)
    assert {status for _, status in decisions(marked)} == {"proposed"}


def test_a_category_may_have_a_threshold_of_its_own(marked, tmp_path: Path):
    studio, review = marked.studio, marked.studio.review
    studio.segment_now(marked.id)
    review.set_category_threshold(marked.red.id, 0.95)
    assert review.category_thresholds(marked.id) == {marked.red.id: 0.95}
    counts = studio.counts(marked.id)[marked.target.id]
    assert (counts.shown, counts.hidden) == (0, 3)
    path = tmp_path / "out.json"
    assert studio.export_coco(marked.id, path).annotations == 0
    assert json.loads(path.read_text())["info"]["category_score_thresholds"] == "red 0.95"
    review.set_category_threshold(marked.red.id, 0.1)
    # It counts for batches, too, and goes before the project's own.
    assert studio.segment_now(marked.id, score_threshold=0.8)[marked.target.id] == 3
    assert studio.export_coco(marked.id, path).annotations == 3
    review.set_category_threshold(marked.red.id, None)
    assert studio.export_coco(marked.id, path).annotations == 2
    with pytest.raises(InvalidInput, match="from 0 to 1"):
        review.set_category_threshold(marked.red.id, 1.2)


def test_a_threshold_of_a_category_is_not_meant_for_shares(marked):
    studio = marked.studio
    studio.segment_now(marked.id)
    studio.review.set_category_threshold(marked.red.id, 0.95)
    thresholds = studio.project(marked.id).score_thresholds
    options = studio.project(marked.id).run_options.__class__(Task.REFER)
    studio.segment_now(marked.id, options=options)
    assert thresholds[Task.REFER] == 0
    assert studio.counts(marked.id)[marked.target.id].shown == 1


def test_uncertainty_is_greatest_at_the_threshold(marked):
    assert uncertainty(0.5, 0.5) == 1
    assert uncertainty(0.45, 0.5) == pytest.approx(0.5)
    assert uncertainty(0.55, 0.5) == pytest.approx(uncertainty(0.45, 0.5))
    assert uncertainty(0.9, 0.5) == uncertainty(0.1, 0.5) == 0
    marked.studio.segment_now(marked.id, score_threshold=0.85)
    of = lambda: marked.studio.counts(marked.id)[marked.target.id].uncertainty  # noqa: E731
    assert of() == pytest.approx(2 * uncertainty(0.9, 0.85))
    # Nothing is open on what was decided.
    marked.studio.review.mark(marked.target.id)
    assert of() == 0


def test_images_are_found_by_what_is_marked_or_shown_on_them(marked):
    ids = lambda: [bool(c.category_ids) for c in marked.studio.counts(marked.id).values()]  # noqa: E731
    assert ids() == [True, False, False]
    marked.studio.segment_now(marked.id)
    assert ids() == [True, True, False]
    marked.studio.set_score_threshold(marked.id, 1)
    assert ids() == [True, False, False]


def test_the_references_of_a_category_come_with_its_prompts_only(marked):
    studio = marked.studio
    studio.add_prompt(marked.id, marked.reference.id, "green", "point", [60, 20])
    studio.add_prompt(marked.id, marked.target.id, "green", "point", [60, 20])
    studio.set_role(marked.target.id, is_reference=False)
    green = studio.categories(marked.id)[1]
    found = studio.review.references(marked.red.id)
    assert [(image.id, [one.id for one in prompts]) for image, prompts in found] == [
        (marked.reference.id, [marked.prompt_id])
    ]
    assert [image.id for image, _ in studio.review.references(green.id)] == [marked.reference.id]
