"""Sequences: frames of a video as images, and objects tracked along them."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from app.project import InvalidInput, JobState
from app.sequences import Direction, common_name
from app.track_job import reach
from dinov.errors import InvalidVideo
from tests.app.conftest import RED, as_bytes, decide, draw

SIZE_HW = (60, 80)


def frame(number: int) -> np.ndarray:
    """A red patch that goes to the right."""
    left = 4 + 8 * number
    return draw(SIZE_HW, [(left, 20, left + 14, 40, RED)])


@pytest.fixture
def clip(studio):
    """A project whose six images are a sequence."""
    project_id = studio.create_project("Clip").id
    files = [(f"{n}.png", as_bytes(frame(n))) for n in range(6)]
    images = [image.id for image in studio.add_images(project_id, files).added]
    return studio.videos.make_sequence(project_id, "walk", images)


def mark(studio, clip, number):
    left = 4 + 8 * number
    studio.add_prompt(
        clip.project_id, clip.image_ids[number], "it", "box", [left + 2, 22, left + 12, 38]
    )


def track(studio, clip, *asked):
    job = studio.jobs.wait(studio.videos.start_tracking(clip.id, *asked), timeout=60)
    assert job.state is JobState.DONE, job
    found = [studio.results(image_id)["instances"] for image_id in clip.image_ids]
    return [sum(one["status"] != "rejected" for one in group) for group in found]


def test_what_is_marked_is_found_on_every_frame_after_it(studio, clip):
    mark(studio, clip, 2)
    assert track(studio, clip) == [0, 0, 1, 1, 1, 1]
    (found,) = studio.results(clip.image_ids[4])["instances"]
    assert found["bbox"] == [36, 20, 14, 20]
    assert found["status"] == "proposed"


def test_backward_and_both_ways(studio, clip):
    mark(studio, clip, 2)
    assert track(studio, clip, Direction.BACKWARD) == [1, 1, 0, 0, 0, 0]
    assert track(studio, clip, Direction.BOTH) == [1, 1, 1, 1, 1, 1]


def test_going_on_from_a_frame_leaves_those_before_as_they_are(studio, clip):
    mark(studio, clip, 0)
    track(studio, clip)
    before = [studio.results(image_id)["rev"] for image_id in clip.image_ids]
    mark(studio, clip, 3)
    track(studio, clip, Direction.FORWARD, clip.image_ids[3])
    after = [studio.results(image_id)["rev"] for image_id in clip.image_ids]
    assert [old == new for old, new in zip(before, after, strict=True)] == 3 * [True] + 3 * [False]


def test_decisions_stay_and_other_objects_too(studio, clip):
    mark(studio, clip, 0)
    track(studio, clip)
    accepted, rejected = (
        studio.results(image_id)["instances"][0]["id"] for image_id in clip.image_ids[1:3]
    )
    decide(studio, accepted)
    decide(studio, rejected, "rejected")
    assert track(studio, clip) == [1, 1, 0, 1, 1, 1]
    assert studio.results(clip.image_ids[1])["instances"][0]["id"] == accepted


def test_the_export_says_which_object_it_is(studio, clip, tmp_path):
    mark(studio, clip, 0)
    track(studio, clip)
    path = studio.export_coco(clip.project_id, tmp_path / "clip.json").path
    rows = json.loads(path.read_text())["annotations"]
    assert len(rows) == 6
    assert {row["attributes"]["track_id"] for row in rows} == {1}
    studio.segment_now(clip.project_id, [clip.image_ids[0]])
    rows = json.loads(studio.export_coco(clip.project_id, path).path.read_text())["annotations"]
    assert sum("track_id" in row["attributes"] for row in rows) == 5


def test_sequences_and_tracks_leave_and_come_back(studio, clip, tmp_path):
    mark(studio, clip, 0)
    track(studio, clip)
    studio.export(clip.project_id, tmp_path / "clip.zip", with_images=True)
    copy = studio.create_project("Copy").id
    report = studio.import_files(copy, [tmp_path / "clip.zip"])
    assert report.lines == ("6 of 6 annotations imported; 6 images added (COCO JSON).",)
    (sequence,) = studio.videos.sequences(copy)
    assert sequence.name == "walk"
    assert sequence.image_ids == tuple(image.id for image in studio.images(copy))
    (first, second) = (
        json.loads(studio.export_coco(id_, tmp_path / f"{id_}.json").path.read_text())
        for id_ in (clip.project_id, copy)
    )
    assert first["videos"][0] | {"id": second["videos"][0]["id"]} == second["videos"][0]
    assert [image["frame_index"] for image in second["images"]] == list(range(6))
    (tracked,) = second["tracks"]
    assert tracked["video_id"] == sequence.id
    rows = second["annotations"]
    assert {(row["track_id"], row["video_id"]) for row in rows} == {(tracked["id"], sequence.id)}
    # A second time everything is there already; corrected by another mark it is found again.
    assert studio.import_files(copy, [tmp_path / "clip.zip"]).annotations == 0
    assert studio.videos.sequences(copy) == [sequence]
    mark(studio, sequence, 2)
    assert track(studio, sequence) == 6 * [1]


def test_two_tracks_of_a_category_have_no_place_and_are_said(studio, clip, tmp_path):
    mark(studio, clip, 0)
    track(studio, clip)
    path = studio.export_coco(clip.project_id, tmp_path / "clip.json").path
    document = json.loads(path.read_text())
    document["annotations"][3]["track_id"] = 77
    path.write_text(json.dumps(document))
    report = studio.import_files(clip.project_id, [path])
    assert report.notes == ("category it: a project has no place for 2 tracks of it on one video.",)


def test_stopping_keeps_what_is_done(studio, clip, predictor):
    mark(studio, clip, 0)
    seen = []

    def stop_at_the_third():
        seen.append(1)
        if len(seen) == 3:
            studio.cancel(studio.videos.latest_job(clip.project_id).id)

    predictor.before_segment = stop_at_the_third
    job = studio.jobs.wait(studio.videos.start_tracking(clip.id), timeout=60)
    assert job.state is JobState.CANCELLED
    counts = studio.counts(clip.project_id)
    assert [counts[image_id].is_segmented for image_id in clip.image_ids[:2]] == [True, True]
    assert not counts[clip.image_ids[5]].is_segmented


def test_without_a_mark_on_a_frame_it_is_said_what_to_do(studio, clip):
    with pytest.raises(InvalidInput, match="Mark the object on a frame"):
        studio.videos.start_tracking(clip.id)
    mark(studio, clip, 0)
    (other,) = studio.add_images(clip.project_id, [("x.png", as_bytes(draw()))]).added
    with pytest.raises(InvalidInput, match="no frame"):
        studio.videos.start_tracking(clip.id, Direction.FORWARD, other.id)


def test_a_sequence_is_renamed(studio, clip):
    studio.videos.rename_sequence(clip.id, "  In the  park ")
    assert [one.name for one in studio.videos.sequences(clip.project_id)] == ["In the park"]
    with pytest.raises(InvalidInput, match="Give the sequence a name"):
        studio.videos.rename_sequence(clip.id, " ")


def test_images_are_frames_of_one_sequence_at_most(studio, clip):
    later = studio.videos.make_sequence(clip.project_id, "rest", clip.image_ids[3:])
    first, second = studio.videos.sequences(clip.project_id)
    assert (first.image_ids, second) == (clip.image_ids[:3], later)
    for wrong in ([], [clip.image_ids[0]], [clip.image_ids[0]] * 2, [*clip.image_ids, 999]):
        with pytest.raises(InvalidInput, match="two or more"):
            studio.videos.make_sequence(clip.project_id, "no", wrong)
    studio.videos.remove_sequence(later.id)
    assert len(studio.videos.sequences(clip.project_id)) == 1
    assert len(studio.images(clip.project_id)) == 6


@pytest.mark.parametrize(
    ("direction", "start", "ahead", "behind"),
    [
        (Direction.FORWARD, 0, range(2, 10), range(0)),
        (Direction.FORWARD, 6, range(6, 10), range(0)),
        (Direction.BACKWARD, 10, range(0), range(5)),
        (Direction.BACKWARD, 4, range(0), range(4)),
        (Direction.BOTH, 0, range(2, 10), range(5)),
    ],
)
def test_which_frames_are_searched(direction, start, ahead, behind):
    assert reach(direction, start, 10, [2, 5]) == (ahead, behind)


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "walk.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, SIZE_HW[::-1])
    for number in (0, 1, 2, 3, 4, 4, 5):
        writer.write(frame(number)[..., ::-1])
    writer.release()
    return path


def test_frames_of_a_video_become_images_in_order(studio, video):
    project_id = studio.create_project("Film").id
    job = studio.jobs.wait(studio.videos.add_video(project_id, "walk.avi", video, every=2), 60)
    assert (job.state, job.done) == (JobState.DONE, 4)
    (sequence,) = studio.videos.sequences(project_id)
    names = [studio.image(image_id).file_name for image_id in sequence.image_ids]
    assert (sequence.name, names) == ("walk", [f"walk 0000{n}.jpg" for n in (0, 2, 4, 6)])
    again = studio.jobs.wait(studio.videos.add_video(project_id, "walk.avi", video, most=7), 60)
    assert "1 that look exactly like another" in again.message
    assert len(studio.images(project_id)) == 6


def test_what_is_no_video_is_refused(studio, video, tmp_path):
    project_id = studio.create_project("Film").id
    path = tmp_path / "x.mp4"
    path.write_bytes(b"no video")
    with pytest.raises(InvalidVideo):
        studio.videos.add_video(project_id, "x.mp4", path)
    with pytest.raises(InvalidInput, match="from 1 to"):
        studio.videos.add_video(project_id, "walk.avi", video, most=0)
    assert studio.videos.sequences(project_id) == []


@pytest.mark.parametrize(
    ("names", "common"),
    [
        (["walk_01.png", "walk_02.jpg"], "walk"),
        (["IMG (1).png", "IMG (2).png"], "IMG"),
        (["001.png", "002.png"], "001"),
        (["cat.png", "dog.png"], "cat"),
        (["three.png", "two.png"], "three"),
        (["cat"], "cat"),
        ([], ""),
    ],
)
def test_a_sequence_is_called_after_what_its_names_have_in_common(names, common):
    assert common_name(names) == common
