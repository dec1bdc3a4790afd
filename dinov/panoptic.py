"""Instances laid flat: every pixel belongs to one of them or to none. Panoptic and semantic files.

Better instances lie on top, as in the panoptic segmentation paper's merging (arXiv 1801.00868).
Pixels on which nothing was found stay 0: there is no background category that has to win.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from dinov import coco
from dinov.files import written_whole
from dinov.masks import decode_rle
from dinov.types import Segmentation

MapType = Literal["semantic", "panoptic"]

_VISIBLE_SHARE = 0.5
"""A thing of which better instances leave less is dropped; stuff may be hidden behind things."""
_PALETTE_SIZE = 256


@dataclass(frozen=True)
class Segment:
    """One region of a flat map: its number there, its category and how many pixels it has."""

    id: int
    category_id: int
    area: int


@dataclass(frozen=True)
class FlatMap:
    """[H, W] int32 with the segments' numbers from 1 on, 0 where nothing was found.

    ``hidden`` counts the instances that are in no segment, because better ones cover them.
    """

    numbers: NDArray[np.int32]
    segments: tuple[Segment, ...]
    hidden: int = 0

    def categories(self) -> NDArray[np.int32]:
        """[H, W] with the segments' categories instead of their numbers."""
        table = np.zeros(len(self.segments) + 1, np.int32)
        for segment in self.segments:
            table[segment.id] = segment.category_id
        return table[self.numbers]


def lay_flat(
    found: Segmentation, category_of: Mapping[int, int], stuff: Collection[int]
) -> FlatMap:
    """Give each pixel to the best instance that covers it.

    Args:
        found: best score first.
        category_of: what the instances' ``category_id`` is called in the result.
        stuff: of those, the ones whose instances become one segment.
    """
    numbers = np.zeros(found.size_hw, np.int32)
    category_by_number: list[int] = []
    number_of_stuff: dict[int, int] = {}
    hidden = 0
    for instance in found.instances:
        visible = decode_rle(instance.rle) & (numbers == 0)
        category = category_of[instance.category_id]
        least = 1 if category in stuff else _VISIBLE_SHARE * instance.area
        if np.count_nonzero(visible) < least:
            hidden += 1
            continue
        number = number_of_stuff.get(category) if category in stuff else None
        if number is None:
            category_by_number.append(category)
            number = len(category_by_number)
            if category in stuff:
                number_of_stuff[category] = number
        numbers[visible] = number
    areas = np.bincount(numbers.ravel(), minlength=len(category_by_number) + 1)
    return FlatMap(
        numbers,
        tuple(
            Segment(number, category, int(areas[number]))
            for number, category in enumerate(category_by_number, start=1)
        ),
        hidden,
    )


def write_maps(
    kind: MapType, document: Mapping[str, Any], maps: Iterable[FlatMap], output: Path
) -> Path:
    """Write one PNG per image into a folder called like ``output`` and ``output`` itself.

    ``panoptic`` is COCO panoptic: a pixel's segment is R + 256 G + 65536 B. ``semantic`` is one
    picture of category ids, with the categories' colours as palette (16-bit grey for more than 255
    categories).

    Args:
        kind: which of the two.
        document: COCO with the images and the categories, numbered from 1.
        maps: with the document's category ids, one per image, in their order; each is let go once
            it is written.
        output: the JSON file.

    Returns:
        The folder of the PNGs.

    Raises:
        OSError: if a file cannot be written.
    """
    folder = output.with_suffix("")
    palette = _palette(document["categories"])
    annotations = []
    for image, flat in zip(document["images"], maps, strict=True):
        name = str(PurePosixPath(image["file_name"]).with_suffix(".png"))
        picture = (
            _panoptic_picture(flat) if kind == "panoptic" else _semantic_picture(flat, palette)
        )
        with written_whole(folder / name) as partial:
            picture.save(partial, format="PNG")
        row: dict[str, Any] = {"image_id": image["id"], "file_name": name}
        if kind == "panoptic":
            row["segments_info"] = _segments_info(flat)
        annotations.append(row)
    coco.write({**document, "annotations": annotations}, output)
    return folder


def _segments_info(flat: FlatMap) -> list[dict[str, Any]]:
    rows = []
    for segment in flat.segments:
        y, x = np.nonzero(flat.numbers == segment.id)
        left, top = int(x.min()), int(y.min())
        box = [left, top, int(x.max()) + 1 - left, int(y.max()) + 1 - top]
        rows.append(
            {
                "id": segment.id,
                "category_id": segment.category_id,
                "area": segment.area,
                "bbox": box,
                "iscrowd": 0,
            }
        )
    return rows


def _panoptic_picture(flat: FlatMap) -> PIL.Image.Image:
    parts = [flat.numbers >> shift & 255 for shift in (0, 8, 16)]
    return PIL.Image.fromarray(np.stack(parts, axis=-1).astype(np.uint8))


def _semantic_picture(flat: FlatMap, palette: bytes) -> PIL.Image.Image:
    categories = flat.categories()
    if len(palette) > 3 * _PALETTE_SIZE:
        return PIL.Image.fromarray(categories.astype(np.uint16))
    picture = PIL.Image.fromarray(categories.astype(np.uint8), mode="P")
    picture.putpalette(palette)
    return picture


def _palette(categories: Sequence[Mapping[str, Any]]) -> bytes:
    colors = {row["id"]: bytes.fromhex(row["color"].removeprefix("#")) for row in categories}
    return b"".join(colors.get(number, bytes(3)) for number in range(max(colors, default=0) + 1))
