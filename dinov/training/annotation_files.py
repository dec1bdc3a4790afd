"""Reads annotation files: COCO instances, COCO panoptic, and SA-1B's one file per photo."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from dinov.coco import rle_of_segmentation
from dinov.errors import InvalidDataset, InvalidPrompt
from dinov.masks import rle_area
from dinov.training.samples import Folder, PanopticSegment, Sample, TrueMask
from dinov.types import SizeHW

# What `info.exhaustive` says in words when every object, or nearly, is annotated.
_EXHAUSTIVE_WORDS = ("yes", "mostly")
_NO_CATEGORY = "object"
_DEGENERATE = (0, 2, 4)
"""Numbers of a polygon that is a point or a line, which real files have."""


def read_coco(file: Path, name: str, images: Sequence[Path]) -> Folder:
    """Read a COCO instances or panoptic file.

    ``iscrowd`` annotations are left out, and their category is not known in that image. If the file
    is exhaustive (by ``info.exhaustive``, true if not said) all its categories are known in
    every image, otherwise those that are annotated in the image. Panoptic masks are looked for in
    the folder beside the file that has its name; "stuff" (``isthing: 0``) is semantic. An image's
    ``scribble_file`` is looked for beside the file.

    Args:
        file: the JSON file.
        name: what the data set is called.
        images: folders in which photos are looked for; the first that holds the first photo.

    Raises:
        InvalidDataset: if the file is of another kind, or its photos are not found.
    """
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        return _parse(document, name, _photo_folder(document, file, images), file.with_suffix(""))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, InvalidPrompt) as e:
        raise InvalidDataset(f"{file} is not COCO instances or panoptic JSON: {e!r}") from e


def read_sa1b(directory: Path) -> Folder | None:
    """Read a folder of photos with one JSON file each, as SA-1B comes: class-agnostic masks.

    Only the names of the files are read now, the masks when a photo is drawn.

    Returns:
        None if the folder has no such files.
    """
    files = sorted(file for file in directory.glob("*.json") if _is_sa1b(file))
    samples = tuple(
        Sample(directory.name, file, (0, 0), (), frozenset(), partial(_load_sa1b, file))
        for file in files
    )
    if not samples:
        return None
    return Folder(directory.name, samples, (_NO_CATEGORY,), False, False, is_class_agnostic=True)


def _is_sa1b(file: Path) -> bool:
    # Theirs are named as their photos are; nothing else of the name of a photo is JSON.
    return file.with_suffix(".jpg").is_file()


def _load_sa1b(file: Path) -> Sample:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        size_hw = (int(document["image"]["height"]), int(document["image"]["width"]))
        rles = [rle_of_segmentation(a["segmentation"], size_hw) for a in document["annotations"]]
    except (ValueError, KeyError, TypeError, InvalidPrompt) as e:
        raise InvalidDataset(f"{file} is not an annotation file as SA-1B has them: {e!r}") from e
    truths = tuple(
        TrueMask(_NO_CATEGORY, rle, rle_area(rle), False, f"{file}: {i}")
        for i, rle in enumerate(rles)
    )
    return Sample(file.parent.name, file.with_suffix(".jpg"), size_hw, truths, frozenset())


def _photo_folder(document: dict[str, Any], file: Path, images: Sequence[Path]) -> Path:
    if not document["images"]:
        return images[0]
    first = document["images"][0]["file_name"]
    for folder in images:
        if (folder / first).is_file():
            return folder
    places = ", ".join(str(folder) for folder in images)
    raise InvalidDataset(f"The photos of {file} are not in {places}. Name their folder: --images.")


def _parse(document: dict[str, Any], name: str, photos: Path, pngs: Path) -> Folder:
    info = document.get("info", {})
    names = {entry["id"]: str(entry["name"]).strip() for entry in document["categories"]}
    things = {entry["id"]: bool(entry.get("isthing", 1)) for entry in document["categories"]}
    is_exhaustive = _is_exhaustive(info.get("exhaustive", True))
    is_class_agnostic = str(info.get("annotation_type", "")).startswith("class_agnostic")
    by_image: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for annotation in document["annotations"]:
        by_image[annotation["image_id"]].append(annotation)
    samples = []
    for image in document["images"]:
        size_hw = (int(image["height"]), int(image["width"]))
        place = f"{name}/{image.get('video_id', '')}"
        own = _segments(by_image[image["id"]], pngs)
        counted = [annotation for annotation in own if not annotation.get("iscrowd", 0)]
        truths = tuple(
            truth
            for a in counted
            if (truth := _true_mask(a, names, things, size_hw, place)) is not None
        )
        listed = frozenset(names.values()) if is_exhaustive else {t.category for t in truths}
        crowds = {names[a["category_id"]] for a in own if a.get("iscrowd", 0)}
        path, drawn = photos / image["file_name"], image.get("scribble_file")
        scribble = pngs.parent / drawn if drawn else None
        known = frozenset(listed - crowds)
        samples.append(Sample(name, path, size_hw, truths, known, scribble=scribble))
    is_semantic = any(truth.is_semantic for sample in samples for truth in sample.truths)
    categories = tuple(sorted(set(names.values())))
    return Folder(name, tuple(samples), categories, is_exhaustive, is_semantic, is_class_agnostic)


def _segments(annotations: list[dict[str, Any]], pngs: Path) -> list[dict[str, Any]]:
    """Annotations of one image, one entry per mask also where they are panoptic."""
    return [
        {**segment, "png": pngs / annotation["file_name"]}
        for annotation in annotations
        for segment in annotation.get("segments_info", ())
    ] or annotations


def _is_exhaustive(value: object) -> bool:
    return value.startswith(_EXHAUSTIVE_WORDS) if isinstance(value, str) else bool(value)


def _true_mask(
    annotation: dict[str, Any],
    names: dict[int, str],
    things: dict[int, bool],
    size_hw: SizeHW,
    place: str,
) -> TrueMask | None:
    """None for a box without mask, and for a mask of no area, which real files have."""
    category, track = annotation["category_id"], annotation.get("track_id")
    png = annotation.get("png")
    # Ids of panoptic segments are colours, the same in other files.
    number = f"{png} {annotation['id']}" if track is None else f"track {track}"
    if png is not None:
        segment = PanopticSegment(png, int(annotation["id"]))
        area = int(annotation["area"])
        return TrueMask(names[category], segment, area, not things[category], f"{place}: {number}")
    shape = annotation.get("segmentation")
    if isinstance(shape, list) and all(isinstance(ring, list) for ring in shape):
        shape = [ring for ring in shape if len(ring) not in _DEGENERATE]
    rle = rle_of_segmentation(shape, size_hw) if shape else None
    if rle is None or rle_area(rle) == 0:
        return None
    is_semantic = bool(annotation.get("semantic", 0))
    return TrueMask(names[category], rle, rle_area(rle), is_semantic, f"{place}: {number}")
