"""What a run is asked decides what is found, and stays with the results."""

from __future__ import annotations

import json
import threading

import pytest

from app.project import InstanceStatus, InvalidInput, JobState, RunOptions, Task
from app.segmentation import Studio
from app.settings import Settings
from tests.app.conftest import BLUE, RED, as_bytes, decide, draw

REFER = RunOptions(Task.REFER)


def refer(marked, **how) -> dict[int, int]:
    return marked.studio.segment_now(marked.id, options=REFER, **how)


def shown(marked) -> list[tuple[float, float]]:
    """Left edge and score of what is on the target."""
    document = marked.studio.results(marked.target.id)
    left = [one for one in document["instances"] if one["status"] != "rejected"]
    return [(one["bbox"][0], one["score"]) for one in left]


def test_a_project_keeps_how_it_is_searched(marked, tmp_path):
    assert marked.studio.project(marked.id).run_options == RunOptions(Task.GENERIC, False)
    chosen = RunOptions(Task.REFER, in_tiles=True)
    marked.studio.set_run_options(marked.id, chosen)
    marked.studio.close()
    studio = Studio.open(Settings(data_dir=tmp_path / "data"))
    assert studio.project(marked.id).run_options == chosen
    studio.close()


def test_refer_finds_an_object_once_or_not_at_all(marked):
    assert refer(marked) == {marked.target.id: 1, marked.empty.id: 0}
    document = marked.studio.results(marked.target.id)
    assert (document["task"], document["sought"]) == (Task.REFER, [marked.red.id])
    # Whatever its score: all candidates on an image share 1.
    assert shown(marked) == [(5.0, pytest.approx(400 / 816, abs=1e-3))]


def test_each_category_stands_for_one_object(marked):
    studio = marked.studio
    picture = as_bytes(draw(patches=[(0, 0, 20, 20, BLUE), (40, 0, 60, 20, BLUE)]))
    reference = studio.add_images(marked.id, [("blue.png", picture)]).added[0]
    blue = studio.add_prompt(marked.id, reference.id, "blue", "point", [5, 5])
    studio.add_prompt(marked.id, reference.id, "ghost", "point", [70, 50], positive=False)
    assert refer(marked, image_ids=[marked.target.id]) == {marked.target.id: 2}
    found = {i["category_id"] for i in studio.results(marked.target.id)["instances"]}
    (run,) = studio._store.runs(marked.id)
    assert found == set(run.prompt_ids) == set(studio.results(marked.target.id)["sought"])
    assert run.options == REFER
    assert [blue] in run.prompt_ids.values()


def test_every_task_has_a_threshold_of_its_own(marked):
    studio = marked.studio
    refer(marked, score_threshold=0.9)
    assert studio.counts(marked.id)[marked.target.id].hidden == 1
    assert studio.project(marked.id).score_thresholds[Task.REFER] == 0.9
    # The generic one is still the checkpoint's to choose.
    assert studio.segment_now(marked.id)[marked.target.id] == 2
    assert studio.project(marked.id).score_thresholds == {Task.GENERIC: 0.4, Task.REFER: 0.9}
    assert studio.segment_now(marked.id, score_threshold=0.1)[marked.target.id] == 3
    assert studio.project(marked.id).score_thresholds[Task.REFER] == 0.9


def test_images_of_different_tasks_are_judged_by_their_own_threshold(marked, tmp_path):
    studio = marked.studio
    second = as_bytes(draw(patches=[(0, 0, 20, 20, RED), (30, 0, 34, 4, RED)]))
    generic = studio.add_images(marked.id, [("generic.png", second)]).added[0]
    refer(marked, image_ids=[marked.target.id], score_threshold=0.3)
    studio.segment_now(marked.id, [generic.id], 0.5, RunOptions())
    counts = studio.counts(marked.id)
    assert (counts[marked.target.id].shown, counts[marked.target.id].hidden) == (1, 0)
    assert (counts[generic.id].shown, counts[generic.id].hidden) == (1, 1)

    path = tmp_path / "both.json"
    assert studio.export_coco(marked.id, path).annotations == 2
    document = json.loads(path.read_text())
    assert document["info"]["task"] == "generic, refer"
    assert document["info"]["score_threshold"] == 0.5
    assert document["info"]["refer_score_threshold"] == 0.3
    tasks = {one["image_id"]: one["attributes"]["task"] for one in document["annotations"]}
    assert tasks == {marked.target.id: "refer", generic.id: "generic"}
    assert studio.export_coco(marked.id, path, score_threshold={Task.REFER: 0.9}).annotations == 1
    assert studio.export_coco(marked.id, path, score_threshold={Task.GENERIC: 0.1}).annotations == 3
    assert studio.export_coco(marked.id, path, score_threshold=0.95).annotations == 0


def test_another_task_is_another_question(marked, predictor):
    marked.studio.segment_now(marked.id)
    refer(marked)
    refer(marked)
    assert predictor.segmented == 4
    assert marked.studio.segment_now(marked.id)[marked.target.id] == 2
    assert predictor.segmented == 6


def test_after_a_rejected_candidate_comes_the_next_best(marked):
    studio = marked.studio
    refer(marked)
    (wrong,) = studio.results(marked.target.id)["instances"]
    decide(studio, wrong["id"], "rejected")
    refer(marked)
    assert [left for left, _ in shown(marked)] == [40.0]


def test_an_accepted_object_is_not_looked_for_again(marked):
    studio = marked.studio
    studio.segment_now(marked.id)
    second = studio.results(marked.target.id)["instances"][1]
    decide(studio, second["id"])
    refer(marked)
    assert [one["id"] for one in studio.results(marked.target.id)["instances"]] == [second["id"]]


def test_what_was_accepted_as_one_category_is_not_proposed_as_another(marked):
    studio = marked.studio
    studio.add_prompt(marked.id, marked.reference.id, "green", "box", [52, 12, 68, 28])
    green = studio.categories(marked.id)[1].id
    studio.segment_now(marked.id)
    first, second, _ = studio.results(marked.target.id)["instances"]
    studio.editing.relabel(marked.target.id, [first["id"]], green)
    studio.editing.decide(marked.target.id, [second["id"]], InstanceStatus.REJECTED)
    # Every mark is new to the run, so that nothing is left as it is.
    studio.add_prompt(marked.id, marked.reference.id, "red", "point", [15, 15])
    studio.segment_now(marked.id)
    found = [
        (one["bbox"][0], one["category_id"], one["status"])
        for one in studio.results(marked.target.id)["instances"]
    ]
    red = marked.red.id
    assert sorted(found) == [(5, green, "accepted"), (40, red, "rejected"), (70, red, "proposed")]


def test_tiles_are_for_large_photos_and_every_object(marked, predictor, tmp_path):
    studio = marked.studio
    large = as_bytes(draw((100, 400), patches=[(0, 0, 20, 20, RED)]))
    photo = studio.add_images(marked.id, [("large.png", large)]).added[0]
    in_tiles = RunOptions(in_tiles=True)
    studio.segment_now(marked.id, [photo.id, marked.target.id], options=in_tiles)
    assert predictor.tiles == [160, None]
    assert studio._store.runs(marked.id)[-1].options == in_tiles
    studio.export_coco(marked.id, tmp_path / "tiles.json")
    assert json.loads((tmp_path / "tiles.json").read_text())["info"]["in_tiles"] is True
    studio.segment_now(marked.id, [photo.id], options=RunOptions(Task.REFER, in_tiles=True))
    assert predictor.tiles[2:] == [None]
    assert studio._store.runs(marked.id)[-1].options == REFER


def test_an_imported_annotation_has_no_task(marked, tmp_path):
    studio = marked.studio
    studio.segment_now(marked.id)
    path = studio.export_coco(marked.id, tmp_path / "found.json").path
    path.write_text(path.read_text().replace("DINOv Studio", "another program"))
    studio.remove_image(marked.target.id)
    picture = draw(patches=[(5, 5, 25, 25, RED)])
    image = studio.add_images(marked.id, [("target.png", as_bytes(picture))]).added[0]
    studio.import_files(marked.id, [tmp_path / "found.json"])
    assert studio.results(image.id)["task"] is None
    assert studio.results(image.id)["run_id"] is not None


def test_a_threshold_that_is_none_is_refused(marked):
    with pytest.raises(InvalidInput, match="from 0 to 1"):
        refer(marked, score_threshold=1.5)


def test_a_long_job_does_not_undo_what_was_segmented_meanwhile(marked, predictor):
    """The annotator tries a new mark on one image, while all are being searched with the old."""
    studio = marked.studio
    reached, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        predictor.before_segment = lambda: None
        reached.set()
        assert go_on.wait(60)

    predictor.before_segment = hold
    batch = studio.start_segmentation(marked.id, [marked.empty.id, marked.target.id])
    assert reached.wait(60)
    blue = as_bytes(draw(patches=[(0, 0, 20, 20, BLUE)]))
    image = studio.add_images(marked.id, [("blue.png", blue)]).added[0]
    studio.add_prompt(marked.id, image.id, "blue", "point", [5, 5])
    now = studio.start_segmentation(marked.id, [marked.target.id])
    go_on.set()
    assert studio.jobs.wait(now, timeout=60).state is JobState.DONE
    assert studio.jobs.wait(batch, timeout=60).state is JobState.DONE
    assert {one["category_id"] for one in studio.results(marked.target.id)["instances"]} == {
        category.id for category in studio.categories(marked.id)
    }


def test_a_negative_mark_on_a_positive_one_is_cut_out_of_it(studio):
    project = studio.create_project()
    picture = as_bytes(draw(patches=[(0, 0, 20, 20, RED), (20, 0, 40, 20, BLUE)]))
    image = studio.add_images(project.id, [("both.png", picture)]).added[0]
    box = studio.add_prompt(project.id, image.id, "red", "box", [0, 0, 40, 20])
    cut = studio.add_prompt(project.id, image.id, "red", "box", [21, 0, 40, 20], positive=False)
    studio.add_prompt(project.id, image.id, "red", "box", [20, 0, 21, 20], positive=False)
    assert studio.segment_now(project.id) == {image.id: 1}
    (found,) = studio.results(image.id)["instances"]
    assert found["bbox"][:3] == [0, 0, 20], "the mean of both colours is neither"
    (run,) = studio._store.runs(project.id)
    assert {box, cut} <= set(next(iter(run.prompt_ids.values()))), "both have led to it"
