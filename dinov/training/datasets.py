"""COCO instances folders for training and evaluation: ``{train,val}.json`` and ``images/``."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dinov.coco import rle_of_segmentation
from dinov.errors import InvalidDataset, InvalidPrompt
from dinov.masks import rle_area
from dinov.types import Rle, SizeHW

# What `info.exhaustive` says in words when every object, or nearly, is annotated.
_EXHAUSTIVE_WORDS = ("yes", "mostly")


@dataclass(frozen=True)
class TrueMask:
    """One annotation. A semantic one covers all objects of its category in the image.

    ``identity`` is the same for the same object in several images (``track_id`` in the file).
    """

    category: str
    rle: Rle
    area: int
    is_semantic: bool
    identity: str


@dataclass(frozen=True)
class Sample:
    """An annotated photo.

    ``known`` are the categories of which every object is annotated here; any other one may be
    visible without annotation.
    """

    folder: str
    path: Path
    size_hw: SizeHW
    truths: tuple[TrueMask, ...]
    known: frozenset[str]

    @property
    def categories(self) -> frozenset[str]:
        """Names of the annotated categories."""
        return frozenset(truth.category for truth in self.truths)


@dataclass(frozen=True)
class Folder:
    """One split of a data folder. Categories of different folders are the same by name."""

    name: str
    samples: tuple[Sample, ...]
    categories: tuple[str, ...]
    is_exhaustive: bool
    is_semantic: bool


def find_folders(paths: Sequence[Path], exclude: Collection[str] = ()) -> list[Path]:
    """Folders with a ``train.json`` or ``val.json``: the paths themselves or directly below them.

    Raises:
        InvalidDataset: if a path holds none.
    """
    found: list[Path] = []
    for path in paths:
        below = [p for p in [path, *sorted(path.glob("*/"))] if _is_data_folder(p)]
        if not below:
            raise InvalidDataset(
                f"No data in {path}. Expected train.json and val.json (COCO instances) with a "
                "folder images, there or one level below."
            )
        found.extend(p for p in below if p.name not in exclude)
    return found


def read_folder(directory: Path, split: str) -> Folder | None:
    """Read ``{split}.json`` of a folder.

    ``iscrowd`` annotations are left out, and their category is not known in that image. In an
    exhaustive folder (by ``info.exhaustive``, true if not said) all its categories are known in
    every image, in another one those that are annotated in the image.

    Returns:
        None if the folder has no such split or its masks have no categories.

    Raises:
        InvalidDataset: if the file is not COCO instances JSON.
    """
    file = directory / f"{split}.json"
    if not file.is_file():
        return None
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        return _parse(document, directory)
    except (ValueError, KeyError, TypeError, AttributeError, InvalidPrompt) as e:
        raise InvalidDataset(f"{file} is not COCO instances JSON: {e!r}") from e


def read_folders(paths: Sequence[Path], split: str, exclude: Collection[str] = ()) -> list[Folder]:
    """Read one split of all folders below ``paths`` that have it.

    Raises:
        InvalidDataset: if there is none.
    """
    folders = [read_folder(path, split) for path in find_folders(paths, exclude)]
    found = [folder for folder in folders if folder is not None and folder.samples]
    if not found:
        raise InvalidDataset(f"None of the data folders has a usable {split}.json.")
    return found


def _is_data_folder(path: Path) -> bool:
    return (path / "train.json").is_file() or (path / "val.json").is_file()


def _parse(document: dict[str, Any], directory: Path) -> Folder | None:
    info = document.get("info", {})
    if str(info.get("annotation_type", "")).startswith("class_agnostic"):
        return None
    names = {entry["id"]: str(entry["name"]).strip() for entry in document["categories"]}
    is_exhaustive = _is_exhaustive(info.get("exhaustive", True))
    by_image: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for annotation in document["annotations"]:
        by_image[annotation["image_id"]].append(annotation)
    samples = []
    for image in document["images"]:
        size_hw = (int(image["height"]), int(image["width"]))
        own = by_image[image["id"]]
        truths = tuple(
            _true_mask(annotation, names, size_hw, f"{directory.name}/{image.get('video_id', '')}")
            for annotation in own
            if not _is_crowd(annotation)
        )
        listed = frozenset(names.values()) if is_exhaustive else {t.category for t in truths}
        crowds = {names[annotation["category_id"]] for annotation in own if _is_crowd(annotation)}
        path = directory / "images" / image["file_name"]
        known = frozenset(listed - crowds)
        samples.append(Sample(directory.name, path, size_hw, truths, known))
    is_semantic = any(truth.is_semantic for sample in samples for truth in sample.truths)
    categories = tuple(sorted(set(names.values())))
    return Folder(directory.name, tuple(samples), categories, is_exhaustive, is_semantic)


def _is_exhaustive(value: object) -> bool:
    return value.startswith(_EXHAUSTIVE_WORDS) if isinstance(value, str) else bool(value)


def _is_crowd(annotation: dict[str, Any]) -> bool:
    return bool(annotation.get("iscrowd", 0))


def _true_mask(
    annotation: dict[str, Any], names: dict[int, str], size_hw: SizeHW, place: str
) -> TrueMask:
    rle = rle_of_segmentation(annotation["segmentation"], size_hw)
    is_semantic = bool(annotation.get("semantic", 0))
    track = annotation.get("track_id")
    identity = f"annotation {annotation['id']}" if track is None else f"track {track}"
    category = names[annotation["category_id"]]
    return TrueMask(category, rle, rle_area(rle), is_semantic, f"{place}: {identity}")
