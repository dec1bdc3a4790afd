"""COCO panoptic: one JSON file, and a PNG for each image whose colours number its segments.

Cannot hold: annotations that lie over each other (a pixel belongs to one segment), scores,
tracks, decisions, and the ids of annotations (segments are numbered anew on each image, from 1).

Source: https://cocodataset.org/#format-data, panoptic segmentation.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ValidationError

from app.formats.coco import read_categories
from app.formats.dataset import Dataset, Reader, Reading, Tally, Written
from app.formats.documents import Document, has_segments, json_objects, read_each
from app.formats.label_map import paint, parts_of, read_png
from app.formats.pictures import Pictures
from app.project import InvalidData
from dinov import coco
from dinov.coco import CocoImage
from dinov.panoptic import FlatMap, Segment, write_maps
from dinov.types import Category

_PLACE = Path("annotations/panoptic_default.json")


def write(dataset: Dataset, folder: Path) -> Written:
    """Write a prepared data set as COCO lays it out: a folder of PNG files beside the JSON."""
    dropped, changed = Tally(), Tally()
    head = coco.build(dataset.images, dataset.categories, [], info=dataset.info).document
    written = 0

    def maps() -> Iterator[FlatMap]:
        nonlocal written
        for image, group in dataset.by_image():
            numbers = paint(image, group, dropped, changed)
            areas = np.bincount(numbers.ravel(), minlength=len(group) + 1)[1:].tolist()
            segments = tuple(
                Segment(number, one.category_id, area)
                for number, (one, area) in enumerate(zip(group, areas, strict=True), 1)
                if area
            )
            written += len(segments)
            yield FlatMap(numbers.astype(np.int32), segments)

    write_maps("panoptic", head, maps(), folder / _PLACE)
    return Written(written, dropped.lines(), changed.lines())


def recognises(path: Path) -> bool:
    """Whether there is COCO panoptic JSON at the path, or below it if it is a folder."""
    return any(True for _ in _documents(path))


def read(path: Path, _: Pictures) -> Reading:
    """Read a panoptic file, or all that lie in a folder; the PNG files lie beside or below.

    Raises:
        InvalidData: if there is none.
    """
    return read_each(_documents(path), _read_document, f"{path.name} holds no COCO panoptic JSON.")


def _documents(path: Path) -> Iterator[Document]:
    for file, content in json_objects(path):
        if has_segments(content.get("annotations")):
            yield file, content


def _read_document(file: Path, document: dict[str, Any], reader: Reader) -> None:
    segment_files = {
        name: png
        for png in sorted(file.parent.rglob("*.png"))
        for name in (png.name, png.relative_to(file.parent).as_posix())
    }
    categories = read_categories(file.name, document.get("categories") or [], reader)
    names = {
        row.get("id"): str(row.get("file_name", ""))
        for row in document.get("images") or []
        if isinstance(row, dict)
    }
    for row in document["annotations"]:
        _read_image(row, names, categories, segment_files, reader)


class _Segment(BaseModel):
    id: int
    category_id: int | str
    iscrowd: int | bool | None = 0


class _Row(BaseModel):
    image_id: int | str
    file_name: str
    segments_info: list[_Segment]


def _read_image(
    content: dict[str, Any],
    names: dict[Any, str],
    categories: dict[int | str, Category],
    segment_files: dict[str, Path],
    reader: Reader,
) -> None:
    reader.count(len(content["segments_info"]))
    try:
        row = _Row.model_validate(content)
        name = names.get(row.image_id) or row.file_name
        png = segment_files.get(row.file_name) or segment_files.get(Path(row.file_name).name)
        if png is None:
            raise InvalidData(f"{row.file_name} is not beside the JSON file")
        digits = read_png(png).astype(np.int64)
    except (InvalidData, ValidationError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        reader.problems.add(reason, f"image {content.get('image_id')}")
        return
    labels = digits if digits.ndim == 2 else digits @ [1, 1 << 8, 1 << 16]
    image = reader.image(name, (labels.shape[0], labels.shape[1]))
    if image is not None:
        _read_segments(row, image, labels, categories, reader)


def _read_segments(
    row: _Row, image: CocoImage, labels: Any, categories: dict[int | str, Category], reader: Reader
) -> None:
    parts = parts_of(labels)
    for segment in row.segments_info:
        place = f"segment {segment.id} on {image.file_name}"
        if segment.id not in parts:
            reader.problems.add("no pixel has its number", place)
            continue
        if segment.iscrowd:
            reader.notes.add("it is marked as a crowd, and is taken as one object", place)
        if segment.category_id not in categories:
            reader.notes.add("its category is not in the file, and is called by its id", place)
            named = reader.category(f"category {segment.category_id}")
            categories[segment.category_id] = named
        reader.annotation(image, categories[segment.category_id], parts[segment.id])
