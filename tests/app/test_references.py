"""Examples: which there are, switched on and off, and how well the others find each."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest

from app.project import InvalidInput, JobState, NotFound
from dinov.types import Prompt, PromptType

RED_BOX, GREEN_BOX = [12, 12, 28, 28], [52, 12, 68, 28]


def example(studio, project_id, number):
    return studio.references.examples(project_id)[number]


def scored(studio, project_id):
    job = studio.jobs.wait(studio.references.start_scoring(project_id), timeout=60)
    assert job.state is JobState.DONE, job
    return studio.references.examples(project_id)


@pytest.fixture
def several(studio, marked):
    """Three examples of red, one of which is green."""
    studio.add_prompt(marked.id, marked.target.id, "red", "box", [5, 5, 25, 25])
    studio.add_prompt(marked.id, marked.target.id, "red", "box", [40, 30, 60, 50])
    studio.add_prompt(marked.id, marked.reference.id, "red", "box", GREEN_BOX)
    return marked


def test_every_mark_is_an_example(studio, marked):
    studio.add_prompt(marked.id, marked.reference.id, "green", "box", GREEN_BOX, positive=False)
    first, second = studio.references.examples(marked.id)
    assert (first.stored.id, first.image.id) == (marked.prompt_id, marked.reference.id)
    assert first.counts
    assert not first.is_judged
    assert not second.stored.prompt.positive


def test_an_example_that_is_off_is_kept_and_says_nothing(studio, several, predictor):
    project_id, target = several.id, several.target.id
    assert studio.segment_now(project_id, [target]) == {target: 2}
    prompts = studio.prompts(several.reference.id)
    off = prompts[1][-1].id
    studio.references.set_used(several.reference.id, off, False)
    assert studio.prompts(several.reference.id) == prompts
    assert [one.is_used for one in studio.references.examples(project_id)] == [
        True,
        False,
        True,
        True,
    ]
    predictor.segmented = 0
    studio.segment_now(project_id, [target])
    assert predictor.segmented == 1
    assert off not in str(studio._store.runs(project_id)[-1].prompt_ids)
    studio.references.set_used(several.reference.id, off, True)
    assert example(studio, project_id, 1).is_used


def test_an_example_drawn_again_by_an_undo_is_off_as_before(studio, marked):
    studio.references.set_used(marked.reference.id, marked.prompt_id, False)
    rev, prompts = studio.prompts(marked.reference.id)
    rev = studio.save_prompts(marked.reference.id, rev, [])
    studio.save_prompts(marked.reference.id, rev, prompts)
    assert not example(studio, marked.id, 0).is_used


def test_with_all_examples_off_it_is_said_what_to_do(studio, marked):
    studio.references.set_used(marked.reference.id, marked.prompt_id, False)
    with pytest.raises(InvalidInput, match="No mark is used"):
        studio.start_segmentation(marked.id)


def test_examples_that_find_each_other_score_high_and_the_odd_one_low(studio, several):
    red, green, *others = scored(studio, several.id)
    assert green.score < 0.1 < 0.7 < red.score
    assert [one.is_odd for one in (red, green, *others)] == [False, True, False, False]
    assert not any(one.is_stale for one in (red, green, *others))


def test_scores_are_old_once_the_marks_have_changed_and_new_ones_are_computed(studio, several):
    scored(studio, several.id)
    studio.references.set_used(
        several.reference.id, example(studio, several.id, 1).stored.id, False
    )
    red, green, *_ = studio.references.examples(several.id)
    assert red.is_stale
    assert not green.is_stale  # itself is not among the others
    assert red.score is not None
    assert not green.is_odd
    red, green, *_ = scored(studio, several.id)
    assert not red.is_stale
    assert red.score > 0.7 > green.score
    studio.set_role(several.target.id, is_reference=False)
    red, *_ = studio.references.examples(several.id)
    assert red.is_stale


def test_scores_of_another_model_are_old(studio, several, predictor):
    scored(studio, several.id)
    predictor.fingerprint = "color-2-64"
    assert all(one.is_stale for one in studio.references.examples(several.id))


def test_a_lonely_example_has_nobody_to_be_compared_with(studio, several):
    with pytest.raises(NotFound):
        studio.references.set_used(several.reference.id, "none", False)
    studio.add_prompt(several.id, several.reference.id, "green", "box", GREEN_BOX)
    lonely = scored(studio, several.id)[2]
    assert (lonely.is_judged, lonely.score, lonely.is_odd) == (True, None, False)


def test_one_example_cannot_be_compared(studio, marked):
    with pytest.raises(InvalidInput, match="at least two examples"):
        studio.references.start_scoring(marked.id)


def test_comparing_again_computes_only_what_is_old(studio, several, monkeypatch):
    scored(studio, several.id)
    asked = []
    monkeypatch.setattr(studio._model, "score_examples", lambda *given: asked.append(given))
    scored(studio, several.id)
    assert asked == []


def test_an_image_that_is_gone_costs_only_its_own_scores(studio, several):
    studio.image_path(several.target.id).unlink()
    job = studio.jobs.wait(studio.references.start_scoring(several.id), timeout=60)
    assert job.state is JobState.DONE
    assert any("target.png" in problem for problem in job.problems)
    assert example(studio, several.id, 0).is_judged
    assert not example(studio, several.id, 2).is_judged


def test_the_picture_of_an_example_is_a_small_jpeg(studio, marked):
    content = studio.references.picture(marked.reference.id, marked.prompt_id)
    with PIL.Image.open(io.BytesIO(content)) as picture:
        assert picture.format == "JPEG"
        assert max(picture.size) <= 160
    assert studio.references.picture(marked.reference.id, marked.prompt_id) is content
    before = example(studio, marked.id, 0).picture
    studio.recolor_category(marked.red.id, "#123456")
    assert example(studio, marked.id, 0).picture != before
    assert studio.references.picture(marked.reference.id, marked.prompt_id) != content
    with pytest.raises(NotFound):
        studio.references.picture(marked.reference.id, "none")


def test_a_found_mask_is_an_example_like_any_other(studio, marked):
    studio.segment_now(marked.id, [marked.target.id])
    found = studio.results(marked.target.id)["instances"][0]
    rle = studio.instance(found["id"]).rle
    prompt = Prompt(marked.red.id, PromptType.MASK, rle=rle)
    assert studio.extend_prompts({marked.target.id: [prompt]}) == (1, 0)
    assert studio.image(marked.target.id).is_reference
    assert np.mean([one.counts for one in studio.references.examples(marked.id)]) == 1
