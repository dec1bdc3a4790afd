"""The paper's dense evaluation, exactly: a full bank of categories to maps and instances.

It takes every pixel for one of the categories, so it is for data that is labelled throughout. For
photos in which most things have no category, ``postprocess`` and ``panoptic`` are what to use.
All mask logits are at the size of the output (see ``postprocess.resize_mask_logits``).

Source: parity notes of the published evaluation, section 6.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dinov.boxes import cxcywh_to_xyxy
from dinov.images import ImageTransform
from dinov.postprocess import mask_quality

TEMPERATURE = 0.06
"""Divides the sigmoid scores before they compete in a softmax."""


@dataclass(frozen=True)
class DenseSegment:
    """One region of a panoptic map: its number there and its column of the logits."""

    id: int
    category: int
    is_thing: bool


@dataclass(frozen=True)
class DenseInstances:
    """Pairs of a query and a category, best score first."""

    scores: Tensor  # [N]
    categories: Tensor  # [N] columns of the logits
    boxes_xyxy: Tensor  # [N, 4] pixels of the output
    masks: Tensor  # [N, H, W] bool


def semantic_map(logits: Tensor, mask_logits: Tensor) -> Tensor:
    """[Q, K] raw logits and [Q, H, W] mask logits to [K, H, W]: how much of each category."""
    return torch.einsum("qk,qhw->khw", _competing(logits), mask_logits.sigmoid())


def panoptic_map(
    logits: Tensor,
    mask_logits: Tensor,
    is_thing: Sequence[bool],
    *,
    object_threshold: float = 0.25,
    overlap_threshold: float = 0.8,
) -> tuple[Tensor, tuple[DenseSegment, ...]]:
    """Give each pixel to the query that claims it most; things stay apart, stuff is united.

    Args:
        logits: [Q, K] raw.
        mask_logits: [Q, H, W].
        is_thing: of the K categories.
        object_threshold: queries whose best sigmoid score is not above it are left out.
        overlap_threshold: a query that is left with a smaller share of its mask is dropped.

    Returns:
        [H, W] int32 with the segments' ids, 0 where there is none, and the segments.
    """
    kept = logits.sigmoid().amax(1) > object_threshold
    scores, categories = _competing(logits[kept]).max(1)
    probabilities = mask_logits[kept].sigmoid()
    result = torch.zeros(mask_logits.shape[1:], dtype=torch.int32, device=mask_logits.device)
    segments: list[DenseSegment] = []
    stuff: dict[int, int] = {}
    if not len(scores):
        return result, ()
    owner = (scores[:, None, None] * probabilities).argmax(0)
    for query, category in enumerate(categories.tolist()):
        inside = probabilities[query] >= 0.5
        owned = owner == query
        visible = owned & inside
        if not visible.any() or int(owned.sum()) / int(inside.sum()) < overlap_threshold:
            continue
        if category not in stuff:
            segments.append(DenseSegment(len(segments) + 1, category, is_thing[category]))
            number = len(segments)
            if not is_thing[category]:
                stuff[category] = number
        result[visible] = stuff.get(category, len(segments))
    return result, tuple(segments)


def dense_instances(
    logits: Tensor,
    boxes_cxcywh: Tensor,
    mask_logits: Tensor,
    transform: ImageTransform,
    *,
    is_thing: Sequence[bool],
    max_pairs: int = 300,
) -> DenseInstances:
    """Rank all pairs of a query and a category; a query may stand for several categories.

    Args:
        logits: [Q, K] raw.
        boxes_cxcywh: [Q, 4] in 0–1 of the padded input.
        mask_logits: [Q, H, W] at ``transform.original_hw``.
        transform: how the image became the input.
        is_thing: of the K categories; pairs with stuff are left out after ranking.
        max_pairs: so many of the best pairs take part.
    """
    categories_count = logits.shape[1]
    flat = logits.sigmoid().flatten()
    scores, pairs = flat.topk(min(max_pairs, len(flat)))
    queries, categories = pairs // categories_count, pairs % categories_count
    things = torch.tensor(list(is_thing), device=logits.device)[categories]
    scores, queries, categories = scores[things], queries[things], categories[things]
    (height, width), (input_h, input_w) = transform.original_hw, transform.input_hw
    padded_h, padded_w = transform.padded_hw
    scale = boxes_cxcywh.new_tensor([padded_w / input_w * width, padded_h / input_h * height])
    scores = scores * mask_quality(mask_logits)[queries]
    order = scores.argsort(descending=True)
    queries = queries[order]
    return DenseInstances(
        scores[order],
        categories[order],
        cxcywh_to_xyxy(boxes_cxcywh[queries]) * scale.repeat(2),
        mask_logits[queries] > 0,
    )


def _competing(logits: Tensor) -> Tensor:
    return (logits.sigmoid() / TEMPERATURE).softmax(1)
