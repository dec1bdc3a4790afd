from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from dinov.errors import InvalidDataset
from dinov.masks import encode_rle
from dinov.training.annotation_files import read_coco
from dinov.training.datasets import find_folders, read_folder, read_folders
from dinov.training.samples import Folder, PanopticSegment

WriteFolder = Callable[..., Path]
SIDE = 96
NAMES = {"red", "blue", "green"}


def edit(file: Path, change: Callable[[Any], None]) -> None:
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


def read(folder: Path, split: str = "train") -> Folder:
    result = read_folder(folder, split)
    assert result is not None
    return result


def test_a_folder_gives_its_photos_with_their_masks(write_folder: WriteFolder) -> None:
    folder = read(write_folder())
    assert folder.name == "discs"
    assert set(folder.categories) == NAMES
    assert [sorted(s.categories) for s in folder.samples][:2] == [["red"], ["blue", "red"]]
    sample = folder.samples[0]
    assert sample.path.is_file()
    assert sample.truths[0].area == pytest.approx(3.14 * 14**2, rel=0.05)


@pytest.mark.parametrize(
    ("exhaustive", "known_in_first"),
    [
        (True, NAMES),
        ("mostly; the smallest are unlabelled", NAMES),
        ("yes", NAMES),
        ("one object per image", {"red"}),
        (False, {"red"}),
    ],
)
def test_only_exhaustive_folders_know_what_is_absent(
    write_folder: WriteFolder, exhaustive: object, known_in_first: set[str]
) -> None:
    folder = read(write_folder(exhaustive=exhaustive))
    assert folder.samples[0].known == known_in_first


def test_crowds_are_left_out_and_make_their_category_unknown_in_the_image(
    write_folder: WriteFolder,
) -> None:
    path = write_folder()

    def make_crowd(document: Any) -> None:
        document["annotations"][0]["iscrowd"] = 1

    edit(path / "train.json", make_crowd)
    first, second = read(path).samples[:2]
    assert not first.truths
    assert "red" not in first.known
    assert "red" in second.known


def test_semantic_masks_are_told_apart(write_folder: WriteFolder) -> None:
    path = write_folder()

    def mark(document: Any) -> None:
        for annotation in document["annotations"]:
            annotation["semantic"] = 1

    edit(path / "train.json", mark)
    assert read(path).is_semantic
    assert not read(path, "val").is_semantic


def test_class_agnostic_folders_are_read_on_request_and_missing_splits_passed_over(
    write_folder: WriteFolder,
) -> None:
    regions = write_folder("regions", annotation_type="class_agnostic_regions")
    discs = write_folder("discs")
    (discs / "val.json").unlink()
    read_regions = read_folder(regions, "train")
    assert read_regions is not None
    assert read_regions.is_class_agnostic
    assert read_folder(discs, "val") is None
    assert [f.name for f in read_folders([discs.parent], "train")] == ["discs"]
    both = read_folders([discs.parent], "train", class_agnostic=True)
    assert [f.name for f in both] == ["discs", "regions"]
    with pytest.raises(InvalidDataset, match=r"val\.json"):
        read_folders([discs.parent], "val")


def test_folders_are_found_directly_or_one_level_below(write_folder: WriteFolder) -> None:
    a, b = write_folder("a"), write_folder("b")
    assert find_folders([a]) == [a]
    assert find_folders([a.parent]) == [a, b]
    assert find_folders([a.parent], exclude=["a"]) == [b]
    with pytest.raises(InvalidDataset, match=r"train\.json"):
        find_folders([a / "images"])


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d.pop("categories"),
        lambda d: d["annotations"][0].update(category_id=99),
        lambda d: d["annotations"][0].update(segmentation=[[1, 2, 3]]),
        lambda d: d["annotations"][0]["segmentation"].update(size=[5, 5]),
        lambda d: d.update(images=[1]),
    ],
)
def test_damaged_files_are_named(write_folder: WriteFolder, damage: Callable[[Any], None]) -> None:
    path = write_folder()
    edit(path / "train.json", damage)
    with pytest.raises(InvalidDataset, match=r"train\.json"):
        read_folder(path, "train")


def test_polygons_are_read_too(write_folder: WriteFolder) -> None:
    path = write_folder()

    def to_polygon(document: Any) -> None:
        document["annotations"][0]["segmentation"] = [[10, 10, 30, 10, 30, 30, 10, 30]]

    edit(path / "train.json", to_polygon)
    assert read(path).samples[0].truths[0].area == 400


def test_boxes_without_masks_and_masks_without_area_are_left_out(
    write_folder: WriteFolder,
) -> None:
    path = write_folder(train=(("red",) * 4,))

    def spoil(document: Any) -> None:
        first, second, third, _ = document["annotations"]
        first["segmentation"] = [[10, 10, 30, 10]]
        second["segmentation"] = []
        del third["segmentation"]

    edit(path / "train.json", spoil)
    assert len(read(path).samples[0].truths) == 1


def test_a_track_is_one_object_in_several_photos(write_folder: WriteFolder) -> None:
    path = write_folder(train=(("red",), ("red", "blue")))

    def track(document: Any) -> None:
        for annotation in document["annotations"][:2]:
            annotation["track_id"] = 7

    edit(path / "train.json", track)
    first, second = read(path).samples
    identities = [truth.identity for truth in first.truths + second.truths]
    assert identities[0] == identities[1]
    assert len(set(identities)) == 2


def test_a_single_file_is_split_and_its_photos_are_looked_for(
    write_folder: WriteFolder, tmp_path: Path
) -> None:
    folder = write_folder(train=(("red",),) * 11)
    file = tmp_path / "mine.json"
    file.write_text((folder / "train.json").read_text())
    with pytest.raises(InvalidDataset, match="--images"):
        read_folders([file], "train")
    images = [tmp_path, folder / "images"]
    train, val = (read_folders([file], split, images=images)[0] for split in ("train", "val"))
    assert train.name == "mine"
    assert (len(train.samples), len(val.samples)) == (9, 2)
    assert {s.path for s in train.samples}.isdisjoint(s.path for s in val.samples)
    assert all(sample.path.is_file() for sample in train.samples)
    (whole,) = read_folders([file], "train", images=images, hold_out=False)
    assert len(whole.samples) == 11


def test_panoptic_segments_are_read_from_their_picture(
    write_folder: WriteFolder, tmp_path: Path
) -> None:
    folder = write_folder(train=(("red", "blue"),))
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[:40, :50] = (3, 2, 1)
    pixels[60:] = (9, 0, 0)
    (tmp_path / "panoptic").mkdir()
    PIL.Image.fromarray(pixels).save(tmp_path / "panoptic" / "one.png")
    document = json.loads((folder / "train.json").read_text())
    document["categories"] = [
        {"id": 1, "name": "dog", "isthing": 1},
        {"id": 2, "name": "grass", "isthing": 0},
    ]
    segments = [
        {"id": 3 + 2 * 256 + 65536, "category_id": 1, "area": 2000, "iscrowd": 0},
        {"id": 9, "category_id": 2, "area": 36 * SIDE, "iscrowd": 0},
    ]
    document["annotations"] = [{"image_id": 1, "file_name": "one.png", "segments_info": segments}]
    (tmp_path / "panoptic.json").write_text(json.dumps(document))
    dog, grass = (
        read_coco(tmp_path / "panoptic.json", "mine", [folder / "images"]).samples[0].truths
    )
    assert (dog.category, dog.is_semantic) == ("dog", False)
    assert (grass.category, grass.is_semantic) == ("grass", True)
    assert np.argwhere(dog.mask()).max(0).tolist() == [39, 49]
    assert dog.mask().sum() == dog.area
    assert grass.mask().sum() == grass.area
    missing = PanopticSegment(tmp_path / "panoptic" / "two.png", 9)
    with pytest.raises(InvalidDataset, match=r"two\.png"):
        missing.mask()


def test_masks_of_a_file_per_photo_have_no_category(tmp_path: Path) -> None:
    masks = [np.zeros((20, 30), np.bool_) for _ in range(2)]
    masks[0][:5], masks[1][5:, 5:] = True, True
    document = {
        "image": {"height": 20, "width": 30, "file_name": "sa_1.jpg"},
        "annotations": [{"segmentation": encode_rle(mask)} for mask in masks],
    }
    (tmp_path / "sa_1.json").write_text(json.dumps(document))
    PIL.Image.new("RGB", (30, 20)).save(tmp_path / "sa_1.jpg")
    (folder,) = read_folders([tmp_path], "train", class_agnostic=True)
    assert folder.is_class_agnostic
    sample = folder.samples[0].loaded()
    assert (sample.path, sample.size_hw) == (tmp_path / "sa_1.jpg", (20, 30))
    assert [truth.area for truth in sample.truths] == [150, 375]
    assert np.array_equal(sample.truths[1].mask(), masks[1])
    (tmp_path / "sa_1.json").write_text("{}")
    with pytest.raises(InvalidDataset, match="SA-1B"):
        folder.samples[0].loaded()
