"""Prompts as an annotator would draw them, made from a true mask."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dinov.masks import encode_rle, rasterise
from dinov.types import Mask, Prompt, PromptType

PROMPT_TYPES = (PromptType.MASK, PromptType.BOX, PromptType.SCRIBBLE, PromptType.POINT)
_BOX_JITTER = 0.05
_STROKE_SHARE = (0.006, 0.025)
"""Width of a scribble over the longest side of the image."""


def sample_prompt(
    mask: Mask, kind: PromptType, rng: np.random.Generator, *, category_id: int = 1
) -> Prompt:
    """Mark the object of a non-empty mask [H, W], in its pixels.

    A point lies well inside, a box is drawn a little too large or small, a scribble is one stroke
    through the inside that may slip over the edge, and a mask is the truth itself.
    """
    match kind:
        case PromptType.POINT:
            return Prompt(category_id, kind, _inner_points(mask, 1, rng))
        case PromptType.BOX:
            return Prompt(category_id, kind, _loose_box(mask, rng))
        case PromptType.SCRIBBLE:
            width = max(1.0, float(rng.uniform(*_STROKE_SHARE)) * max(mask.shape))
            path = _smooth(_inner_points(mask, int(rng.integers(2, 5)), rng))
            return Prompt(category_id, kind, path, width=width)
        case _:
            return Prompt(category_id, PromptType.MASK, rle=encode_rle(mask))


def sample_prompt_mask(mask: Mask, kind: PromptType, rng: np.random.Generator) -> Mask:
    """Draw a prompt and rasterise it: [H, W] bool with at least one true pixel."""
    if kind is PromptType.MASK:
        return mask
    return rasterise(sample_prompt(mask, kind, rng), (mask.shape[0], mask.shape[1]))


def _inner_points(mask: Mask, count: int, rng: np.random.Generator) -> tuple[float, ...]:
    """Points x, y drawn with a chance that grows with the distance to the edge."""
    rows, columns = _cut_out(mask)
    inside = np.pad(mask[rows, columns], 1).astype(np.uint8)
    depth: NDArray[np.float64] = cv2.distanceTransform(inside, cv2.DIST_L2, 3).astype(np.float64)
    chance = depth.ravel() ** 2
    picked = rng.choice(chance.size, size=count, p=chance / chance.sum())
    y, x = np.divmod(picked, depth.shape[1])
    # One is taken off for the padding; half a pixel leads to the pixel's centre.
    points = np.stack([x - 0.5 + columns.start, y - 0.5 + rows.start], axis=1)
    return tuple(float(value) for value in points.ravel())


def _loose_box(mask: Mask, rng: np.random.Generator) -> tuple[float, ...]:
    rows, columns = _cut_out(mask)
    corners = np.array([columns.start, rows.start, columns.stop, rows.stop], np.float64)
    sides = np.array([columns.stop - columns.start, rows.stop - rows.start] * 2)
    loose = corners + rng.uniform(-_BOX_JITTER, _BOX_JITTER, 4) * sides
    limits = np.array([mask.shape[1], mask.shape[0]] * 2)
    return tuple(float(value) for value in np.clip(loose, 0, limits))


def _smooth(points: tuple[float, ...]) -> tuple[float, ...]:
    """Round the corners of a path by cutting each twice (Chaikin)."""
    path = np.asarray(points).reshape(-1, 2)
    for _ in range(2):
        first, second = path[:-1], path[1:]
        cut = np.stack([0.75 * first + 0.25 * second, 0.25 * first + 0.75 * second], axis=1)
        path = np.concatenate([path[:1], cut.reshape(-1, 2), path[-1:]])
    return tuple(float(value) for value in path.ravel())


def _cut_out(mask: Mask) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
