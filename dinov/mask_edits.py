"""How an annotator corrects a mask: brush, cut, outline, holes, specks. Pure functions.

Masks are [H, W] and never changed in place. Coordinates are pixel edges, as in ``masks``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from dinov.masks import (
    crop_mask,
    encode_rle_inside,
    mask_of_polygons,
    rings_of,
    rle_box_xyxy,
    signed_area,
    thick_line,
)
from dinov.types import BoxXYXY, Mask, Rle, SizeHW

Labels = NDArray[np.int32]
"""[H, W], 0 where there is nothing."""

_SLIVER = 0.005
"""A piece with a smaller share of its mask is what a stroke along the border splits off."""

_MARGIN = 2
"""Pixels around a window, so that what touches its border is not cut off by it."""


@dataclass(frozen=True)
class Stroke:
    """One stroke of a brush of ``width`` pixels along flat ``points``; it adds, or erases."""

    points: tuple[float, ...]
    width: float
    erases: bool = False


def change_rle(rle: Rle, change: Callable[[Mask], Mask]) -> Rle:
    """Change an encoded mask inside its box, without laying out the whole image."""
    window = _window(rle)
    return encode_rle_inside(change(crop_mask(rle, window)), window[:2], _size_hw(rle))


def brush_rle(rle: Rle, strokes: Sequence[Stroke]) -> Rle:
    """Add to an encoded mask what strokes paint over, or take it away, one after the other."""
    window = _window(rle, *(_extent(stroke) for stroke in strokes))
    top, left = window[:2]
    return encode_rle_inside(
        brushed(crop_mask(rle, window), [_shifted(stroke, -left, -top) for stroke in strokes]),
        (top, left),
        _size_hw(rle),
    )


def cut_rle(rle: Rle, points: Sequence[float]) -> list[Rle]:
    """``cut`` an encoded mask along flat points; a single piece if it is not cut through."""
    window = _window(rle)
    top, left = window[:2]
    shifted = _shifted(Stroke(tuple(points), 1), -left, -top).points
    pieces = cut(crop_mask(rle, window), shifted)
    return [encode_rle_inside(piece, (top, left), _size_hw(rle)) for piece in pieces]


def connected_rles(rle: Rle) -> list[Rle]:
    """The ``connected_parts`` of an encoded mask."""
    window = _window(rle)
    parts = connected_parts(crop_mask(rle, window))
    return [encode_rle_inside(part, window[:2], _size_hw(rle)) for part in parts]


def brushed(mask: Mask, strokes: Sequence[Stroke]) -> Mask:
    """Add to a mask what strokes paint over, or take it away, one after the other."""
    result = mask.copy()
    for stroke in strokes:
        points = np.asarray(stroke.points, np.float64).reshape(-1, 2)
        painted = thick_line(points, stroke.width, (mask.shape[0], mask.shape[1]))
        result = result & ~painted if stroke.erases else result | painted
    return result


def fill_rings(rings: Sequence[Sequence[float]], size_hw: SizeHW) -> Mask:
    """Fill closed outlines by the even-odd rule: a ring inside another one is a hole.

    Raises:
        InvalidPrompt: if a ring has fewer than three points, or coordinates that are no pixels.
    """
    mask = np.zeros(size_hw, np.bool_)
    for ring in rings:
        mask ^= mask_of_polygons([ring], size_hw)
    return mask


def fill_holes(mask: Mask) -> Mask:
    """Fill everything that the mask encloses."""
    outside = np.pad(~mask, 1, constant_values=True).astype(np.uint8)
    # 4-connected, as parts are: an opening that is only a corner wide closes the hole.
    _, labels = cv2.connectedComponents(outside, connectivity=4)
    filled: Mask = labels[1:-1, 1:-1] != labels[0, 0]
    return filled


def remove_specks(mask: Mask, smallest: int) -> Mask:
    """Drop the connected parts of fewer than ``smallest`` pixels; the largest always stays."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    areas = stats[:, cv2.CC_STAT_AREA]
    kept = areas >= smallest
    kept[0] = False
    if count > 1:
        kept[1 + areas[1:].argmax()] = True
    remaining: Mask = kept[labels]
    return remaining


def simplify(mask: Mask, tolerance: float) -> Mask:
    """Straighten the outline; it moves by at most ``tolerance`` pixels. Nothing vanishes."""
    size_hw = (mask.shape[0], mask.shape[1])
    result = np.zeros(size_hw, np.bool_)
    # From the outside in: a part, its holes, the islands in these.
    for ring in sorted(rings_of(mask), key=lambda ring: -abs(signed_area(ring))):
        simpler = cv2.approxPolyDP(ring.astype(np.int32), tolerance, closed=True)[:, 0]
        chosen = simpler if len(simpler) >= 3 else ring
        inside = mask_of_polygons([chosen.ravel().tolist()], size_hw)
        result = result | inside if signed_area(ring) > 0 else result & ~inside
    return result if result.any() else mask.copy()


def cut(mask: Mask, points: Sequence[float]) -> list[Mask]:
    """Cut a mask along a stroke through flat points [x0, y0, x1, y1, ...].

    Every pixel goes to exactly one piece: those under the stroke to the nearest one, and so do
    parts that the stroke does not divide, and slivers.

    Returns:
        The pieces, largest first; a single one, the mask itself, if the stroke does not cut through
        it.
    """
    path = np.floor(np.asarray(points, np.float64).reshape(-1, 2)).astype(np.int32)
    line = np.zeros(mask.shape, np.uint8)
    # A line that is connected by corners keeps 4-connected parts apart.
    cv2.polylines(line, [path], isClosed=False, color=1, thickness=1, lineType=cv2.LINE_8)
    pieces = _divided(mask, line > 0)
    if not pieces:
        return [mask.copy()]
    labels = np.zeros(mask.shape, np.int32)
    for number, piece in enumerate(pieces, 1):
        labels[piece] = number
    nearest = _nearest_label(labels)
    return _largest_first([mask & (nearest == number) for number in range(1, len(pieces) + 1)])


def connected_parts(mask: Mask) -> list[Mask]:
    """The connected parts of a mask, largest first; those that touch at a corner are one."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8))
    return _largest_first([labels == number for number in range(1, count)])


def _divided(mask: Mask, line: Mask) -> list[Mask]:
    """The pieces of those parts of a mask that a line divides, without slivers."""
    _, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    _, rest = cv2.connectedComponents((mask & ~line).astype(np.uint8), connectivity=4)
    least = max(1.0, _SLIVER * np.count_nonzero(mask))
    pieces = []
    for part in np.unique(parts[mask & line]).tolist():
        numbers, areas = np.unique(rest[(parts == part) & (rest > 0)], return_counts=True)
        large = numbers[areas >= least].tolist()
        if len(large) > 1:
            pieces += [rest == number for number in large]
    return pieces


def _nearest_label(labels: Labels) -> Labels:
    """Give every pixel the label of the nearest pixel that has one."""
    _, nearest = cv2.distanceTransformWithLabels(
        (labels == 0).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    # OpenCV numbers the labelled pixels in an order of its own.
    table = np.zeros(nearest.max() + 1, np.int32)
    table[nearest[labels > 0]] = labels[labels > 0]
    return np.asarray(table[nearest])


def _largest_first(masks: list[Mask]) -> list[Mask]:
    return sorted(masks, key=lambda mask: -int(np.count_nonzero(mask)))


def _size_hw(rle: Rle) -> SizeHW:
    height, width = rle["size"]
    return height, width


def _window(rle: Rle, *boxes: BoxXYXY) -> tuple[int, int, int, int]:
    """(top, left, bottom, right) of what holds a mask and boxes, with a margin, in the image."""
    height, width = rle["size"]
    own = rle_box_xyxy(rle)
    corners = np.array([box for box in (own, *boxes) if box[0] < box[2]] or [own])  # [N, 4]
    left, top = np.floor(corners[:, :2].min(axis=0)).astype(int) - _MARGIN
    right, bottom = np.ceil(corners[:, 2:].max(axis=0)).astype(int) + _MARGIN
    clip = np.clip([top, left, bottom, right], 0, [height, width, height, width])
    return int(clip[0]), int(clip[1]), int(clip[2]), int(clip[3])


def _extent(stroke: Stroke) -> BoxXYXY:
    xs, ys, reach = stroke.points[::2], stroke.points[1::2], stroke.width / 2 + 1
    return min(xs) - reach, min(ys) - reach, max(xs) + reach, max(ys) + reach


def _shifted(stroke: Stroke, dx: float, dy: float) -> Stroke:
    points = tuple(value + (dy if i % 2 else dx) for i, value in enumerate(stroke.points))
    return replace(stroke, points=points)
