"""COCO instances documents that every reader takes: built as a plain value, written atomically."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dinov import __version__, masks
from dinov.files import written_whole
from dinov.types import Category, Rle, Segmentation, SizeHW

Encoding = Literal["auto", "polygon", "rle"]
Scalar = str | int | float | bool | None

TOOL = "DINOv Studio"
"""What ``info`` names as the maker of a document."""

# Below this overlap after filling the rings again, a mask is written as RLE instead.
_SAME_MASK_IOU = 0.99


@dataclass(frozen=True)
class CocoVideo:
    """A video of the document, or photos in order."""

    id: int
    name: str


@dataclass(frozen=True)
class CocoImage:
    """An image of the document; its size is the size of all its masks. Paths are POSIX.

    A frame says of which video it is, and its number there, from 0.
    """

    id: int
    file_name: str
    width: int
    height: int
    video_id: int | None = None
    frame_index: int | None = None


@dataclass(frozen=True)
class CocoAnnotation:
    """One instance; ``attributes`` carries whatever else is known about it.

    Instances with the same ``track_id`` are the same object.
    """

    id: int
    image_id: int
    category_id: int
    rle: Rle
    score: float | None = None
    track_id: int | None = None
    attributes: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True)
class CocoExport:
    """A document ready to be written, and in words what it leaves out or names differently."""

    document: dict[str, Any]
    dropped: tuple[str, ...]
    renamed: tuple[str, ...]


def build(
    images: Sequence[CocoImage],
    categories: Sequence[Category],
    annotations: Sequence[CocoAnnotation],
    *,
    videos: Sequence[CocoVideo] = (),
    info: Mapping[str, Scalar] | None = None,
    encoding: Encoding = "auto",
) -> CocoExport:
    """Put together a COCO instances document.

    Image and annotation ids are kept. Categories are numbered 1..N in the given order, as several
    readers expect. Names that readers would confuse are made different. Empty masks are left out.
    Where there are videos, they and their tracks stand where TAO has them. The same arguments give
    the same document.

    Args:
        images: all images, also those without annotations.
        categories: all categories; ``CocoAnnotation.category_id`` refers to their ids.
        annotations: with masks of the size of their image.
        videos: those that ``CocoImage.video_id`` refers to.
        info: stored under ``info`` beside the tool's own entries.
        encoding: "auto" writes polygons where they are exact and RLE for masks with holes;
            "polygon" cuts masks with holes into parts without; "rle" writes RLE only.

    Raises:
        ValueError: if an id is below 1, used twice or unknown, or a mask has another size.
    """
    _check_ids("image", [image.id for image in images])
    _check_ids("annotation", [annotation.id for annotation in annotations])
    images = sorted(images, key=lambda image: image.id)
    file_names, renamed_images = distinct_file_names(images)
    category_names, renamed_categories = distinct_names(categories)
    category_ids = {category.id: number for number, category in enumerate(categories, start=1)}
    if len(category_ids) != len(categories):
        raise ValueError("Two categories have the same id.")

    image_of = {image.id: image for image in images}
    rows, dropped = [], []
    for annotation in sorted(annotations, key=lambda annotation: annotation.id):
        image = _image_of(annotation, image_of)
        if annotation.category_id not in category_ids:
            raise ValueError(f"Annotation {annotation.id} has no category in the document.")
        if masks.rle_area(annotation.rle) == 0:
            dropped.append(
                f"Annotation {annotation.id} on {file_names[image.id]}: its mask is empty."
            )
            continue
        row = annotation_row(annotation, category_ids[annotation.category_id], encoding)
        rows.append(row if image.video_id is None else row | {"video_id": image.video_id})

    document: dict[str, Any] = {
        "info": {
            "description": "Instances marked and segmented with DINOv Studio",
            "version": __version__,
            "tool": TOOL,
            "pixels": "upright: the EXIF orientation is applied",
            **(info or {}),
        },
        "licenses": [{"id": 1, "name": "not stated", "url": ""}],
        "images": [_image_row(image, file_names[image.id]) for image in images],
        "annotations": rows,
        "categories": [
            {
                "id": category_ids[category.id],
                "name": name,
                "supercategory": category.supercategory.strip() or "object",
                "color": category.color,
                "isthing": int(category.is_thing),
            }
            for category, name in zip(categories, category_names, strict=True)
        ],
    }
    if videos:
        document |= _videos(document, videos)
    return CocoExport(document, tuple(dropped), tuple(renamed_images + renamed_categories))


def number_results(
    results: Sequence[tuple[str, Segmentation]], category_of: Mapping[int, int] | None = None
) -> tuple[list[CocoImage], list[CocoAnnotation]]:
    """Number images and their instances from 1, for ``build``.

    Args:
        results: the file name of each image and what was found on it.
        category_of: if the instances carry the numbers of objects instead of categories, the
            category of each; the number becomes the ``track_id``.
    """
    images = [
        CocoImage(number, name, width=result.size_hw[1], height=result.size_hw[0])
        for number, (name, result) in enumerate(results, start=1)
    ]
    found = [
        (image.id, instance)
        for image, (_, result) in zip(images, results, strict=True)
        for instance in result.instances
    ]
    return images, [
        CocoAnnotation(
            number,
            image_id,
            instance.category_id if category_of is None else category_of[instance.category_id],
            instance.rle,
            score=instance.score,
            track_id=None if category_of is None else instance.category_id,
        )
        for number, (image_id, instance) in enumerate(found, start=1)
    ]


def write(document: Mapping[str, Any], path: Path) -> Path:
    """Write the document as UTF-8 JSON; the path holds either the old file or the whole new one.

    Raises:
        ValueError: if a number is not finite.
        OSError: if the folder cannot be written to.
    """
    with written_whole(path) as partial:
        partial.write_text(_json(document), encoding="utf-8")
    return path


def write_streamed(
    document: Mapping[str, Any],
    images: Iterable[Mapping[str, Any]],
    annotations: Iterable[Mapping[str, Any]],
    path: Path,
) -> Path:
    """Write the file that ``write`` would, holding one row at a time.

    Args:
        document: made by ``build``; its ``images`` and ``annotations`` are replaced.
        images: all rows; they are taken before the first of ``annotations``.
        annotations: all rows.
        path: as in ``write``, which also says what is raised.
    """
    streams = {"images": images, "annotations": annotations}
    with written_whole(path) as partial, partial.open("w", encoding="utf-8") as file:
        for number, (key, value) in enumerate(document.items()):
            file.write(f"{',' if number else '{'}{_json(key)}:")
            file.writelines(_json_list(streams[key]) if key in streams else [_json(value)])
        file.write("}")
    return path


def write_results(results: Iterable[Mapping[str, Any]], path: Path) -> Path:
    """Write a results file (rows as ``result_row`` makes them), holding one row at a time."""
    with written_whole(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.writelines(_json_list(results))
    return path


def segmentation_of(rle: Rle, encoding: Encoding = "auto") -> list[list[float]] | dict[str, Any]:
    """Return a mask as COCO's ``segmentation``: polygons along pixel edges, or RLE."""
    if encoding != "rle":
        # Only the part of the image around the mask, with a border: time goes by pixels.
        left, top, right, bottom = (int(side) for side in masks.rle_box_xyxy(rle))
        height, width = rle["size"]
        left, top = max(0, left - 1), max(0, top - 1)
        box = (top, left, min(height, bottom + 1), min(width, right + 1))
        mask = masks.crop_mask(rle, box)
        polygons = masks.polygons_of(mask, split_holes=encoding == "polygon")
        if polygons is not None and (
            encoding == "polygon"
            or masks.mask_iou(masks.mask_of_polygons(polygons, mask.shape), mask) >= _SAME_MASK_IOU
        ):
            shift = (left, top)
            return [[value + shift[i % 2] for i, value in enumerate(ring)] for ring in polygons]
    return {"size": list(rle["size"]), "counts": rle["counts"]}


def rle_of_segmentation(segmentation: Any, size_hw: SizeHW) -> Rle:
    """Read any COCO ``segmentation``: polygons (also a single flat one) or RLE, packed or not.

    Raises:
        ValueError: if it is none of these or belongs to an image of another size.
        InvalidPrompt: if a polygon has too few points.
    """
    if isinstance(segmentation, list) and segmentation:
        nested = segmentation if isinstance(segmentation[0], list) else [segmentation]
        return masks.encode_rle(masks.mask_of_polygons(nested, size_hw))
    if not isinstance(segmentation, dict) or "counts" not in segmentation:
        raise ValueError("The segmentation is neither a list of polygons nor run-length encoded.")
    if tuple(segmentation.get("size", ())) != size_hw:
        raise ValueError(
            f"The mask has the size {segmentation.get('size')}, its image {list(size_hw)}."
        )
    counts = segmentation["counts"]
    if isinstance(counts, list):
        runs = _runs(counts)
        pixels = size_hw[0] * size_hw[1]
        # Each alone first: a sum of numbers that large would begin again at the smallest.
        within = runs.ndim == 1 and runs.min(initial=0) >= 0 and runs.max(initial=0) <= pixels
        if not within or runs.sum() != pixels:
            raise ValueError("The runs of the mask do not add up to its size.")
        mask = np.repeat(np.arange(runs.size) % 2 == 1, runs).reshape(size_hw[::-1]).T
        return masks.encode_rle(mask)
    rle = Rle(
        size=list(size_hw), counts=counts.decode() if isinstance(counts, bytes) else str(counts)
    )
    masks.decode_rle(rle)
    return rle


def _runs(counts: list[Any]) -> NDArray[np.int64]:
    try:
        return np.asarray(counts, np.int64)
    except OverflowError as error:
        raise ValueError("A run of the mask is larger than any image.") from error


def distinct_file_names(images: Sequence[CocoImage]) -> tuple[dict[int, str], list[str]]:
    """Give each image a file name whose path without suffix is its own, as CVAT needs.

    Capitals tell none apart, nor do two ways to write one letter: on many disks they do not.

    Returns:
        The file names by image id, and in words which were changed.
    """
    renamed: list[str] = []
    taken: set[str] = set()
    names = {
        image.id: distinct_file_name(image.id, image.file_name, taken, renamed) for image in images
    }
    return names, renamed


def distinct_file_name(image_id: int, file_name: str, taken: set[str], renamed: list[str]) -> str:
    """Name one image after others, as ``distinct_file_names`` does.

    Args:
        image_id: what tells it apart.
        file_name: what it should be called.
        taken: the names so far, as they are compared; the new one is added.
        renamed: is told in words if the name was taken.
    """
    path = PurePosixPath(file_name)
    candidate = path
    while _compared(candidate) in taken:
        candidate = candidate.with_name(f"{candidate.stem}-{image_id}{path.suffix}")
    if candidate != path:
        renamed.append(f"Image {path} is called {candidate}: the name was taken.")
    taken.add(_compared(candidate))
    return str(candidate)


def _compared(path: PurePosixPath) -> str:
    return unicodedata.normalize("NFC", str(path.with_suffix("")).casefold())


def distinct_names(categories: Sequence[Category]) -> tuple[list[str], list[str]]:
    """Give each category a trimmed name of its own, in their order; say which were changed."""
    names: list[str] = []
    renamed: list[str] = []
    for category in categories:
        base = category.name.strip() or f"category {category.id}"
        name, number = base, 2
        while name in names:
            name, number = f"{base} ({number})", number + 1
        if name != category.name.strip():
            renamed.append(f"Category '{category.name}' is called '{name}': names must differ.")
        names.append(name)
    return names, renamed


def annotation_row(
    annotation: CocoAnnotation, category_id: int, encoding: Encoding = "auto"
) -> dict[str, Any]:
    """One instance as it stands in a document, where its category may have another id."""
    left, top, right, bottom = masks.rle_box_xyxy(annotation.rle)
    row: dict[str, Any] = {
        "id": annotation.id,
        "image_id": annotation.image_id,
        "category_id": category_id,
        "segmentation": segmentation_of(annotation.rle, encoding),
        "area": masks.rle_area(annotation.rle),
        "bbox": [left, top, right - left, bottom - top],
        "iscrowd": 0,
    }
    attributes = dict(annotation.attributes)
    # CVAT keeps attributes only, for which others do not look there.
    if annotation.score is not None:
        row["score"] = attributes["score"] = round(float(annotation.score), 6)
    if annotation.track_id is not None:
        row["track_id"] = attributes["track_id"] = annotation.track_id
    if attributes:
        row["attributes"] = attributes
    return row


def _image_row(image: CocoImage, file_name: str) -> dict[str, Any]:
    row = {"id": image.id, "file_name": file_name, "width": image.width, "height": image.height}
    if image.video_id is None:
        return row
    return row | {"video_id": image.video_id, "frame_index": image.frame_index}


def _videos(document: Mapping[str, Any], videos: Sequence[CocoVideo]) -> dict[str, Any]:
    """The videos as TAO and YouTube-VIS describe them, and whose tracks are on them."""
    frames: dict[int, list[dict[str, Any]]] = {video.id: [] for video in videos}
    for row in document["images"]:
        if "video_id" in row:
            frames[row["video_id"]].append(row)
    tracks = {
        row["track_id"]: {
            "id": row["track_id"],
            "category_id": row["category_id"],
            "video_id": row["video_id"],
        }
        for row in document["annotations"]
        if "track_id" in row and "video_id" in row
    }
    rows = []
    for video in videos:
        ordered = sorted(frames[video.id], key=lambda row: row["frame_index"])
        size = {key: ordered[0][key] for key in ("width", "height")} if ordered else {}
        names = [row["file_name"] for row in ordered]
        rows.append(
            {"id": video.id, "name": video.name, **size, "length": len(names), "file_names": names}
        )
    return {"videos": rows, "tracks": [tracks[number] for number in sorted(tracks)]}


def result_row(annotation: CocoAnnotation, category_id: int) -> dict[str, Any]:
    """One instance as it stands in a results file, which evaluation tools compare with truth.

    Without ``bbox``, because pycocotools would take the area from it. The mask is RLE, and an
    annotation without a score counts as certain.
    """
    score = 1.0 if annotation.score is None else round(float(annotation.score), 6)
    return {
        "image_id": annotation.image_id,
        "category_id": category_id,
        "segmentation": segmentation_of(annotation.rle, "rle"),
        "score": score,
    }


def _json_list(rows: Iterable[Any]) -> Iterator[str]:
    yield "["
    for number, row in enumerate(rows):
        yield f"{',' if number else ''}{_json(row)}"
    yield "]"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _image_of(annotation: CocoAnnotation, images: Mapping[int, CocoImage]) -> CocoImage:
    image = images.get(annotation.image_id)
    if image is None:
        raise ValueError(f"Annotation {annotation.id} has no image in the document.")
    if tuple(annotation.rle["size"]) != (image.height, image.width):
        raise ValueError(
            f"Annotation {annotation.id} has a mask of size {annotation.rle['size']}, its image "
            f"{image.file_name} is {[image.height, image.width]}."
        )
    return image


def _check_ids(kind: str, ids: Sequence[int]) -> None:
    # pycocotools never matches an annotation of id 0.
    if any(type(number) is not int or number < 1 for number in ids) or len(set(ids)) != len(ids):
        raise ValueError(f"Every {kind} needs an integer id of its own, from 1 on; got {ids}.")
