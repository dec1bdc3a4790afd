from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dinov.errors import InvalidDataset
from dinov.training.datasets import Folder, find_folders, read_folder, read_folders

WriteFolder = Callable[..., Path]
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


def test_class_agnostic_folders_and_missing_splits_are_passed_over(
    write_folder: WriteFolder,
) -> None:
    regions = write_folder("regions", annotation_type="class_agnostic_regions")
    discs = write_folder("discs")
    (discs / "val.json").unlink()
    assert read_folder(regions, "train") is None
    assert read_folder(discs, "val") is None
    assert [f.name for f in read_folders([discs.parent], "train")] == ["discs"]
    with pytest.raises(InvalidDataset, match=r"usable val\.json"):
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
