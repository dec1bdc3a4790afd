"""Flat maps: every pixel once, the better instance on top, files that others read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from dinov import coco
from dinov.masks import instance_of
from dinov.panoptic import FlatMap, MapType, lay_flat, write_maps
from dinov.types import Category, Instance, Segmentation

SIZE = (20, 30)
CATEGORIES = [Category(4, "cow", "#102030"), Category(9, "grass", "#00ff00", is_thing=False)]
NUMBERS = {4: 1, 9: 2}


def instance(category: int, score: float, top: int, left: int, bottom: int, right: int) -> Instance:
    mask = np.zeros(SIZE, np.bool_)
    mask[top:bottom, left:right] = True
    return instance_of(mask, category, score)


def flat(*instances: Instance) -> FlatMap:
    return lay_flat(Segmentation(SIZE, instances), NUMBERS, {2})


SCENE = (
    instance(4, 0.9, 0, 0, 10, 10),
    instance(4, 0.8, 5, 8, 15, 20),
    instance(9, 0.7, 0, 0, 20, 10),
    instance(9, 0.6, 16, 20, 20, 30),
)


def test_the_better_instance_lies_on_top_and_stuff_is_one_segment() -> None:
    found = flat(*SCENE)
    assert [(s.id, s.category_id, s.area) for s in found.segments] == [
        (1, 1, 100),
        (2, 1, 110),
        (3, 2, 130),
    ]
    assert found.numbers[7, 9] == 1
    assert found.numbers[12, 9] == 2
    assert found.numbers[18, 2] == found.numbers[18, 25] == 3
    assert found.numbers[0, 25] == 0


def test_what_is_mostly_hidden_goes() -> None:
    found = flat(instance(4, 0.9, 0, 0, 10, 10), instance(4, 0.8, 0, 0, 10, 14))
    assert [s.area for s in found.segments] == [100]


def test_nothing_found_is_an_empty_map() -> None:
    found = flat()
    assert found.segments == ()
    assert not found.numbers.any()
    assert not found.categories().any()


def written(tmp_path: Path, kind: MapType, categories: list[Category]) -> tuple[Path, Any]:
    images = [coco.CocoImage(1, "a/cow.jpg", 30, 20), coco.CocoImage(2, "empty.png", 30, 20)]
    export = coco.build(images, categories, [])
    output = tmp_path / "out.json"
    folder = write_maps(kind, export.document, [flat(*SCENE), flat()], output)
    assert folder == tmp_path / "out"
    return folder, json.loads(output.read_text())


def test_panoptic_files_are_coco_s(tmp_path: Path) -> None:
    folder, document = written(tmp_path, "panoptic", CATEGORIES)
    first, second = document["annotations"]
    assert first["file_name"] == "a/cow.png"
    pixels = np.asarray(PIL.Image.open(folder / first["file_name"]), np.int64)
    ids = pixels @ np.array([1, 256, 65536])
    for row in first["segments_info"]:
        assert (ids == row["id"]).sum() == row["area"]
        y, x = np.nonzero(ids == row["id"])
        assert row["bbox"] == [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]
        assert row["iscrowd"] == 0
    assert {row["id"] for row in first["segments_info"]} == set(np.unique(ids)) - {0}
    assert [row["category_id"] for row in first["segments_info"]] == [1, 1, 2]
    assert second["segments_info"] == []
    assert [category["isthing"] for category in document["categories"]] == [1, 0]


def test_semantic_files_hold_category_ids_in_the_categories_colours(tmp_path: Path) -> None:
    folder, document = written(tmp_path, "semantic", CATEGORIES)
    picture = PIL.Image.open(folder / "a/cow.png")
    assert np.asarray(picture)[[7, 12, 18, 0], [9, 9, 2, 25]].tolist() == [1, 1, 2, 0]
    assert picture.convert("RGB").getpixel((9, 7)) == (0x10, 0x20, 0x30)
    assert document["annotations"][0] == {"image_id": 1, "file_name": "a/cow.png"}


def test_more_categories_than_a_palette_holds(tmp_path: Path) -> None:
    many = [*CATEGORIES, *(Category(100 + i, f"c{i}") for i in range(300))]
    folder, _ = written(tmp_path, "semantic", many)
    picture = PIL.Image.open(folder / "a/cow.png")
    assert picture.mode == "I;16"
    assert np.asarray(picture)[18, 2] == 2


@pytest.mark.parametrize("kind", ["panoptic", "semantic"])
def test_the_same_result_gives_the_same_files(tmp_path: Path, kind: MapType) -> None:
    first, second = (written(tmp_path / name, kind, CATEGORIES) for name in ("1", "2"))
    assert (first[0] / "a/cow.png").read_bytes() == (second[0] / "a/cow.png").read_bytes()
    assert first[1] == second[1]
