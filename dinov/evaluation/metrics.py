"""How well a found region covers the truth, at every score threshold at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dinov.types import Mask

Curve = NDArray[np.float64]
"""One value per threshold."""


@dataclass(frozen=True)
class Coverage:
    """The region found in one target, for each threshold [T].

    ``iou`` with the union of all true objects; ``area`` as a share of the image.
    """

    iou: Curve
    area: Curve


def instance_coverage(
    masks: Sequence[Mask], scores: Sequence[float], truth: Mask, thresholds: Curve
) -> Coverage:
    """Coverage of the union of all instances that score at least the threshold."""
    best_score = np.full(truth.shape, -np.inf)
    for mask, score in zip(masks, scores, strict=True):
        best_score[mask] = np.maximum(best_score[mask], score)
    return map_coverage(best_score, truth, thresholds)


def map_coverage(score_map: NDArray[np.floating], truth: Mask, thresholds: Curve) -> Coverage:
    """Coverage of the pixels [H, W] that score at least the threshold.

    The IoU of two empty regions is 1.
    """
    found = _count_at_least(score_map, thresholds)
    hit = _count_at_least(score_map[truth], thresholds)
    union = found + np.count_nonzero(truth) - hit
    iou = np.where(union > 0, hit / np.maximum(union, 1), 1.0)
    return Coverage(iou, found / truth.size)


def _count_at_least(values: NDArray[np.floating], thresholds: Curve) -> Curve:
    """How many values reach each of the ascending thresholds."""
    reached = np.searchsorted(thresholds, values.ravel(), side="right")
    counts = np.bincount(reached, minlength=len(thresholds) + 1)
    below = np.cumsum(counts)[:-1]
    return (values.size - below).astype(np.float64)


def mean_over_categories(keys: Sequence[tuple[str, str]], values: NDArray[np.float64]) -> Curve:
    """Mean of [N, T] rows per (folder, category) key first, then over the keys: [T]."""
    order: dict[tuple[str, str], list[int]] = {}
    for row, key in enumerate(keys):
        order.setdefault(key, []).append(row)
    mean: Curve = np.mean([values[rows].mean(axis=0) for rows in order.values()], axis=0)
    return mean
