"""LabelMe: a JSON file beside each image, with one entry for each shape.

An object of several parts is several polygons of one group; one with holes is a shape of type
"mask". A box is a rectangle. Scores are kept in a field that LabelMe itself passes over.

Cannot hold: ids, tracks, decisions, and points or lines as annotations (they have no area).

Source: the files that labelme 5 writes.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import PIL.Image
from pydantic import BaseModel, Field, ValidationError

from app.formats.dataset import Dataset, Reader, Reading, Written, mask_box_xyxy
from app.formats.documents import Document, json_objects, read_each, read_entry, reason_of
from app.formats.pictures import Pictures
from dinov import coco, masks
from dinov.coco import CocoAnnotation, CocoImage
from dinov.errors import InvalidPrompt
from dinov.types import Mask, SizeHW

_VERSION = "5.5.0"


def write(dataset: Dataset, folder: Path) -> Written:
    """Write a prepared data set: one JSON file for each image; images go beside them."""
    names = {category.id: category.name for category in dataset.categories}
    for image, group in dataset.by_image():
        file_name = PurePosixPath(image.file_name)
        shapes: list[dict[str, Any]] = []
        for number, one in enumerate(group, 1):
            shapes += _shapes(one, names[one.category_id], number)
        document: dict[str, Any] = {
            "version": _VERSION,
            "flags": {},
            "shapes": shapes,
            "imagePath": file_name.name,
            "imageData": None,
            "imageHeight": image.height,
            "imageWidth": image.width,
        }
        coco.write(document, folder / file_name.with_suffix(".json"))
    return Written(len(dataset.annotations))


def recognises(path: Path) -> bool:
    """Whether there is a LabelMe file at the path, or below it if it is a folder."""
    return any(True for _ in _documents(path))


def read(path: Path, pictures: Pictures) -> Reading:
    """Read one LabelMe file, or all that lie in a folder.

    Raises:
        InvalidData: if there is none.
    """

    def read_one(file: Path, document: dict[str, Any], reader: Reader) -> None:
        _read_document(file, path, document, pictures, reader)

    return read_each(
        _documents(path),
        read_one,
        f"{path.name} holds no LabelMe file: JSON with 'shapes' and 'imagePath'.",
    )


def _shapes(one: CocoAnnotation, label: str, group: int) -> list[dict[str, Any]]:
    mask = masks.decode_rle(one.rle)
    polygons = masks.polygons_of(mask)
    shape: dict[str, Any] = {
        "label": label,
        "group_id": None,
        "description": "",
        "flags": {},
        "mask": None,
    }
    if one.score is not None:
        shape["score"] = round(one.score, 6)
    if polygons is None:
        left, top, right, bottom = mask_box_xyxy(mask)
        buffer = io.BytesIO()
        PIL.Image.fromarray(mask[top:bottom, left:right]).save(buffer, "PNG")
        encoded = base64.b64encode(buffer.getvalue()).decode("ascii")
        # The corners of a mask are pixels that belong to it, unlike the points of a polygon.
        corners = [[left, top], [right - 1, bottom - 1]]
        return [shape | {"shape_type": "mask", "points": corners, "mask": encoded}]
    if len(polygons) > 1:
        shape["group_id"] = group
    return [
        shape | {"shape_type": "polygon", "points": np.reshape(ring, (-1, 2)).tolist()}
        for ring in polygons
    ]


class _Shape(BaseModel):
    label: str = Field(coerce_numbers_to_str=True)
    points: list[tuple[float, float]]
    shape_type: str = "polygon"
    group_id: int | str | None = None
    mask: str | None = None
    score: float | None = None


class _File(BaseModel):
    imagePath: str = ""  # noqa: N815 - LabelMe's own names
    imageHeight: int | None = None  # noqa: N815
    imageWidth: int | None = None  # noqa: N815
    shapes: list[dict[str, Any]]


def _documents(path: Path) -> Iterator[Document]:
    for file, content in json_objects(path):
        if isinstance(content.get("shapes"), list):
            yield file, content


def _read_document(
    file: Path, path: Path, document: dict[str, Any], pictures: Pictures, reader: Reader
) -> None:
    reader.count(len(document["shapes"]))
    try:
        content = _File.model_validate(document)
    except ValidationError as error:
        reader.problems.add(f"it cannot be understood ({reason_of(error)})", file.name)
        return
    name = PurePosixPath(content.imagePath.replace("\\", "/")).name or file.stem
    if file != path:
        name = file.relative_to(path).with_name(name).as_posix()
    size_hw = pictures.size_hw(name)
    if content.imageHeight and content.imageWidth:
        size_hw = (content.imageHeight, content.imageWidth)
    image = reader.image(name, size_hw)
    if image is None:
        return
    for label, shapes in _objects(content.shapes, image, reader):
        category = reader.category(label)
        score = shapes[0].score
        try:
            if len(shapes) == 1 and shapes[0].shape_type == "rectangle":
                (x0, y0), (x1, y1) = shapes[0].points
                box = [min(x0, x1), min(y0, y1), abs(x1 - x0), abs(y1 - y0)]
                reader.box(image, category, box, score)
                continue
            parts = [_mask(shape, (image.height, image.width)) for shape in shapes]
            mask = np.logical_or.reduce(parts)
            reader.annotation(image, category, masks.encode_rle(mask), score=score)
        except (InvalidPrompt, ValueError) as error:
            reader.problems.add(f"a shape cannot be read: {error}".rstrip("."), image.file_name)


def _objects(
    rows: list[dict[str, Any]], image: CocoImage, reader: Reader
) -> Iterator[tuple[str, list[_Shape]]]:
    """Yield the shapes of every object; those of one label and group belong together."""
    objects: dict[object, tuple[str, list[_Shape]]] = {}
    for position, row in enumerate(rows):
        place = f"shape {position + 1} on {image.file_name}"
        shape = read_entry(_Shape, row, place, reader, ("score",))
        if shape is None:
            continue
        if shape.shape_type in ("point", "line", "linestrip", "points"):
            reader.problems.add(f"a {shape.shape_type} has no area", place)
            continue
        key = position if shape.group_id is None else (shape.label, shape.group_id)
        _, shapes = objects.setdefault(key, (shape.label, []))
        if shapes:
            # Two entries are one annotation, both here and where it was written.
            reader.count(-1)
        shapes.append(shape)
    yield from objects.values()


def _mask(shape: _Shape, size_hw: SizeHW) -> Mask:
    if shape.shape_type == "mask" and shape.mask:
        return _pasted(shape, size_hw)
    if shape.shape_type == "rectangle":
        (x0, y0), (x1, y1) = shape.points
        return masks.mask_of_polygons([[x0, y0, x1, y0, x1, y1, x0, y1]], size_hw)
    if shape.shape_type == "circle":
        (x, y), (edge_x, edge_y) = shape.points
        angles = np.linspace(0, 2 * np.pi, 72, endpoint=False)
        radius = np.hypot(edge_x - x, edge_y - y)
        ring = np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)
        return masks.mask_of_polygons([ring.ravel().tolist()], size_hw)
    if shape.shape_type != "polygon":
        raise ValueError(f"shapes of type '{shape.shape_type}' are not known here")
    return masks.mask_of_polygons([[value for point in shape.points for value in point]], size_hw)


def _pasted(shape: _Shape, size_hw: SizeHW) -> Mask:
    """Lay the small picture of a mask on its place in the image."""
    try:
        content = base64.b64decode(shape.mask or "", validate=True)
        with PIL.Image.open(io.BytesIO(content), formats=("PNG",)) as picture:
            small = np.asarray(picture.convert("L")) > 0
    except (binascii.Error, OSError, SyntaxError) as error:
        raise ValueError(f"its mask is damaged ({error})") from error
    left, top = (round(value) for value in shape.points[0])
    mask = np.zeros(size_hw, np.bool_)
    height, width = small.shape
    if left < 0 or top < 0 or left + width > size_hw[1] or top + height > size_hw[0]:
        raise ValueError("its mask reaches beyond the image")
    mask[top : top + height, left : left + width] = small
    return mask
