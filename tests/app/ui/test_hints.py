"""The page says what to do next, from the first image to the export."""

from __future__ import annotations

from dataclasses import replace

from app.ui.hints import NextStep, next_step
from app.ui.snapshot import Snapshot


def step_of(project):
    return next_step(Snapshot.take(project.studio, project.id, None))


def test_each_step_follows_from_what_is_there(marked):
    studio = marked.studio
    assert step_of(marked) is NextStep.SEGMENT
    for image in studio.images(marked.id):
        studio.set_role(image.id, is_target=False)
    assert step_of(marked) is NextStep.TARGET
    studio.set_role(marked.target.id, is_target=True)
    studio.segment_now(marked.id)
    assert step_of(marked) is NextStep.REVIEW
    studio.set_score_threshold(marked.id, 1.0)
    assert step_of(marked) is NextStep.LOWER
    studio.set_score_threshold(marked.id, 0.5)
    for image in studio.images(marked.id):
        studio.review.mark(image.id)
    assert step_of(marked) is NextStep.EXPORT


def test_examples_that_are_not_in_use_are_told_from_none(marked):
    studio = marked.studio
    studio.set_role(marked.reference.id, is_reference=False)
    assert step_of(marked) is NextStep.USE
    studio.set_role(marked.reference.id, is_reference=True)
    (example,) = studio.references.examples(marked.id)
    studio.references.set_used(example.image.id, example.stored.id, is_used=False)
    assert step_of(marked) is NextStep.USE
    rev, _ = studio.prompts(marked.reference.id)
    studio.save_prompts(marked.reference.id, rev, [])
    assert step_of(marked) is NextStep.MARK
    studio.remove_category(marked.red.id)
    assert step_of(marked) is NextStep.NAME


def test_without_images_and_during_a_search_nothing_is_asked_for(marked):
    empty = marked.studio.create_project()
    assert next_step(Snapshot.take(marked.studio, empty.id, None)) is None
    searching = Snapshot.take(marked.studio, marked.id, None)
    assert next_step(replace(searching, is_image_busy=True)) is None
