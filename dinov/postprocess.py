"""From logits to instances in original-image pixels. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from dinov.images import ImageTransform
from dinov.masks import instance_of
from dinov.options import DEFAULT_INSTANCE_OPTIONS, InstanceOptions
from dinov.overlaps import mask_overlaps, one_per_object
from dinov.types import Mask, Segmentation, SizeHW

MASK_STRIDE = 4
"""Mask logits have one value per 4 x 4 pixels of the padded input."""

_MOST_SHRINKING_ON_GPUS = 32
"""Times. They keep the weights of all pixels that make one in 48 KB, which end at 47."""

REFERENCE_DEMO_THRESHOLDS = (0.12, 0.08, 0.04, 1e-7)


def category_probabilities(
    logits: Tensor, category_ids: Sequence[int], negative_ids: Sequence[int]
) -> Tensor:
    """Sigmoid scores per category, zero where the category's negative example fits better.

    Args:
        logits: [Q, K + N] raw, the categories first, then the negatives.
        category_ids: the K categories in the order of the logits.
        negative_ids: the N of them that have a negative, in the order of the logits.

    Returns:
        [Q, K].
    """
    probabilities = logits.sigmoid()
    positive, negative = probabilities.split([len(category_ids), len(negative_ids)], dim=1)
    result = positive.clone()
    for column, category_id in enumerate(negative_ids):
        k = category_ids.index(category_id)
        result[:, k] = torch.where(negative[:, column] > positive[:, k], 0.0, positive[:, k])
    return result


def mask_quality(mask_logits: Tensor) -> Tensor:
    """[Q, h, w] logits to [Q]: mean probability inside each mask, 0 for an empty one."""
    inside = mask_logits > 0
    total = (mask_logits.sigmoid() * inside).sum((1, 2))
    return total / (inside.sum((1, 2)) + 1e-6)


def to_instances(
    probabilities: Tensor,
    mask_logits: Tensor,
    category_ids: Sequence[int],
    transform: ImageTransform,
    *,
    score_thresholds: Sequence[float],
    options: InstanceOptions = DEFAULT_INSTANCE_OPTIONS,
) -> Segmentation:
    """Choose the proposals worth showing and bring them to the original size.

    The score is the best category's probability times the mask's quality, as in the paper's
    instance segmentation. An empty result is a result: nothing is lowered to find something.

    Args:
        probabilities: [Q, K] of each proposal and category.
        mask_logits: [Q, h, w] at stride 4 of the padded input.
        category_ids: the K categories in the order of the columns.
        transform: how the image became the input.
        score_thresholds: of the K categories; proposals below that of their best one are left out.
        options: which masks are one object, and how they are tidied.
    """
    best, column = probabilities.max(1)
    scores = best * mask_quality(mask_logits)
    thresholds = scores.new_tensor(score_thresholds)[column]
    candidates = (scores >= thresholds.clamp(min=1e-6)).nonzero().flatten()
    kept = one_per_object(
        mask_overlaps(mask_logits[candidates]),
        scores[candidates].float().cpu().numpy(),
        column[candidates].cpu().numpy(),
        nms_threshold=options.nms_threshold,
        containment_threshold=options.containment_threshold,
    )
    chosen = candidates[kept][: options.max_instances]
    masks = mask_logits[chosen].float().cpu().numpy()
    found = [
        instance_of(
            upsample_mask(without_specks(logits, options.speck_share), transform),
            category_ids[k],
            score,
        )
        for logits, score, k in zip(
            masks, scores[chosen].tolist(), column[chosen].tolist(), strict=True
        )
    ]
    return Segmentation(
        transform.original_hw,
        tuple(instance for instance in found if instance.area),
        tuple(instance for instance in found if not instance.area),
    )


def without_specks(logits: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """Change the sign of small parts and small holes of a mask, [h, w] logits to [h, w].

    Args:
        logits: of one mask, positive inside.
        share: of the mask's area, below which a part or a hole is small. Holes at the border stay.
    """
    inside = (logits > 0).astype(np.uint8)
    least = share * int(inside.sum())
    _, parts, part_stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
    # A frame joins everything outside that touches the border, so that it is no hole.
    outside = np.pad(1 - inside, 1, constant_values=1)
    _, holes, hole_stats, _ = cv2.connectedComponentsWithStats(outside, connectivity=4)
    small_part = part_stats[:, cv2.CC_STAT_AREA] < least
    small_hole = hole_stats[:, cv2.CC_STAT_AREA] < least
    small_part[0] = small_hole[0] = False  # number 0 is whatever was not asked for
    flipped = small_part[parts] | small_hole[holes][1:-1, 1:-1]
    return np.where(flipped, -logits, logits)


def upsample_mask(logits: NDArray[np.float32], transform: ImageTransform) -> Mask:
    """[h, w] mask logits at stride 4 to the original image, bilinear, true where positive.

    Only the window around positive logits is computed: photos are large and objects are small.
    """
    height, width = transform.original_hw
    full = np.zeros((height, width), np.bool_)
    rows, columns = (logits > 0).nonzero()
    if not len(rows):
        return full
    scale_y = transform.input_hw[0] / height / MASK_STRIDE
    scale_x = transform.input_hw[1] / width / MASK_STRIDE
    top, bottom = _window(rows, scale_y, height)
    left, right = _window(columns, scale_x, width)
    if top >= bottom or left >= right:
        return full
    # Pixel centres are at half-integers in both frames.
    to_logits = np.array(
        [
            [scale_x, 0, (left + 0.5) * scale_x - 0.5],
            [0, scale_y, (top + 0.5) * scale_y - 0.5],
        ]
    )
    window = cv2.warpAffine(
        logits,
        to_logits,
        (right - left, bottom - top),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    full[top:bottom, left:right] = window > 0
    return full


def _window(indices: NDArray[np.intp], scale: float, size: int) -> tuple[int, int]:
    """First and last + 1 original pixel that these rows (or columns) of logits can reach."""
    low = math.floor((indices.min() - 0.5) / scale) - 1
    high = math.ceil((indices.max() + 1.5) / scale) + 1
    return max(low, 0), min(high, size)


def reference_demo(
    logits: Tensor, mask_logits: Tensor, transform: ImageTransform
) -> tuple[Tensor, Tensor, Tensor]:
    """Select and resize exactly as the published demo does, for comparisons with it.

    It lowers its threshold until something is kept, and knows no categories and no duplicates;
    use ``to_instances`` for results.

    Args:
        logits: [Q, K] raw.
        mask_logits: [Q, h, w] at stride 4 of the padded input.
        transform: of the target; its original size is the output size.

    Returns:
        Indices [N] of the kept queries, their scores [N] and mask logits [N, H, W] at the original
        size, in query order.

    Source: parity notes of the published demo, section 6.1.
    """
    scores = logits.sigmoid().amax(1)
    kept = torch.ones_like(scores, dtype=torch.bool)
    for threshold in REFERENCE_DEMO_THRESHOLDS:
        if (scores > threshold).any():
            kept = scores > threshold
            break
    indices = kept.nonzero().flatten()
    return indices, scores[indices], resize_mask_logits(mask_logits[indices], transform)


def resize_mask_logits(mask_logits: Tensor, transform: ImageTransform) -> Tensor:
    """[N, h, w] logits at stride 4 to [N, H, W] at the original size, in the paper's two steps.

    Bilinear to the padded input, cropped to the input, then bicubic with antialiasing.
    """
    height, width = transform.input_hw
    padded = _interpolate(mask_logits, transform.padded_hw, mode="bilinear")
    inside = padded[:, :height, :width]
    original_height, original_width = transform.original_hw
    if max(height / original_height, width / original_width) > _MOST_SHRINKING_ON_GPUS:
        inside = inside.cpu()
    resized = _interpolate(inside, transform.original_hw, mode="bicubic", antialias=True)
    return resized.to(mask_logits.device)


def _interpolate(maps: Tensor, size_hw: SizeHW, *, mode: str, antialias: bool = False) -> Tensor:
    return F.interpolate(
        maps[None], size=size_hw, mode=mode, align_corners=False, antialias=antialias
    )[0]
