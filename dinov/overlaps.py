"""Which of many overlapping masks to keep: one per object. Pure functions on areas of overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from torch import Tensor

from dinov.masks import rle_area
from dinov.types import Rle

Areas = NDArray[np.float64]
"""[N, N] pixels that masks have in common; each mask's own area on the diagonal."""

_GROUP_COVERS = 0.5
"""Parts that cover less of a whole do not explain it."""
_GROUP_SCORE = 0.6
"""Parts whose mean score is a smaller share of the whole's do not replace it."""
_APART = 0.2
"""Parts that share more of the smaller one are not different objects."""


def mask_overlaps(mask_logits: Tensor) -> Areas:
    """[N, h, w] logits to the areas of overlap of what is positive."""
    flat = (mask_logits > 0).flatten(1).to(torch.float32)
    return (flat @ flat.T).cpu().double().numpy()


def rle_overlaps(rles: Sequence[Rle]) -> Areas:
    """The same of encoded masks of one size."""
    if not rles:
        return np.zeros((0, 0))
    encoded = [{"size": rle["size"], "counts": rle["counts"].encode("ascii")} for rle in rles]
    # Of a "crowd", pycocotools gives the share of the first mask that lies in the second.
    shares = np.asarray(coco_mask.iou(encoded, encoded, [1] * len(rles)))
    areas = np.array([rle_area(rle) for rle in rles], np.float64)
    return np.asarray(shares * areas[:, None])


def one_per_object(
    overlaps: Areas,
    ranks: NDArray[np.floating],
    categories: NDArray[np.integer],
    *,
    nms_threshold: float,
    containment_threshold: float,
) -> list[int]:
    """``without_duplicates`` over all masks, then ``without_nested``; best first."""
    kept = without_duplicates(overlaps, ranks, nms_threshold)
    best = without_nested(
        overlaps[np.ix_(kept, kept)], ranks[kept], categories[kept], containment_threshold
    )
    return [kept[i] for i in best]


def without_duplicates(overlaps: Areas, ranks: NDArray[np.floating], threshold: float) -> list[int]:
    """Keep the best of masks that cover the same object (mask NMS).

    Args:
        overlaps: of N masks.
        ranks: [N], the highest is the best.
        threshold: of two masks with a larger IoU, the worse one goes.

    Returns:
        The kept ones, best first.
    """
    areas = overlaps.diagonal()
    iou = overlaps / np.maximum(areas[:, None] + areas - overlaps, 1)
    kept: list[int] = []
    for i in np.argsort(-ranks, kind="stable").tolist():
        if not (iou[i, kept] > threshold).any():
            kept.append(i)
    return kept


def without_nested(
    overlaps: Areas,
    ranks: NDArray[np.floating],
    categories: NDArray[np.integer],
    threshold: float | NDArray[np.floating],
) -> list[int]:
    """Of masks of one category inside each other, keep either the whole or its parts.

    A mask that lies by more than ``threshold`` in another one cannot be an object beside it. A
    whole goes if two or more parts, apart from each other, cover half of it and are nearly as
    sure: it was a blob over several objects. Otherwise the better one stays: a whole without its
    details, or an object without the blob around it. On the validation photos this rule, against
    none, raises F1 at the shipped threshold from 0.23 to 0.27 and leaves under half of the false
    instances.

    Args:
        overlaps: of N masks.
        ranks: [N] not negative, the highest is the best.
        categories: [N].
        threshold: 1 keeps all; [N, N] if it is not the same for all pairs.

    Returns:
        The kept ones, best first.
    """
    areas = np.maximum(overlaps.diagonal(), 1)
    same = categories[:, None] == categories
    smaller = np.minimum(areas[:, None], areas)
    nested = same & (overlaps / smaller > threshold)
    order = np.argsort(-ranks, kind="stable")
    alive = np.ones(len(ranks), np.bool_)
    for whole in np.argsort(areas, kind="stable").tolist():
        parts: list[int] = []
        for i in order.tolist():
            inside = alive[i] and nested[i, whole] and areas[i] < areas[whole]
            if inside and not (overlaps[i, parts] / smaller[i, parts] > _APART).any():
                parts.append(i)
        covered = overlaps[parts, whole].sum() >= _GROUP_COVERS * areas[whole]
        if len(parts) > 1 and covered and ranks[parts].mean() >= _GROUP_SCORE * ranks[whole]:
            alive[whole] = False
    kept: list[int] = []
    for i in order[alive[order]].tolist():
        if not nested[i, kept].any():
            kept.append(i)
    return kept
