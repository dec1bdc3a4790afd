"""Annotations as one number per pixel: what panoptic, VOC and PNG masks are made of.

A label map holds one annotation at a pixel. Where annotations lie over each other the one that was
brought forward stays visible, else the smaller one; what the other one loses is reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from app.formats.dataset import Tally
from app.project import InvalidData
from dinov import masks
from dinov.coco import CocoAnnotation, CocoImage
from dinov.images import MAX_PIXELS
from dinov.types import Rle

LabelMap = NDArray[np.int64]
"""[H, W], 0 where there is nothing."""


def paint(
    image: CocoImage, annotations: Sequence[CocoAnnotation], dropped: Tally, changed: Tally
) -> LabelMap:
    """Number the pixels of each annotation from 1 on, in the given order.

    An annotation that is covered completely is noted in ``dropped``, one that loses pixels in
    ``changed``.
    """
    labels = np.zeros((image.height, image.width), np.int64)
    areas = [masks.rle_area(one.rle) for one in annotations]
    given = [one.attributes.get("z_order") for one in annotations]
    levels = [level if isinstance(level, int) else 0 for level in given]
    # From the bottom up; on one level the largest first, so that the small ones lie on top.
    for index in sorted(range(len(areas)), key=lambda index: (levels[index], -areas[index])):
        labels[masks.decode_rle(annotations[index].rle)] = index + 1
    visible = np.bincount(labels.ravel(), minlength=len(areas) + 1)[1:]
    for one, area, left in zip(annotations, areas, visible.tolist(), strict=True):
        place = f"annotation {one.id} on {image.file_name}"
        if left == 0:
            dropped.add("others cover it completely, and a pixel holds one annotation", place)
        elif left < area:
            changed.add("others cover a part of it, and a pixel holds one annotation", place)
    return labels


def parts_of(labels: NDArray[np.integer]) -> dict[int, Rle]:
    """Return the mask of every number in a label map but 0."""
    numbers = np.unique(labels)
    return {int(number): masks.encode_rle(labels == number) for number in numbers if number}


def read_png(path: Path) -> NDArray[np.integer]:
    """Read a PNG as it was written: palette indices and deep grey values stay numbers.

    Returns:
        [H, W], or [H, W, 3] if it is in colour.

    Raises:
        InvalidData: if it is no such file.
    """
    try:
        with PIL.Image.open(path, formats=("PNG",)) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise InvalidData(f"{path.name} is too large to be read.")
            return np.asarray(picture.convert("RGB") if picture.mode == "RGBA" else picture)
    except (OSError, ValueError, SyntaxError) as error:
        raise InvalidData(f"{path.name} cannot be read as PNG: {error}") from error


def write_indexed_png(path: Path, labels: LabelMap, palette: Sequence[int]) -> None:
    """Write a label map as PNG: with a palette up to 255, beyond that as 16-bit grey.

    Args:
        path: the file.
        labels: of numbers up to 65535.
        palette: red, green and blue of the numbers 0, 1, ...; others are black.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if labels.max(initial=0) <= 255:
        picture = PIL.Image.fromarray(labels.astype(np.uint8))
        picture.putpalette(palette[: 3 * 256])
    else:
        picture = PIL.Image.fromarray(labels.astype(np.uint16))
    picture.save(path, "PNG", optimize=False)
