"""J and F as DAVIS defines them, and the command that measures tracks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dinov import cli
from dinov.errors import InvalidDataset
from dinov.evaluation.vos import (
    boundary_accuracy,
    read_tracks,
    region_similarity,
    score_tracks,
    standing_still,
)
from dinov.masks import encode_rle, instance_of
from dinov.track_files import TrackedFrame, video_document
from dinov.types import Category, Mask, Segmentation

SIZE = (60, 80)  # the boundary may be off by ceil(0.008 * 100) = 1 pixel
EMPTY = np.zeros(SIZE, np.bool_)


def block(top: int, left: int, side: int = 20) -> Mask:
    mask = EMPTY.copy()
    mask[top : top + side, left : left + side] = True
    return mask


@pytest.mark.parametrize("measure", [region_similarity, boundary_accuracy])
def test_the_ends_of_both_scales(measure: Any) -> None:
    assert measure(block(10, 10), block(10, 10)) == 1
    assert measure(EMPTY, EMPTY) == 1
    assert measure(block(0, 0), block(30, 40)) == 0
    assert measure(EMPTY, block(10, 10)) == 0
    assert measure(block(10, 10), EMPTY) == 0


def test_a_boundary_within_the_tolerance_is_right() -> None:
    truth = block(10, 10)
    assert boundary_accuracy(block(11, 10), truth) == 1
    assert region_similarity(block(11, 10), truth) == pytest.approx(19 / 21)
    assert 0.4 < boundary_accuracy(block(13, 10), truth) < 0.8  # two sides of four fit
    # A hole costs precision and nothing else: its boundary of 4 * 5 beside one of 4 * 20.
    pierced = truth & ~block(17, 17, 6)
    precision = 80 / (80 + 24)
    expected = 2 * precision / (precision + 1)
    assert boundary_accuracy(pierced, truth) == pytest.approx(expected, abs=0.01)
    # Where the object is cut off by the image there is no boundary.
    assert boundary_accuracy(np.ones(SIZE, np.bool_), np.ones(SIZE, np.bool_)) == 1


def document(*frames: dict[int, Mask], name: str = "clip") -> dict[str, Any]:
    tracked = []
    for index, masks in enumerate(frames):
        found = tuple(instance_of(mask, number, 0.5) for number, mask in masks.items())
        tracked.append(TrackedFrame(index, f"{index}.jpg", Segmentation(SIZE, found)))
    result = video_document(
        name, tracked, [Category(1, "thing")], dict.fromkeys((1, 2), 1), info={}
    )
    return dict(result.document)


def written(path: Path, content: dict[str, Any]) -> Path:
    path.write_text(json.dumps(content))
    return path


MOVING = [{1: block(0, 6 * t), 2: block(30, 40)} for t in range(5)]
ABSENT = [*MOVING[:3], {2: block(30, 40)}, MOVING[4]]


def test_objects_are_scored_on_their_own_frames(tmp_path: Path) -> None:
    truth = read_tracks(written(tmp_path / "truth.json", document(*ABSENT)))
    assert [s.mean for s in score_tracks(truth, truth)] == [1, 1]
    found = read_tracks(written(tmp_path / "found.json", document(*MOVING)))
    one, two = score_tracks(found, truth)
    assert (one.track_id, one.frames) == (1, 3)  # without the first and the last frame
    assert one.region == pytest.approx(2 / 3)  # found where it is absent
    assert (two.region, two.boundary) == (1, 1)
    nothing = read_tracks(written(tmp_path / "found.json", document({}, {}, {})))
    one, two = score_tracks(nothing, truth)
    assert one.region == pytest.approx(1 / 3)
    assert (two.region, two.boundary) == (0, 0)


def test_standing_still_is_what_the_first_masks_give(tmp_path: Path) -> None:
    late = [{2: block(30, 40)}, *MOVING[1:]]
    truth = read_tracks(written(tmp_path / "truth.json", document(*late)))
    still = standing_still(truth)
    assert still.masks[4][1] == encode_rle(block(0, 6))
    one, two = score_tracks(still, truth)
    assert one.frames == 2
    assert one.region == pytest.approx((14 / 26 + 8 / 32) / 2)
    assert two.region == 1


def test_the_command_measures_what_was_tracked(tmp_path: Path) -> None:
    truth = document(*MOVING)
    other = document(*ABSENT, name="other")
    for row in other["images"]:
        row |= {"id": row["id"] + 100, "video_id": 2}
    for row in other["annotations"]:
        row |= {"id": row["id"] + 100, "image_id": row["image_id"] + 100}
    other["videos"][0]["id"] = 2
    both = truth | {key: truth[key] + other[key] for key in ("images", "annotations", "videos")}
    written(tmp_path / "truth.json", both)
    written(tmp_path / "found.json", document(*MOVING))
    arguments = ["evaluate", "vos", "--truth", tmp_path / "truth.json"]
    arguments += ["--found", tmp_path / "found.json", "--output", tmp_path / "vos.json"]
    assert cli.main([str(argument) for argument in arguments]) == 0
    report = json.loads((tmp_path / "vos.json").read_text())
    assert [(row["video"], row["track_id"], row["J"]) for row in report["objects"]] == [
        ("clip", 1, 1),
        ("clip", 2, 1),
    ]
    assert report["mean"]["J&F"] == 1
    assert report["mean"]["J&F standing still"] < 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "is not COCO with videos"),
        ("no json", "is not COCO with videos"),
        ('{"videos": [], "images": [], "annotations": []}', "0 videos"),
    ],
)
def test_files_of_another_form_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "truth.json").write_text(content)
    with pytest.raises(InvalidDataset, match=message):
        read_tracks(tmp_path / "truth.json", "clip")
    with pytest.raises(InvalidDataset, match="cannot be read"):
        read_tracks(tmp_path / "gone.json", "clip")


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    truth = read_tracks(written(tmp_path / "truth.json", document(*MOVING)))
    other = document(*MOVING)
    other["images"][2] |= {"width": 81}
    other["annotations"] = []
    with pytest.raises(InvalidDataset, match="Frame 2 of clip has the size"):
        score_tracks(read_tracks(written(tmp_path / "a.json", other)), truth)
    short = read_tracks(written(tmp_path / "b.json", document(*MOVING[:2])))
    with pytest.raises(InvalidDataset, match="no object with frames"):
        score_tracks(truth, short)
