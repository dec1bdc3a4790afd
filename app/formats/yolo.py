"""YOLO segmentation: ``data.yaml``, and for each image a text file with one line per object.

A line is the number of the category and one ring of points, as fractions of the image's size. Parts
and holes of an object are joined to one ring by lines that are walked both ways, as the readers'
own converters do; filled by the even-odd rule it is exactly the mask.

Cannot hold: scores, ids, tracks, decisions, the size and the full name of an image. To be read
again it needs the images, beside it or in the project.

Source: https://docs.ultralytics.com/datasets/segment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from app.formats.dataset import Dataset, Reader, Reading, Written
from app.formats.pictures import Pictures
from app.project import InvalidData
from dinov import masks
from dinov.coco import CocoImage
from dinov.errors import InvalidPrompt
from dinov.types import SizeHW

_SPLIT = "train"
_NO_LABELS = {"classes.txt", "labels.txt", "obj.names", "train.txt", "val.txt", "test.txt"}


def write(dataset: Dataset, folder: Path) -> Written:
    """Write a prepared data set: ``data.yaml`` and ``labels/train/``; images go to ``images/``."""
    folder.mkdir(parents=True, exist_ok=True)
    # Training asks for a validation set: which images it holds is for the user to decide.
    lines = ["path: .", f"train: images/{_SPLIT}", f"val: images/{_SPLIT}", "names:"]
    lines += [
        f"  {category.id - 1}: {json.dumps(category.name, ensure_ascii=False)}"
        for category in dataset.categories
    ]
    (folder / "data.yaml").write_text("\n".join(lines) + "\n", "utf-8")
    for image, group in dataset.by_image():
        path = folder / "labels" / _SPLIT / PurePosixPath(image.file_name).with_suffix(".txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = []
        for one in group:
            ring = masks.ring_of(masks.decode_rle(one.rle))
            numbers = _fractions(ring, (image.height, image.width))
            rows.append(f"{one.category_id - 1} {' '.join(numbers)}\n")
        path.write_text("".join(rows), "utf-8")
    return Written(len(dataset.annotations))


def recognises(path: Path) -> bool:
    """Whether the folder holds a YOLO data set."""
    return path.is_dir() and bool(_label_files(path)) and bool(_names(path))


def read(path: Path, pictures: Pictures) -> Reading:
    """Read all splits of a YOLO folder, segments and boxes.

    Raises:
        InvalidData: if it holds no labels.
    """
    files = _label_files(path) if path.is_dir() else []
    if not files:
        raise InvalidData(f"{path.name} holds no YOLO labels: text files in a folder 'labels'.")
    names = _names(path)
    reader = Reader()
    for number in sorted(names):
        reader.category(names[number])
    labelled = {_image_key(file.relative_to(path)): file for file in files}
    without = [
        name
        for name in pictures.names()
        if _image_key(PurePosixPath(name)) not in labelled and "images" in Path(name).parts[:-1]
    ]
    for name in without:
        reader.image(name, pictures.size_hw(name))
    for key, file in labelled.items():
        lines = [line.split() for line in file.read_text("utf-8", "replace").splitlines()]
        rows = [line for line in lines if line]
        reader.count(len(rows))
        found = pictures.find(f"images/{key}.png")
        name = found.name if found else key
        image = reader.image(name, pictures.size_hw(name) if found else None)
        for position, row in enumerate(rows, 1):
            if image is not None:
                _read_row(row, f"line {position} of {file.name}", image, names, reader)
    return reader.reading()


def _fractions(ring: list[float], size_hw: SizeHW) -> list[str]:
    height, width = size_hw
    values = [value / (height if index % 2 else width) for index, value in enumerate(ring)]
    return [f"{value:.6f}".rstrip("0").rstrip(".") for value in values]


def _label_files(path: Path) -> list[Path]:
    files = [file for file in sorted(path.rglob("*.txt")) if file.name not in _NO_LABELS]
    inside = [file for file in files if "labels" in file.relative_to(path).parts[:-1]]
    return inside or files


def _names(path: Path) -> dict[int, str]:
    """Read the names of the categories, of ``data.yaml`` or a plain list."""
    for file in sorted(path.rglob("*.y*ml")):
        try:
            content: Any = yaml.safe_load(file.read_text("utf-8"))
        except (OSError, ValueError, yaml.YAMLError):
            continue
        names = content.get("names") if isinstance(content, dict) else None
        if isinstance(names, list):
            return {number: str(name) for number, name in enumerate(names)}
        if isinstance(names, dict) and all(str(number).isdecimal() for number in names):
            return {int(number): str(name) for number, name in names.items()}
    for file in (path / "classes.txt", path / "obj.names", path / "labels" / "classes.txt"):
        if file.is_file():
            lines = file.read_text("utf-8", "replace").splitlines()
            return {number: name for number, name in enumerate(lines) if name.strip()}
    return {}


def _image_key(path: PurePosixPath | Path) -> str:
    """Name an image or its label file by what both have in common: ``train/photo``."""
    parts = [part for part in path.parts if part not in ("images", "labels")]
    return PurePosixPath(*parts).with_suffix("").as_posix()


def _read_row(
    row: list[str], place: str, image: CocoImage, names: Mapping[int, str], reader: Reader
) -> None:
    try:
        number, *values = int(float(row[0])), *map(float, row[1:])
        category = reader.category(names.get(number, f"category {number}"))
        sides = (image.width, image.height)
        pixels = [value * sides[index % 2] for index, value in enumerate(values)]
        if len(values) in (4, 5):
            x, y, width, height = pixels[:4]
            score = values[4] if len(values) == 5 else None
            box = [x - width / 2, y - height / 2, width, height]
            reader.box(image, category, box, score)
            return
        if len(values) % 2 and len(values) > 6:
            reader.notes.add("a number after the last point is taken as the score", place)
            reader.annotation(
                image,
                category,
                masks.encode_rle(
                    masks.mask_of_polygons([pixels[:-1]], (image.height, image.width))
                ),
                score=values[-1],
            )
            return
        mask = masks.mask_of_polygons([pixels], (image.height, image.width))
        reader.annotation(image, category, masks.encode_rle(mask))
    except (ValueError, OverflowError, InvalidPrompt) as error:
        reader.problems.add(str(error).rstrip("."), place)
