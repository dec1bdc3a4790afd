"""From marks to results: the whole way, with a predictor that finds colours."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from app.project import (
    DISPLAY_LONGEST_SIDE,
    AppError,
    InvalidInput,
    JobState,
    NotFound,
    ServerError,
    StoredPrompt,
    Task,
)
from app.results import display_counts
from app.segmentation import Studio
from app.settings import Settings
from dinov.errors import CheckpointMissing
from dinov.masks import decode_rle, encode_rle
from dinov.types import Prompt, PromptType, Rle
from tests.app.conftest import BLUE, GREEN, RED, as_bytes, decide, draw


def wait(studio: Studio, job_id: str):
    return studio.jobs.wait(job_id, timeout=60)


def test_marked_objects_are_found_on_the_targets(marked):
    found = marked.studio.segment_now(marked.id)
    assert found == {marked.target.id: 2, marked.empty.id: 0}
    document = marked.studio.results(marked.target.id)
    assert document["size"] == [60, 80]
    first, second, small = document["instances"]
    assert {tuple(first["bbox"]), tuple(second["bbox"])} == {(5, 5, 20, 20), (40, 30, 20, 20)}
    assert (first["area"], first["score"], first["status"]) == (400, 0.9, "proposed")
    mask = decode_rle(Rle(size=document["size"], counts=first["counts"]))
    x, y, width, height = map(int, first["bbox"])
    assert mask.sum() == 400 == mask[y : y + height, x : x + width].sum()
    # What lies under the threshold comes along, so that the slider can show it at once.
    assert (small["score"], small["area"]) == (0.2, 16)


def test_nothing_found_is_told_from_not_segmented(marked):
    counts = marked.studio.counts(marked.id)[marked.empty.id]
    assert (counts.is_segmented, counts.run_id) == (False, None)
    marked.studio.segment_now(marked.id, [marked.empty.id])
    counts = marked.studio.counts(marked.id)
    empty = counts[marked.empty.id]
    assert (empty.is_segmented, empty.shown, empty.hidden) == (True, 0, 0)
    assert not counts[marked.target.id].is_segmented
    assert marked.studio.latest_job(marked.id).message.startswith("Nothing found in 1 image")


def test_the_threshold_is_the_checkpoints_until_it_is_chosen(marked):
    marked.studio.segment_now(marked.id)
    assert marked.studio.project(marked.id).score_thresholds[Task.GENERIC] == 0.4
    assert marked.studio.segment_now(marked.id, score_threshold=0.1)[marked.target.id] == 3
    assert marked.studio.project(marked.id).score_thresholds[Task.GENERIC] == 0.1
    counts = marked.studio.counts(marked.id)[marked.target.id]
    assert (counts.shown, counts.hidden) == (3, 0)
    marked.studio.set_score_threshold(marked.id, 0.95)
    counts = marked.studio.counts(marked.id)[marked.target.id]
    assert (counts.shown, counts.hidden) == (0, 3)


def test_a_changed_prompt_costs_only_itself(marked, predictor):
    marked.studio.segment_now(marked.id)
    marked.studio.add_prompt(marked.id, marked.reference.id, "green", "point", [60, 20])
    marked.studio.segment_now(marked.id)
    assert [prompt.type for prompt in predictor.embedded] == [PromptType.BOX, PromptType.POINT]


def test_results_that_are_up_to_date_are_not_made_again(marked, predictor):
    marked.studio.segment_now(marked.id, [marked.target.id])
    marked.studio.segment_now(marked.id)
    assert predictor.segmented == 2
    marked.studio.add_prompt(marked.id, marked.reference.id, "red", "point", [15, 15])
    marked.studio.segment_now(marked.id)
    assert predictor.segmented == 4


def test_new_proposals_replace_old_ones_and_decisions_stand(marked):
    studio, image_id = marked.studio, marked.target.id
    studio.segment_now(marked.id)
    first, second, _ = studio.results(image_id)["instances"]
    decide(studio, first["id"])
    decide(studio, second["id"], "rejected")
    studio.add_prompt(marked.id, marked.reference.id, "red", "point", [15, 15])
    studio.segment_now(marked.id)
    after = studio.results(image_id)["instances"]
    kept = [(i["id"], i["status"]) for i in after if i["area"] == 400]
    assert kept == [(first["id"], "accepted"), (second["id"], "rejected")]
    assert studio.counts(marked.id)[image_id].rejected == 1
    # Restoring brings back the very instance, although the image was segmented again.
    decide(studio, second["id"], "proposed")
    restored = [i["id"] for i in studio.results(image_id)["instances"] if i["status"] == "proposed"]
    assert second["id"] in restored


def test_an_accepted_instance_is_shown_whatever_its_score(marked):
    marked.studio.segment_now(marked.id)
    small = marked.studio.results(marked.target.id)["instances"][2]
    decide(marked.studio, small["id"])
    assert marked.studio.counts(marked.id)[marked.target.id].shown == 3


def test_results_have_a_revision_that_grows(marked):
    revisions = [marked.studio.results(marked.target.id)["rev"]]
    marked.studio.segment_now(marked.id)
    revisions.append(marked.studio.results(marked.target.id)["rev"])
    instance_id = marked.studio.results(marked.target.id)["instances"][0]["id"]
    for status in ("rejected", "proposed"):
        decide(marked.studio, instance_id, status)
        revisions.append(marked.studio.results(marked.target.id)["rev"])
    assert revisions == sorted(set(revisions))


def test_several_categories_and_references_are_looked_for_at_once(marked):
    studio = marked.studio
    second = draw(patches=[(0, 0, 20, 20, BLUE)])
    reference = studio.add_images(marked.id, [("blue.png", as_bytes(second))]).added[0]
    studio.add_prompt(marked.id, reference.id, "blue", "scribble", [5, 5, 15, 15], width=2)
    # A negative prompt is an example of its category's opposite; it is handed on.
    studio.add_prompt(marked.id, marked.reference.id, "red", "box", [50, 10, 70, 30], False)
    found = studio.segment_now(marked.id)
    assert found == {marked.target.id: 3, marked.empty.id: 0, reference.id: 1}
    run = studio._store.runs(marked.id)[-1]
    assert [len(ids) for ids in run.prompt_ids.values()] == [2, 1]


def test_one_bad_image_does_not_stop_the_others(marked):
    marked.studio.image_path(marked.target.id).write_bytes(b"damaged")
    assert marked.studio.segment_now(marked.id) == {marked.empty.id: 0}
    job = marked.studio.latest_job(marked.id)
    assert (job.state, job.done, job.total) == (JobState.DONE, 2, 2)
    assert len(job.problems) == 1
    assert job.problems[0].startswith("target.png: ")


def test_a_failing_model_does_not_stop_the_job(marked, predictor):
    def fail_once() -> None:
        predictor.before_segment = lambda: None
        raise RuntimeError("out of memory")

    predictor.before_segment = fail_once
    assert marked.studio.segment_now(marked.id) == {marked.empty.id: 0}
    assert marked.studio.latest_job(marked.id).problems == ("target.png: out of memory",)


def test_a_bad_reference_is_named_and_the_others_are_used(marked):
    studio = marked.studio
    bad = studio.add_images(marked.id, [("bad.png", as_bytes(draw((9, 9))))]).added[0]
    prompt = Prompt(marked.red.id, PromptType.POINT, (50.0, 50.0))
    studio.save_prompts(bad.id, 0, [StoredPrompt("outside", bad.id, prompt)])
    assert studio.segment_now(marked.id, [marked.target.id]) == {marked.target.id: 2}
    assert studio.latest_job(marked.id).problems[0].startswith("bad.png: ")


def test_a_category_without_prompts_is_named(marked):
    marked.studio.add_category(marked.id, "unicorn")
    marked.studio.add_prompt(marked.id, marked.reference.id, "ghost", "point", [1, 1], False)
    marked.studio.segment_now(marked.id)
    unicorn, ghost = marked.studio.latest_job(marked.id).problems
    assert "unicorn" in unicorn
    assert "no positive mark" in ghost


def test_cancelling_keeps_what_was_done_and_segment_goes_on(marked, predictor):
    reached, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        reached.set()
        go_on.wait(60)

    predictor.before_segment = hold
    job_id = marked.studio.start_segmentation(marked.id)
    assert reached.wait(60)
    assert marked.studio.active_job(marked.id).state is JobState.RUNNING
    marked.studio.cancel(job_id)
    go_on.set()
    job = wait(marked.studio, job_id)
    assert (job.state, job.done) == (JobState.CANCELLED, 1)
    assert "Stopped after 1 of 2" in job.message
    assert marked.studio.active_job(marked.id) is None
    assert marked.studio.counts(marked.id)[marked.target.id].shown == 2
    predictor.before_segment = lambda: None
    marked.studio.segment_now(marked.id)
    assert predictor.segmented == 2


def test_what_is_removed_while_a_job_runs_is_left_out(marked, predictor):
    studio = marked.studio
    studio.add_prompt(marked.id, marked.reference.id, "green", "point", [60, 20])

    def remove_things() -> None:
        predictor.before_segment = lambda: None
        studio.remove_category(marked.red.id)
        studio.remove_image(marked.empty.id)

    predictor.before_segment = remove_things
    assert studio.segment_now(marked.id) == {marked.target.id: 0}
    assert studio.results(marked.target.id)["instances"] == []
    (problem,) = studio.latest_job(marked.id).problems
    assert "does not exist any more" in problem


def test_a_job_cancelled_while_the_marks_are_read_segments_nothing(marked, predictor, monkeypatch):
    embed = predictor.embed_prompts

    def embed_and_cancel(image, prompts):
        marked.studio.cancel(marked.studio.active_job(marked.id).id)
        return embed(image, prompts)

    monkeypatch.setattr(predictor, "embed_prompts", embed_and_cancel)
    with pytest.raises(AppError, match="Stopped before the first image"):
        marked.studio.segment_now(marked.id)
    assert predictor.segmented == 0


def test_deleting_a_project_stops_its_job(marked, predictor):
    reached = threading.Event()
    predictor.before_segment = lambda: (reached.set(), None)[1]
    marked.studio.start_segmentation(marked.id)
    reached.wait(60)
    marked.studio.library.delete_project(marked.id)
    with pytest.raises(NotFound):
        marked.studio.project(marked.id)
    # The worker is still there for others.
    other = type(marked)(marked.studio)
    assert marked.studio.segment_now(other.id)[other.target.id] == 2


def test_what_is_missing_is_said_before_a_job_begins(studio):
    project = studio.create_project()
    with pytest.raises(InvalidInput, match="no images yet"):
        studio.start_segmentation(project.id)
    image = studio.add_images(project.id, [("a.png", as_bytes(draw()))]).added[0]
    with pytest.raises(InvalidInput, match="Nothing is marked yet"):
        studio.start_segmentation(project.id)
    studio.add_prompt(project.id, image.id, "x", "point", [1, 1], positive=False)
    with pytest.raises(InvalidInput, match="only negative"):
        studio.start_segmentation(project.id)
    studio.add_prompt(project.id, image.id, "x", "point", [2, 2])
    studio.set_role(image.id, is_reference=False)
    with pytest.raises(InvalidInput, match="reference"):
        studio.start_segmentation(project.id)
    studio.set_role(image.id, is_reference=True, is_target=False)
    with pytest.raises(InvalidInput, match="no target"):
        studio.start_segmentation(project.id)
    with pytest.raises(InvalidInput, match="no image with the id 99"):
        studio.start_segmentation(project.id, [99])
    with pytest.raises(NotFound):
        studio.start_segmentation("gone")
    assert studio.latest_job(project.id) is None


def test_a_missing_checkpoint_fails_the_job_with_its_remedy(tmp_path, marked):
    def load(_):
        raise CheckpointMissing("Checkpoint 'swin-t' is not here. Run: python -m dinov download")

    marked.studio.close()
    studio = Studio.open(Settings(data_dir=tmp_path / "data"), load_predictor=load)
    marked.studio = studio
    with pytest.raises(AppError, match="python -m dinov download"):
        studio.segment_now(marked.id)
    assert studio.latest_job(marked.id).state is JobState.FAILED
    assert "python -m dinov download" in studio.model_status().message
    studio.close()


def test_a_data_folder_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ServerError, match="--data-dir"):
        Studio.open(Settings(data_dir=tmp_path / "file"))


def test_masks_of_large_images_are_sent_at_display_size():
    mask = np.zeros((1000, 4096), np.bool_)
    mask[100:300, 1000:2000] = True
    counts = display_counts(encode_rle(mask))
    small = decode_rle(Rle(size=[500, DISPLAY_LONGEST_SIDE], counts=counts))
    assert small.sum() == 100 * 500
    assert small[50:150, 500:1000].all()
    thin = np.zeros_like(mask)
    thin[500] = True
    assert decode_rle(Rle(size=[500, 2048], counts=display_counts(encode_rle(thin)))).any()
    assert display_counts(encode_rle(mask[:, :2048])) is None


def test_green_is_not_red(marked):
    """The stand-in predictor tells categories apart, else the tests above would prove little."""
    studio = marked.studio
    picture = as_bytes(draw(patches=[(0, 0, 20, 20, GREEN), (30, 0, 50, 20, RED)]))
    image = studio.add_images(marked.id, [("two.png", picture)]).added[0]
    studio.add_prompt(marked.id, marked.reference.id, "green", "point", [60, 20])
    studio.segment_now(marked.id, [image.id])
    names = {category.id: category.name for category in studio.categories(marked.id)}
    found = {names[i["category_id"]]: i["bbox"][0] for i in studio.results(image.id)["instances"]}
    assert found == {"green": 0, "red": 30}
