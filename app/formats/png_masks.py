"""Indexed PNG masks: two pictures for each image, in which a pixel's number says what it is.

``instances/`` numbers the annotations of an image from 1 on, ``semantic/`` the categories in the
order of ``categories.txt``; 0 is nothing. Up to 255 a file has a palette, beyond that it is 16-bit
grey.

Cannot hold: annotations that lie over each other (a pixel belongs to one), scores, ids, tracks,
decisions and the full name of an image. With ``semantic/`` alone, objects of one category that
touch are one.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from app.formats.dataset import Dataset, Reader, Reading, Tally, Written
from app.formats.label_map import (
    LabelMap,
    paint,
    parts_of,
    read_png,
    write_indexed_png,
)
from app.formats.pictures import Pictures
from app.project import InvalidData
from dinov import masks
from dinov.coco import CocoImage
from dinov.track_files import palette

_INSTANCES, _SEMANTIC, _NAMES = "instances", "semantic", "categories.txt"
_LARGEST_NUMBER = 65535


def write(dataset: Dataset, folder: Path) -> Written:
    """Write a prepared data set; images go to ``images/``."""
    dropped, changed = Tally(), Tally()
    colors = [0, 0, 0]
    for category in dataset.categories:
        colors += bytes.fromhex(category.color.removeprefix("#"))
    folder.mkdir(parents=True, exist_ok=True)
    names = "".join(f"{category.name}\n" for category in dataset.categories)
    (folder / _NAMES).write_text(names, "utf-8")
    written = 0
    for image, group in dataset.by_image():
        kept = group[:_LARGEST_NUMBER]
        for one in group[_LARGEST_NUMBER:]:
            place = f"annotation {one.id} on {image.file_name}"
            dropped.add(f"an image holds {_LARGEST_NUMBER:,} annotations and no more", place)
        labels = paint(image, kept, dropped, changed)
        written += np.unique(labels[labels > 0]).size
        numbers = np.array([0, *(one.category_id for one in kept)])
        name = PurePosixPath(image.file_name).with_suffix(".png")
        write_indexed_png(folder / _INSTANCES / name, labels, palette())
        write_indexed_png(folder / _SEMANTIC / name, numbers[labels], colors)
    return Written(written, dropped.lines(), changed.lines())


def recognises(path: Path) -> bool:
    """Whether the folder holds the names and the pictures."""
    return path.is_dir() and any(
        any((file.parent / kind).is_dir() for kind in (_INSTANCES, _SEMANTIC))
        for file in path.rglob(_NAMES)
    )


def read(path: Path, pictures: Pictures) -> Reading:
    """Read a folder of masks.

    Where only ``semantic/`` says what a pixel is, every connected part is an annotation.

    Raises:
        InvalidData: if it holds no masks.
    """
    if not recognises(path):
        raise InvalidData(
            f"{path.name} holds no PNG masks: '{_NAMES}' beside folders '{_INSTANCES}' and "
            f"'{_SEMANTIC}'."
        )
    reader = Reader()
    for listing in sorted(path.rglob(_NAMES)):
        root = listing.parent
        names = listing.read_text("utf-8", "replace").splitlines()
        for name in names:
            reader.category(name)
        stems = {
            file.relative_to(root / kind)
            for kind in (_INSTANCES, _SEMANTIC)
            for file in (root / kind).rglob("*.png")
        }
        for stem in sorted(stems):
            try:
                _read_image(root, stem, names, pictures, reader)
            except InvalidData as error:
                reader.problems.add(str(error).rstrip("."), stem.as_posix())
    return reader.reading()


def _read_image(
    root: Path, stem: Path, names: list[str], pictures: Pictures, reader: Reader
) -> None:
    semantic = _labels(root / _SEMANTIC / stem)
    instances = _labels(root / _INSTANCES / stem)
    given = instances if instances is not None else semantic
    if given is None or (instances is not None and semantic is None):
        raise InvalidData(f"'{_SEMANTIC}' has no picture for it, which says the category")
    if semantic is not None and semantic.shape != given.shape:
        raise InvalidData(f"its pictures in '{_INSTANCES}' and '{_SEMANTIC}' differ in size")
    found = pictures.find(stem.as_posix())
    image = reader.image(found.name if found else stem.as_posix(), given.shape)
    if image is None or semantic is None:
        return
    if instances is None:
        place = f"the parts on {image.file_name}"
        reader.notes.add("objects are not told apart, so every connected part is one", place)
        instances = _connected_parts(semantic)
    _read_instances(image, instances, semantic, names, reader)


def _read_instances(
    image: CocoImage, instances: LabelMap, semantic: LabelMap, names: list[str], reader: Reader
) -> None:
    for number, rle in parts_of(instances).items():
        reader.count()
        inside = semantic[masks.decode_rle(rle)]
        category = int(np.bincount(inside).argmax())
        if category == 0:
            reader.problems.add("it has no category", f"instance {number} on {image.file_name}")
            continue
        name = names[category - 1] if category <= len(names) else f"category {category}"
        reader.annotation(image, reader.category(name), rle)


def _labels(path: Path) -> LabelMap | None:
    if not path.is_file():
        return None
    labels = read_png(path)
    if labels.ndim != 2:
        raise InvalidData("it is a picture in colour, where a number is expected at each pixel")
    return labels.astype(np.int64)


def _connected_parts(semantic: LabelMap) -> LabelMap:
    parts = np.zeros_like(semantic)
    for number in np.unique(semantic[semantic > 0]):
        _, labels = cv2.connectedComponents((semantic == number).astype(np.uint8))
        parts[labels > 0] = labels[labels > 0] + parts.max()
    return parts
