"""Large images: small objects are looked for in overlapping tiles, large ones in the whole image.

The model sees every picture at its input size, and on a large photo a small object is then a few
pixels. Each tile is segmented like a photo of its own. What lies complete in a tile is an instance.
What a seam cuts is a fragment: fragments of neighbours that agree where both tiles see the image
become one instance, and a fragment of something that is complete elsewhere goes.

An object that fits into the overlap is complete in some tile, so the whole image only tells of
larger ones. One tile is in memory at a time; masks of the whole image stay run-length encoded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dinov.errors import InvalidImage
from dinov.masks import (
    crop_mask,
    decode_rle,
    encode_rle_inside,
    mask_iou,
    rle_area,
    rle_box_xyxy,
    unite_rles,
)
from dinov.options import MIN_TILE, InstanceOptions
from dinov.overlaps import one_per_object, rle_overlaps
from dinov.types import Image, Instance, Segmentation, SizeHW

OVERLAP_SHARE = 0.25
"""Of a tile's side; neighbours share at least so much."""

_MARGIN_SHARE = 0.02
"""Of a tile's side: masks that come nearer to a seam are cut by it, since edges are not exact."""

_AGREEMENT = 0.5
"""IoU, where two tiles overlap, from which two fragments are one object."""

_EXPLAINED = 0.5
"""A fragment of which a larger share lies in a complete instance is a piece of it."""


@dataclass(frozen=True)
class Tile:
    """Rows ``top`` to ``bottom`` and columns ``left`` to ``right`` of an image, ends excluded."""

    top: int
    left: int
    bottom: int
    right: int

    def shared_with(self, other: Tile) -> tuple[int, int, int, int]:
        """(top, left, bottom, right) of what both show; empty if top >= bottom or left >= right."""
        return (
            max(self.top, other.top),
            max(self.left, other.left),
            min(self.bottom, other.bottom),
            min(self.right, other.right),
        )

    def cuts(self, instance: Instance, size_hw: SizeHW) -> bool:
        """Does the instance, in pixels of the image, reach a side that is inside the image?"""
        x0, y0, x1, y1 = instance.box_xyxy
        height, width = size_hw
        margin = _MARGIN_SHARE * max(self.bottom - self.top, self.right - self.left)
        return (
            (self.top > 0 and y0 < self.top + margin)
            or (self.left > 0 and x0 < self.left + margin)
            or (self.bottom < height and y1 > self.bottom - margin)
            or (self.right < width and x1 > self.right - margin)
        )


def tiles_of(size_hw: SizeHW, side: int) -> list[Tile]:
    """Cover an image with tiles of one size that overlap evenly, row by row."""
    rows, columns = (_starts(length, side) for length in size_hw)
    height, width = size_hw
    return [
        Tile(top, left, min(top + side, height), min(left + side, width))
        for top in rows
        for left in columns
    ]


def segment_in_tiles(
    image: Image,
    segment: Callable[[Image], Segmentation],
    side: int,
    options: InstanceOptions,
) -> Segmentation:
    """Segment a whole image and its tiles, and merge what is found.

    Args:
        image: [H, W, 3] uint8 RGB.
        segment: finds all instances in an image of any size.
        side: of a tile, in pixels of the image.
        options: which of the found masks are one object.

    Raises:
        InvalidImage: if the tiles are too small.
    """
    if side < MIN_TILE:
        raise InvalidImage(f"Tiles of {side} pixels are too small. Use {MIN_TILE} or more.")
    size_hw = (image.shape[0], image.shape[1])
    whole = segment(image)
    tiles = tiles_of(size_hw, side)
    if len(tiles) == 1:
        return whole
    found: list[tuple[Tile, Instance]] = []
    emptied: list[Instance] = []
    for tile in tiles:
        part = image[tile.top : tile.bottom, tile.left : tile.right]
        seen = segment(np.ascontiguousarray(part))
        found += [(tile, _placed(instance, tile, size_hw)) for instance in seen.instances]
        emptied += [_placed(instance, tile, size_hw) for instance in seen.emptied]
    fitting = side * OVERLAP_SHARE
    large = [i for i in whole.instances if max(_box_size(i)) > fitting]
    return replace(merge(size_hw, large, found, options), emptied=tuple(emptied))


def merge(
    size_hw: SizeHW,
    large: Sequence[Instance],
    found: Sequence[tuple[Tile, Instance]],
    options: InstanceOptions,
) -> Segmentation:
    """Make one instance of each object that was found in the whole image or in tiles.

    Args:
        size_hw: of the image; all masks are of that size.
        large: found in the whole image.
        found: with the tile that showed it.
        options: which masks are one object.
    """
    cut = [(tile, instance) for tile, instance in found if tile.cuts(instance, size_hw)]
    complete = [instance for tile, instance in found if not tile.cuts(instance, size_hw)]
    complete = _one_per_object([*large, *complete], options)
    pieces = _without_explained(_unite_agreeing(cut), complete)
    kept = [*complete, *_one_per_object(pieces, options)]
    kept.sort(key=lambda instance: -instance.score)
    return Segmentation(size_hw, tuple(kept[: options.max_instances]))


def _starts(length: int, side: int) -> list[int]:
    """Where tiles begin along one axis."""
    if length <= side:
        return [0]
    step = side * (1 - OVERLAP_SHARE)
    count = math.ceil((length - side) / step) + 1
    return [round(i * (length - side) / (count - 1)) for i in range(count)]


def _placed(instance: Instance, tile: Tile, size_hw: SizeHW) -> Instance:
    rle = encode_rle_inside(decode_rle(instance.rle), (tile.top, tile.left), size_hw)
    x0, y0, x1, y1 = instance.box_xyxy
    box = (x0 + tile.left, y0 + tile.top, x1 + tile.left, y1 + tile.top)
    return Instance(instance.category_id, instance.score, rle, box, instance.area)


def _box_size(instance: Instance) -> tuple[float, float]:
    x0, y0, x1, y1 = instance.box_xyxy
    return x1 - x0, y1 - y0


def _one_per_object(instances: Sequence[Instance], options: InstanceOptions) -> list[Instance]:
    kept = one_per_object(
        rle_overlaps([instance.rle for instance in instances]),
        np.array([instance.score for instance in instances]),
        np.array([instance.category_id for instance in instances], np.int64),
        nms_threshold=options.nms_threshold,
        containment_threshold=options.containment_threshold,
    )
    return [instances[i] for i in kept]


def _unite_agreeing(fragments: Sequence[tuple[Tile, Instance]]) -> list[Instance]:
    """One instance for each set of fragments that are linked by agreement, single ones as well."""
    group = list(range(len(fragments)))
    for i, (tile, instance) in enumerate(fragments):
        for j, (other_tile, other) in enumerate(fragments[:i]):
            if instance.category_id == other.category_id and _agree(
                instance, other, tile.shared_with(other_tile)
            ):
                old, new = group[i], group[j]
                group = [new if number == old else number for number in group]
    return [
        _united([fragments[i][1] for i in range(len(group)) if group[i] == number])
        for number in sorted(set(group))
    ]


def _agree(a: Instance, b: Instance, shared: tuple[int, int, int, int]) -> bool:
    top, left, bottom, right = shared
    x0, y0 = max(left, a.box_xyxy[0], b.box_xyxy[0]), max(top, a.box_xyxy[1], b.box_xyxy[1])
    x1, y1 = min(right, a.box_xyxy[2], b.box_xyxy[2]), min(bottom, a.box_xyxy[3], b.box_xyxy[3])
    if x0 >= x1 or y0 >= y1:
        return False
    return mask_iou(crop_mask(a.rle, shared), crop_mask(b.rle, shared)) >= _AGREEMENT


def _united(fragments: Sequence[Instance]) -> Instance:
    """All of them as one; each counts for the score by its area."""
    if len(fragments) == 1:
        return fragments[0]
    rle = unite_rles([fragment.rle for fragment in fragments])
    score = sum(f.score * f.area for f in fragments) / sum(f.area for f in fragments)
    return Instance(fragments[0].category_id, score, rle, rle_box_xyxy(rle), rle_area(rle))


def _without_explained(pieces: Sequence[Instance], complete: Sequence[Instance]) -> list[Instance]:
    overlaps = rle_overlaps([instance.rle for instance in (*pieces, *complete)])
    count = len(pieces)
    same = np.array(
        [[piece.category_id == other.category_id for other in complete] for piece in pieces],
        np.bool_,
    ).reshape(count, len(complete))
    shares = overlaps[:count, count:] / np.maximum(overlaps.diagonal()[:count, None], 1)
    return [
        piece
        for piece, gone in zip(pieces, same & (shares > _EXPLAINED), strict=True)
        if not gone.any()
    ]
