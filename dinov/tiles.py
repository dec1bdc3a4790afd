"""Large images: small objects are looked for in overlapping tiles, large ones in the whole image.

The model sees every picture at its input size, and on a large photo a small object is then a few
pixels. Each tile is segmented like a photo of its own, and what lies complete in it is an instance.
What a seam cuts is a fragment: it counts only together with what neighbours show of the same
object, and only if they do so behind every seam that cuts it. So nothing ends at a seam.

Whatever fits into the overlap is complete in some tile. What is larger, or found in no tile, is
known from the whole image. An object that several looks show, at a tile or at the whole, is
reported once. Tiles are parts of the image and no copies; its masks stay run-length encoded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dinov.errors import InvalidImage
from dinov.masks import decode_rle, encode_rle_inside, rle_area, rle_box_xyxy, unite_rles
from dinov.options import MIN_TILE, InstanceOptions, tile_side
from dinov.overlaps import rle_overlaps, without_duplicates, without_nested
from dinov.types import Image, Instance, Rle, Segmentation, SizeHW

OVERLAP_SHARE = 0.25
"""Of a tile's side; neighbours share at least so much."""

_MARGIN_SHARE = 0.02
"""Of a tile's side: masks that come nearer to a seam are cut by it, since edges are not exact."""

_AGREEMENT = 0.5
"""IoU, where two tiles overlap, from which two fragments are one object."""

_SEEN_AGAIN = 0.5
"""Share of the smaller one from which masks of one category from different looks are one object.
Within one look, masks that overlap so much can be two; the model has seen both there."""


@dataclass(frozen=True)
class Tile:
    """Rows ``top`` to ``bottom`` and columns ``left`` to ``right`` of an image, ends excluded."""

    top: int
    left: int
    bottom: int
    right: int

    def beyond(self, instance: Instance, size_hw: SizeHW) -> list[Tile]:
        """Where an instance of this tile goes on: a strip behind each seam that cuts it.

        Args:
            instance: in pixels of the image.
            size_hw: of the image; a side of the tile on its border is no seam.
        """
        x0, y0, x1, y1 = instance.box_xyxy
        left, top, right, bottom = math.floor(x0), math.floor(y0), math.ceil(x1), math.ceil(y1)
        margin = _MARGIN_SHARE * max(self.bottom - self.top, self.right - self.left)
        strips = []
        if self.top > 0 and y0 < self.top + margin:
            strips.append(Tile(self.top - 1, left, self.top, right))
        if self.left > 0 and x0 < self.left + margin:
            strips.append(Tile(top, self.left - 1, bottom, self.left))
        if self.bottom < size_hw[0] and y1 > self.bottom - margin:
            strips.append(Tile(self.bottom, left, self.bottom + 1, right))
        if self.right < size_hw[1] and x1 > self.right - margin:
            strips.append(Tile(top, self.right, bottom, self.right + 1))
        return strips

    def shows(self, part: Tile) -> bool:
        """Does all of a part of the image lie in this one?"""
        return (
            self.top <= part.top
            and self.left <= part.left
            and part.bottom <= self.bottom
            and part.right <= self.right
        )

    def rle(self, size_hw: SizeHW) -> Rle:
        """The tile as a mask of the image."""
        whole = np.ones((self.bottom - self.top, self.right - self.left), np.bool_)
        return encode_rle_inside(whole, (self.top, self.left), size_hw)


def tiles_of(size_hw: SizeHW, side: int) -> list[Tile]:
    """Cover an image with tiles of one size that overlap evenly, row by row."""
    rows, columns = (_starts(length, side) for length in size_hw)
    height, width = size_hw
    return [
        Tile(top, left, min(top + side, height), min(left + side, width))
        for top in rows
        for left in columns
    ]


def segment_all(
    images: Sequence[Image],
    segment: Callable[[Sequence[Image]], Sequence[Segmentation]],
    tile: int | Literal["auto"],
    options: InstanceOptions,
    input_size: int,
) -> list[Segmentation]:
    """Segment several images in tiles, those that are large enough for it.

    Args:
        images: [H, W, 3] uint8 RGB each.
        segment: finds all instances in each of several images of any size.
        tile: the side of tiles, in pixels of the images; "auto" chooses it for each of them.
        options: which of the found masks are one object.
        input_size: to which the model resizes images.
    """
    sides = [tile_side(i.shape[:2], input_size) if tile == "auto" else tile for i in images]
    pairs = list(zip(images, sides, strict=True))
    whole = iter(segment([image for image, side in pairs if side is None]))
    return [
        next(whole) if side is None else segment_in_tiles(image, segment, side, options)
        for image, side in pairs
    ]


def segment_in_tiles(
    image: Image,
    segment: Callable[[Sequence[Image]], Sequence[Segmentation]],
    side: int,
    options: InstanceOptions,
) -> Segmentation:
    """Segment a whole image and its tiles, and merge what is found.

    Args:
        image: [H, W, 3] uint8 RGB.
        segment: finds all instances in each of several images of any size.
        side: of a tile, in pixels of the image.
        options: which of the found masks are one object.

    Raises:
        InvalidImage: if the tiles are too small.
    """
    if side < MIN_TILE:
        raise InvalidImage(f"Tiles of {side} pixels are too small. Use {MIN_TILE} or more.")
    size_hw = (image.shape[0], image.shape[1])
    tiles = tiles_of(size_hw, side)
    if len(tiles) == 1:
        return segment([image])[0]
    parts = [image[tile.top : tile.bottom, tile.left : tile.right] for tile in tiles]
    whole, *seen_in_tiles = segment([image, *parts])
    found: list[tuple[Tile, Instance]] = []
    emptied: list[Instance] = []
    for tile, seen in zip(tiles, seen_in_tiles, strict=True):
        found += [(tile, _placed(instance, tile, size_hw)) for instance in seen.instances]
        emptied += [_placed(instance, tile, size_hw) for instance in seen.emptied]
    return replace(merge(whole, found, options), emptied=tuple(emptied))


def merge(
    whole: Segmentation, found: Sequence[tuple[Tile, Instance]], options: InstanceOptions
) -> Segmentation:
    """Make one instance of each object that was found in the whole image or in tiles.

    Args:
        whole: found in the whole image.
        found: with the tile that showed it; all masks are of the size of the image.
        options: which masks are one object.
    """
    size_hw = whole.size_hw
    complete = [(tile, instance) for tile, instance in found if not tile.beyond(instance, size_hw)]
    cut = [(tile, instance) for tile, instance in found if tile.beyond(instance, size_hw)]
    # Tiles come first: they show more, so of equals their mask stays.
    looks: list[tuple[object, Instance]] = [
        *complete,
        *enumerate(_joined(cut, size_hw)),
        *(("whole", instance) for instance in whole.instances),
    ]
    kept = _one_per_object(looks, options)
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


def _one_per_object(
    looks: Sequence[tuple[object, Instance]], options: InstanceOptions
) -> list[Instance]:
    """Of each object the best instance, best first; each comes with the look that showed it."""
    instances = [instance for _, instance in looks]
    overlaps = rle_overlaps([instance.rle for instance in instances])
    scores = np.array([instance.score for instance in instances])
    categories = np.array([instance.category_id for instance in instances], np.int64)
    numbers = {look: number for number, (look, _) in enumerate(looks)}
    look = np.array([numbers[look] for look, _ in looks], np.int64)
    nested = options.containment_threshold
    thresholds = np.where(look[:, None] == look, nested, min(nested, _SEEN_AGAIN))

    kept = without_duplicates(overlaps, scores, options.nms_threshold)
    among = np.ix_(kept, kept)
    best = without_nested(overlaps[among], scores[kept], categories[kept], thresholds[among])
    return [instances[kept[i]] for i in best]


def _joined(cut: Sequence[tuple[Tile, Instance]], size_hw: SizeHW) -> list[Instance]:
    """One instance for each set of fragments that show each other's continuation at every seam."""
    agreeing = [set(np.flatnonzero(row).tolist()) for row in _agreement(cut, size_hw)]
    behind = [  # by fragment and seam: those that show how it goes on
        [{j for j in agreeing[i] if cut[j][0].shows(strip)} for strip in tile.beyond(part, size_hw)]
        for i, (tile, part) in enumerate(cut)
    ]
    left = set(range(len(cut)))
    while lost := {i for i in left if not all(there & left for there in behind[i])}:
        left -= lost
    joined = []
    while left:
        group, new = set[int](), {left.pop()}
        while new:
            group |= new
            new = left & set[int]().union(*(agreeing[i] for i in new))
            left -= new
        joined.append(_united([cut[i][1] for i in sorted(group)]))
    return joined


def _agreement(cut: Sequence[tuple[Tile, Instance]], size_hw: SizeHW) -> NDArray[np.bool_]:
    """[N, N]: are two fragments of different tiles the same, as far as both tiles show them?"""
    tiles = list(dict.fromkeys(tile for tile, _ in cut))
    count, by_tile = len(cut), [tiles.index(tile) for tile, _ in cut]
    overlaps = rle_overlaps([i.rle for _, i in cut] + [tile.rle(size_hw) for tile in tiles])
    shared = overlaps[:count, :count]
    visible = overlaps[:count, count:][:, by_tile]  # [i, j] of i in the tile of j
    iou = shared / np.maximum(visible + visible.T - shared, 1)
    categories = np.array([instance.category_id for _, instance in cut], np.int64)
    apart = np.not_equal.outer(by_tile, by_tile)
    same: NDArray[np.bool_] = (iou >= _AGREEMENT) & (categories[:, None] == categories) & apart
    return same


def _united(fragments: Sequence[Instance]) -> Instance:
    """All of them as one; each counts for the score by its area."""
    rle = unite_rles([fragment.rle for fragment in fragments])
    score = sum(f.score * f.area for f in fragments) / sum(f.area for f in fragments)
    return Instance(fragments[0].category_id, score, rle, rle_box_xyxy(rle), rle_area(rle))
