"""What the maps of a concept head change in what was proposed. Pure functions.

The maps have a say in the scores of proposals, take out of their masks what they deny, and show
what was not proposed at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dinov.model.concept_head import OUTPUT_STRIDE
from dinov.postprocess import category_probabilities
from dinov.types import SizeHW

LEAST_AGREEMENT = 0.12
"""Where the map of a concept is less sure, nothing belongs to it, whatever was proposed."""

LEAST_ALONE = 0.3
"""Where nothing was proposed, a map that is less sure shows nothing."""

_MOST_CLAIMED = 0.5
"""Share of a region that proposals cover; beyond it, they are the better outlines."""


def agreed_logits(logits: Tensor, mask_logits: Tensor, concept_logits: Tensor) -> Tensor:
    """Let the maps of concepts have a say in how well each proposal fits them.

    The probability becomes the geometric mean of the proposal's own and of the map's mean inside
    the mask, as far as ``agreed_masks`` leaves it.

    Args:
        logits: [Q, K] raw, by the embeddings of proposals and concepts.
        mask_logits: [Q, 2 h, 2 w].
        concept_logits: [K, h, w] raw.

    Returns:
        [Q, K] raw, to be used like ``logits``.
    """
    shares = F.avg_pool2d((mask_logits > 0).float()[None], 2)[0].flatten(1)
    probabilities = concept_logits.sigmoid().flatten(1)
    is_left = probabilities > LEAST_AGREEMENT
    left = (shares @ is_left.float().mT).clamp(min=1e-6)
    inside = shares @ (probabilities * is_left).mT / left
    return (logits.sigmoid() * inside).sqrt().logit(eps=1e-6)


def agreed_masks(mask_logits: Tensor, concept_logits: Tensor) -> Tensor:
    """Take out of each mask what the map of its concept denies.

    Args:
        mask_logits: [N, 2 h, 2 w].
        concept_logits: [N, h, w] raw, of the concept of each mask.

    Returns:
        [N, 2 h, 2 w] logits.
    """
    height, width = mask_logits.shape[-2:]
    enlarged = F.interpolate(
        concept_logits[:, None], (height, width), mode="bilinear", align_corners=False
    )[:, 0]
    return torch.minimum(mask_logits, enlarged - _logit(LEAST_AGREEMENT))


def with_maps(
    probabilities: Tensor,
    mask_logits: Tensor,
    concept_logits: Tensor,
    category_ids: Sequence[int],
    negative_ids: Sequence[int],
    input_hw: SizeHW,
) -> tuple[Tensor, Tensor]:
    """Bring proposals into line with the maps, and add what only the maps show.

    Masks of proposals lose what the map of their best category denies. Where nothing was proposed,
    mostly on small or crowded objects, each connected part of a map is added, as probable as the
    map is sure inside.

    Args:
        probabilities: [Q, K] of the proposals that can be shown.
        mask_logits: [Q, 2 h, 2 w] of these.
        concept_logits: [K + N, h, w] raw, the categories first, then the negatives.
        category_ids: the K categories in the order of the maps.
        negative_ids: the N of them that have a negative, in the order of the maps.
        input_hw: of the image without padding, on which nothing is to be found.

    Returns:
        [Q + R, K] and [Q + R, 2 h, 2 w], the proposals first.
    """
    mask_logits = agreed_masks(mask_logits, concept_logits[probabilities.argmax(1)])
    sure = category_probabilities(concept_logits.flatten(1).mT, category_ids, negative_ids)
    sure = sure.mT.unflatten(1, concept_logits.shape[-2:])
    rows, columns = (max(1, round(length / OUTPUT_STRIDE)) for length in input_hw)
    sure[:, rows:] = sure[:, :, columns:] = 0
    parts, categories = _connected(sure)
    shares = parts.flatten(1) / parts.sum((1, 2))[:, None]
    claimed = F.avg_pool2d((mask_logits > 0).any(0)[None].float(), 2).flatten()
    chosen = (shares @ claimed <= _MOST_CLAIMED).nonzero().flatten()
    parts, shares, inside = parts[chosen], shares[chosen], sure[categories[chosen]]
    means = (shares * inside.flatten(1)).sum(1)
    of_regions = F.one_hot(categories[chosen], len(sure)) * means[:, None]
    surplus = inside.logit(eps=1e-6) - _logit(LEAST_ALONE)
    outlines = torch.where(parts > 0, surplus, -surplus.abs())
    regions = F.interpolate(outlines[:, None], mask_logits.shape[-2:], mode="bilinear")[:, 0]
    return torch.cat([probabilities, of_regions]), torch.cat([mask_logits, regions])


def _connected(sure: Tensor) -> tuple[Tensor, Tensor]:
    """[K, h, w] probabilities to R regions, [R, h, w] of 0 and 1, and their categories [R]."""
    best, column = sure.max(0)
    winner = torch.where(best > LEAST_ALONE, column, -1).cpu().numpy()
    parts, categories = [np.zeros((0, *winner.shape), np.bool_)], []
    for k in np.unique(winner[winner >= 0]).tolist():
        count, labels = cv2.connectedComponents((winner == k).astype(np.uint8), connectivity=4)
        parts.append(labels == np.arange(1, count)[:, None, None])
        categories += [k] * (count - 1)
    regions = torch.from_numpy(np.concatenate(parts))
    numbers = torch.tensor(categories, dtype=torch.int64)
    return regions.to(sure.device, sure.dtype), numbers.to(sure.device)


def _logit(probability: float) -> float:
    return math.log(probability / (1 - probability))
