"""Indexed PNGs and COCO JSON of a video say the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from dinov.masks import instance_of
from dinov.track_files import TrackedFrame, index_map, palette, video_document, write_mask_png
from dinov.types import Category, Segmentation

SIZE = (20, 30)


def objects(*numbers: int) -> Segmentation:
    """Object n is the n-th row."""
    instances = []
    for number in numbers:
        mask = np.zeros(SIZE, np.bool_)
        mask[number % 20] = True
        instances.append(instance_of(mask, number, 0.5))
    return Segmentation(SIZE, tuple(instances))


def test_the_palette_is_that_of_davis() -> None:
    colors = np.reshape(palette(), (256, 3)).tolist()
    assert colors[:4] == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    assert colors[8] == [64, 0, 0]
    assert colors[255] == [224, 224, 192]
    assert len({tuple(color) for color in colors}) == 256


def test_a_png_holds_the_numbers_and_shows_the_colours(tmp_path: Path) -> None:
    path = write_mask_png(TrackedFrame(7, "clip/7.jpg", objects(3, 255)), tmp_path)
    assert path == tmp_path / "clip/7.png"
    assert list(path.parent.iterdir()) == [path]
    with PIL.Image.open(path) as picture:
        assert picture.mode == "P"
        numbers = np.asarray(picture)
        colors = np.asarray(picture.convert("RGB"))
    assert numbers.shape == SIZE
    assert set(np.unique(numbers)) == {0, 3, 255}
    assert (numbers[3] == 3).all()
    assert colors[3, 0].tolist() == [128, 128, 0]


def test_numbers_that_a_png_cannot_hold_are_refused() -> None:
    with pytest.raises(ValueError, match="1 to 255, got 256"):
        index_map(objects(256))


def test_the_document_links_frames_and_objects() -> None:
    frames = [
        TrackedFrame(0, "0.jpg", objects(1, 4)),
        TrackedFrame(1, "1.jpg", objects()),
        TrackedFrame(3, "3.jpg", objects(4)),
    ]
    categories = [Category(5, "car"), Category(9, "dog")]
    export = video_document("clip", frames, categories, {1: 9, 4: 5}, info={"task": "refer"})
    document = export.document
    names = ["0.jpg", "1.jpg", "3.jpg"]
    size = {"width": 30, "height": 20}
    assert document["videos"] == [
        {"id": 1, "name": "clip", **size, "length": 3, "file_names": names}
    ]
    assert document["tracks"] == [
        {"id": 1, "category_id": 2, "video_id": 1},
        {"id": 4, "category_id": 1, "video_id": 1},
    ]
    assert [(i["video_id"], i["frame_index"]) for i in document["images"]] == [
        (1, 0),
        (1, 1),
        (1, 3),
    ]
    rows = [(a["image_id"], a["track_id"], a["category_id"]) for a in document["annotations"]]
    assert rows == [(1, 1, 2), (1, 4, 1), (3, 4, 1)]
    assert {a["video_id"] for a in document["annotations"]} == {1}
    assert all(a["attributes"]["track_id"] == a["track_id"] for a in document["annotations"])
