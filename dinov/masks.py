"""Binary masks in original-image pixels: from prompts, to and from RLE and polygons.

Coordinates are pixel edges: the pixel in column 3 spans x from 3 to 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, assert_never

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from dinov.errors import InvalidPrompt
from dinov.types import BoxXYXY, Instance, Mask, Prompt, PromptType, Rle, SizeHW

_LARGEST_COORDINATE = 1e6


def rasterise(prompt: Prompt, size_hw: SizeHW) -> Mask:
    """Turn one prompt into the mask of the pixels it marks, clipped to the image.

    A point marks the pixel it falls in. A box marks every pixel it touches. A scribble is a line
    of ``prompt.width`` pixels (at least 1) with round ends. Polygon and mask prompts are filled.

    Returns:
        [H, W] bool with at least one true pixel.

    Raises:
        InvalidPrompt: if the points have the wrong number or form, or no pixel is marked.
    """
    points = _checked_points(prompt)
    match prompt.type:
        case PromptType.POINT:
            mask = _point_mask(points[0], size_hw)
        case PromptType.BOX:
            mask = _box_mask(points, size_hw)
        case PromptType.SCRIBBLE:
            mask = _scribble_mask(points, prompt.width, size_hw)
        case PromptType.POLYGON:
            mask = mask_of_polygons([list(prompt.points)], size_hw)
        case PromptType.MASK:
            mask = _rle_mask(prompt.rle, size_hw)
        case _:
            assert_never(prompt.type)
    if not mask.any():
        raise InvalidPrompt(
            f"The {prompt.type} prompt lies outside the {size_hw[1]}x{size_hw[0]} image or has no "
            "area. Draw it again on the object."
        )
    return mask


def encode_rle(mask: Mask) -> Rle:
    """Compress a mask [H, W] to COCO run-length encoding."""
    encoded = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return Rle(size=[int(side) for side in encoded["size"]], counts=encoded["counts"].decode())


def decode_rle(rle: Rle) -> Mask:
    """Expand a run-length encoding to a mask [H, W].

    Raises:
        ValueError: if the runs do not fill the size exactly.
    """
    height, width = rle["size"]
    runs = _runs(rle["counts"])
    # Checked here because pycocotools itself takes runs that stop short of the size.
    if runs.sum() != height * width:
        raise ValueError(f"The runs of the mask do not add up to its size {width}x{height}.")
    inside = np.arange(runs.size) % 2 == 1
    return np.ascontiguousarray(np.repeat(inside, runs).reshape(width, height).T)


def instance_of(mask: Mask, category_id: int, score: float) -> Instance:
    """Describe a found mask [H, W]: run lengths, tight box and area."""
    rle = encode_rle(mask)
    return Instance(category_id, score, rle, rle_box_xyxy(rle), rle_area(rle))


def encode_rle_inside(mask: Mask, top_left: tuple[int, int], size_hw: SizeHW) -> Rle:
    """Compress a mask [h, w] whose first pixel is row and column ``top_left`` of a larger image.

    The larger mask is never laid out: an image may be hundreds of times the size of its part.
    """
    (top, left), (height, width) = top_left, size_hw
    # Runs go down the columns, as in COCO; a column of false above each keeps them apart.
    framed = np.pad(mask, ((1, 1), (0, 0))).T.astype(np.int8)  # [w, h + 2]
    columns, rows = np.diff(framed, axis=1).nonzero()
    borders = (columns + left) * height + rows + top
    # Where a run goes on at the top of the next column, the two borders are no borders.
    joins = np.flatnonzero(borders[1:] == borders[:-1])
    borders = np.delete(borders, np.concatenate([joins, joins + 1]))
    counts = np.trim_zeros(np.diff(borders, prepend=0, append=height * width), "b").tolist()
    encoded = coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    return Rle(size=[height, width], counts=encoded["counts"].decode())


def unite_rles(rles: Sequence[Rle]) -> Rle:
    """Everything that lies in at least one of some masks of one size."""
    merged = coco_mask.merge([_as_coco(rle) for rle in rles])
    return Rle(size=list(rles[0]["size"]), counts=merged["counts"].decode())


def intersect_rles(rles: Sequence[Rle]) -> Rle:
    """Everything that lies in all of some masks of one size."""
    merged = coco_mask.merge([_as_coco(rle) for rle in rles], intersect=True)
    return Rle(size=list(rles[0]["size"]), counts=merged["counts"].decode())


def subtract_rles(rle: Rle, others: Sequence[Rle]) -> Rle:
    """What lies in a mask and in none of some others of its size."""
    if not others:
        return rle
    return encode_rle(decode_rle(rle) & ~decode_rle(unite_rles(others)))


def crop_mask(rle: Rle, box: tuple[int, int, int, int]) -> Mask:
    """The part of a mask in rows ``top`` to ``bottom`` and columns ``left`` to ``right``.

    Only this part is laid out. The box is (top, left, bottom, right), the ends excluded.
    """
    top, left, bottom, right = box
    height = rle["size"][0]
    runs = np.cumsum(_runs(rle["counts"]))
    result = np.zeros((right - left, bottom - top), np.bool_)  # [w, h]
    if result.size:
        pixels = np.arange(left, right)[:, None] * height + np.arange(top, bottom)
        result = np.searchsorted(runs, pixels, side="right") % 2 == 1
    return np.ascontiguousarray(result.T)


def thick_line(points: NDArray[np.float64], thickness: float, size_hw: SizeHW) -> Mask:
    """The pixels [H, W] within half the thickness of the path through points [N, (x, y)]."""
    # The right and bottom border of the image still belong to its last pixels.
    path = np.floor(points).astype(np.int32) - (points == size_hw[::-1])
    untouched = np.ones(size_hw, np.uint8)
    # OpenCV draws no line through a single point, and draws thick lines thicker than asked.
    cv2.polylines(untouched, [path if len(path) > 1 else path.repeat(2, axis=0)], False, color=0)
    if untouched.all():
        return np.zeros(size_hw, np.bool_)
    distance = cv2.distanceTransform(untouched, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    marked: Mask = distance <= thickness / 2
    return marked


def rle_area(rle: Rle) -> int:
    """Count the true pixels."""
    return int(coco_mask.area(_as_coco(rle)))


def rle_box_xyxy(rle: Rle) -> BoxXYXY:
    """Return the tight box along pixel edges; (0, 0, 0, 0) for an empty mask."""
    x, y, width, height = (float(value) for value in coco_mask.toBbox(_as_coco(rle)))
    return x, y, x + width, y + height


def rle_iou(a: Rle, b: Rle) -> float:
    """Intersection over union of two masks of the same size; 0 if both are empty."""
    return float(coco_mask.iou([_as_coco(a)], [_as_coco(b)], [0])[0, 0])


def mask_iou(a: Mask, b: Mask) -> float:
    """Intersection over union of two masks of the same size; 0 if both are empty."""
    union = int(np.count_nonzero(a | b))
    return np.count_nonzero(a & b) / union if union else 0.0


def polygons_of(mask: Mask, *, split_holes: bool = False) -> list[list[float]] | None:
    """Trace a mask along its pixel edges, so that the enclosed area is exact.

    Args:
        mask: [H, W].
        split_holes: cut parts that have holes into parts that have none.

    Returns:
        One ring [x0, y0, x1, y1, ...] per 4-connected part, clockwise as displayed; a block of
        10x10 pixels at the origin runs from 0 to 10. Without ``split_holes``, None if a part has a
        hole: COCO unites the rings of an annotation, so a ring cannot be a hole.
    """
    rings = rings_of(mask)
    if any(signed_area(ring) < 0 for ring in rings):
        if not split_holes:
            return None
        rings = _trace_rings_without_holes(mask)
    return [[float(value) for value in ring.ravel()] for ring in rings]


def ring_of(mask: Mask) -> list[float]:
    """Trace a mask along its pixel edges as one ring, whatever parts and holes it has.

    Parts and holes are joined by lines that are walked both ways, so that the ring filled by the
    even-odd rule, as ``mask_of_polygons`` does with a single one, gives the mask back exactly.

    Returns:
        [x0, y0, x1, y1, ...]; empty for an empty mask.
    """
    rings = rings_of(mask)
    if not rings:
        return []
    joined = rings[0]
    for ring in rings[1:]:
        nearest = int(np.abs(joined - ring[0]).sum(axis=1).argmin())
        closed = np.concatenate([ring, ring[:1]])
        joined = np.concatenate([joined[: nearest + 1], closed, joined[nearest:]])
    return [float(value) for value in joined.ravel()]


def mask_of_polygons(polygons: Sequence[Sequence[float]], size_hw: SizeHW) -> Mask:
    """Fill polygons [x0, y0, x1, y1, ...] as COCO does: the union of all, clipped to the image.

    Raises:
        InvalidPrompt: if a polygon has fewer than three points, an odd number of coordinates, or
            some that are no pixels.
    """
    height, width = size_hw
    for polygon in polygons:
        if len(polygon) < 6 or len(polygon) % 2:
            raise InvalidPrompt(
                f"A polygon needs at least three points x, y; this one has {len(polygon)} numbers."
            )
        # The C code behind this trusts the numbers.
        if not np.all(np.abs(np.asarray(polygon, np.float64)) <= _LARGEST_COORDINATE):
            raise InvalidPrompt("A polygon has coordinates that are no pixels.")
    if not polygons:
        return np.zeros(size_hw, np.bool_)
    encoded = coco_mask.frPyObjects([list(polygon) for polygon in polygons], height, width)
    merged = coco_mask.merge(encoded)
    return decode_rle(Rle(size=[height, width], counts=merged["counts"].decode()))


def _checked_points(prompt: Prompt) -> NDArray[np.float64]:
    """Return the prompt's points [N, 2] after checking their number and values."""
    count = len(prompt.points)
    right_count = {
        PromptType.POINT: count == 2,
        PromptType.BOX: count == 4,
        PromptType.SCRIBBLE: count >= 2 and count % 2 == 0,
        PromptType.POLYGON: count >= 6 and count % 2 == 0,
        PromptType.MASK: count == 0,
    }
    if not right_count[prompt.type]:
        raise InvalidPrompt(
            f"A {prompt.type} prompt cannot have {count} coordinates. Expected: point x, y; box "
            "x0, y0, x1, y1; scribble one or more points; polygon three or more; mask none."
        )
    points = np.asarray(prompt.points, np.float64).reshape(-1, 2)
    if not np.all(np.abs(points) <= _LARGEST_COORDINATE):
        raise InvalidPrompt(f"The {prompt.type} prompt has coordinates that are no pixels.")
    return points


def _point_mask(point: NDArray[np.float64], size_hw: SizeHW) -> Mask:
    mask = np.zeros(size_hw, np.bool_)
    x, y = point
    if 0 <= x <= size_hw[1] and 0 <= y <= size_hw[0]:
        # The right and bottom border of the image still belong to its last pixels.
        mask[min(int(y), size_hw[0] - 1), min(int(x), size_hw[1] - 1)] = True
    return mask


def _box_mask(corners: NDArray[np.float64], size_hw: SizeHW) -> Mask:
    mask = np.zeros(size_hw, np.bool_)
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    if left < right and top < bottom:
        rows = slice(max(0, int(np.floor(top))), max(0, int(np.ceil(bottom))))
        columns = slice(max(0, int(np.floor(left))), max(0, int(np.ceil(right))))
        mask[rows, columns] = True
    return mask


def _scribble_mask(points: NDArray[np.float64], width: float | None, size_hw: SizeHW) -> Mask:
    thickness = 1.0 if width is None else width
    if not 0 < thickness <= max(size_hw):
        raise InvalidPrompt(f"A scribble cannot be {thickness} pixels wide on this image.")
    return thick_line(points, thickness, size_hw)


def _rle_mask(rle: Rle | None, size_hw: SizeHW) -> Mask:
    if rle is None:
        raise InvalidPrompt("A mask prompt needs a run-length encoded mask, and has none.")
    if tuple(rle["size"]) != size_hw:
        raise InvalidPrompt(f"The mask prompt is {rle['size']} in size, its image {list(size_hw)}.")
    try:
        return decode_rle(rle)
    except (ValueError, UnicodeEncodeError) as error:
        raise InvalidPrompt(f"The mask prompt cannot be read: {error}") from error


def _as_coco(rle: Rle) -> Any:
    return {"size": rle["size"], "counts": rle["counts"].encode("ascii")}


def _runs(counts: str) -> NDArray[np.int64]:
    """Read COCO's compressed counts: little-endian groups of 5 bits, one a character.

    Bit 0x20 says that the number goes on; numbers are in two's complement, and from the fourth on
    they are differences to the number before the last.
    """
    codes = np.frombuffer(counts.encode("ascii"), np.uint8).astype(np.int64) - 48
    if not codes.size:
        return codes
    ends = np.flatnonzero((codes & 0x20) == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends + 1 - starts
    if codes.min() < 0 or codes.max() > 63 or not ends.size or ends[-1] + 1 != codes.size:
        raise ValueError("The runs of the mask are damaged.")
    if lengths.max() > 8:
        raise ValueError("The mask is damaged: a run is longer than any image.")
    shifts = 5 * (np.arange(codes.size) - np.repeat(starts, lengths))
    runs: NDArray[np.int64] = np.add.reduceat((codes & 0x1F) << shifts, starts)
    runs -= np.where(codes[ends] & 0x10, np.int64(1) << (5 * lengths), 0)
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    if runs.min() < 0:
        raise ValueError("The runs of the mask are damaged: one is negative.")
    return runs


def rings_of(mask: Mask) -> list[NDArray[np.int64]]:
    """Follow the pixel edges around every 4-connected part and every hole.

    Returns:
        Rings [N, (x, y)] of corners; parts run clockwise as displayed, holes anticlockwise.
    """
    # Each edge is directed so that the mask lies to its right; directions are numbered clockwise:
    # 0 right, 1 down, 2 left, 3 up. Where two parts touch at a corner the path turns right, that
    # is, it stays with its own part.
    padded = np.pad(mask, 1)
    inner = padded[1:-1, 1:-1]
    beside = (padded[:-2, 1:-1], padded[1:-1, 2:], padded[2:, 1:-1], padded[1:-1, :-2])
    steps = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)])
    corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    stride = mask.shape[1] + 1

    # Every border edge gets the key 4 * (its first vertex) + its direction.
    keys = []
    for direction, neighbour in enumerate(beside):
        rows, columns = np.nonzero(inner & ~neighbour)
        dx, dy = corners[direction]
        keys.append(4 * ((rows + dy) * stride + columns + dx) + direction)
    edges = np.sort(np.concatenate(keys))
    if not edges.size:
        return []

    # An edge goes on with the first of: right turn, straight on, left turn, that exists.
    directions = edges % 4
    ends = edges // 4 + steps[directions] @ np.array([1, stride])
    successor = np.full(edges.size, -1)
    for turn in (-1, 0, 1):
        wanted = 4 * ends + (directions + turn) % 4
        place = np.minimum(np.searchsorted(edges, wanted), edges.size - 1)
        successor = np.where(edges[place] == wanted, place, successor)

    return [
        np.stack(np.divmod(edges[ring] // 4, stride)[::-1], axis=1)  # [N, (x, y)]
        for ring in _cycles(successor.tolist(), directions.tolist())
    ]


def _trace_rings_without_holes(mask: Mask) -> list[NDArray[np.int64]]:
    """Trace every part after cutting it from top to bottom at the left end of each of its holes.

    A hole then reaches the edge of its slab, and so belongs to the outside.
    """
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    rings = []
    for label, (left, top, width, height, _) in enumerate(boxes[1:].tolist(), start=1):
        part: Mask = labels[top : top + height, left : left + width] == label
        holes = [ring for ring in rings_of(part) if signed_area(ring) < 0]
        cuts = {0, width, *(int(hole[:, 0].min()) + 1 for hole in holes)}
        for start, end in pairwise(sorted(cuts)):
            rings += [ring + np.array([left + start, top]) for ring in rings_of(part[:, start:end])]
    return rings


def _cycles(successor: list[int], directions: list[int]) -> list[list[int]]:
    """Split the edges into closed paths, keeping only those where the direction changes."""
    unseen = [True] * len(successor)
    rings = []
    for first in range(len(successor)):
        ring = []
        edge = first
        while unseen[edge]:
            unseen[edge] = False
            following = successor[edge]
            if directions[following] != directions[edge]:
                ring.append(following)
            edge = following
        if ring:
            rings.append(ring)
    return rings


def signed_area(ring: NDArray[np.int64]) -> float:
    """Shoelace formula; positive if the ring runs clockwise as displayed (y down)."""
    x, y = ring.T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
