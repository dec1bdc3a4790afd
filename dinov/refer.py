"""The refer task after the decoder: which point proposals survive, and which one is the object.

Pure functions. Source: parity notes of the published model, section 6.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import nms

from dinov.boxes import cxcywh_to_xyxy
from dinov.images import ImageTransform
from dinov.masks import instance_of
from dinov.model.dinov import PointProposals
from dinov.model.heads import masks_of
from dinov.postprocess import resize_mask_logits
from dinov.types import Prompt, PromptType, Referral

_MASKS_AT_ONCE = 64
"""Masks are made in parts of so many, to bound the memory."""


@dataclass(frozen=True)
class ReferOptions:
    """Where proposals are made and which of them are worth a comparison.

    ``grid`` is points per side. ``granularities`` are those of a point's proposals that are used,
    numbered from 0; all if None. A proposal needs an expected IoU above ``iou_threshold``, no
    better one whose box overlaps more than ``nms_threshold``, and more than ``min_area`` positive
    mask logits (at stride 4).
    """

    grid: int = 20
    granularities: tuple[int, ...] | None = None
    iou_threshold: float = 0.5
    nms_threshold: float = 0.7
    min_area: int = 50

    def __post_init__(self) -> None:
        if self.grid < 1:
            raise ValueError(f"Expected a grid of at least 1 point per side, got {self.grid}.")
        if self.granularities is not None and not self.granularities:
            raise ValueError("Expected at least one granularity; None means all of them.")


VIDEO_OPTIONS = ReferOptions(nms_threshold=0.9)
"""As in the published evaluation on DAVIS."""


def surviving(points: PointProposals, mask_features: Tensor, options: ReferOptions) -> Tensor:
    """Choose the proposals that are compared with prompts; it does not depend on any prompt.

    Args:
        points: of one target (batch size 1), Q proposals.
        mask_features: [1, C, h, w] of that target.
        options: the thresholds.

    Returns:
        Indices of the survivors, highest expected IoU first; maybe none.

    Raises:
        ValueError: if a granularity does not exist.
    """
    ious = points.ious[0]
    allowed = _of_granularities(len(ious), options) & (ious > options.iou_threshold).cpu()
    indices = allowed.nonzero().flatten().to(ious.device)
    boxes = cxcywh_to_xyxy(points.boxes_cxcywh[0, indices])
    indices = indices[nms(boxes.float(), ious[indices].float(), options.nms_threshold)]
    areas = mask_areas(points.mask_vectors[:, indices], mask_features)
    return indices[areas > options.min_area]


def mask_areas(mask_vectors: Tensor, mask_features: Tensor) -> Tensor:
    """[1, Q, C] mask vectors and [1, C, h, w] features to [Q]: positive logits of each mask."""
    parts = [
        (masks_of(part, mask_features)[0] > 0).sum((1, 2))
        for part in mask_vectors.split(_MASKS_AT_ONCE, dim=1)
    ]
    return torch.cat(parts)


def take(points: PointProposals, indices: Tensor) -> PointProposals:
    """Only some of the proposals, in the order of the indices."""
    return PointProposals(
        points.vectors[:, indices],
        points.ious[:, indices],
        points.boxes_cxcywh[:, indices],
        points.mask_vectors[:, indices],
    )


def match_probabilities(
    match_scores: Tensor, object_ids: Sequence[int], negative_ids: Sequence[int]
) -> Tensor:
    """Softmax over the surviving proposals, zero where the object's negative fits better.

    Args:
        match_scores: [K + N, Q] raw, the objects first, then their negatives.
        object_ids: the K objects in the order of the scores.
        negative_ids: the N of them that have a negative, in the order of the scores.

    Returns:
        [K, Q].
    """
    positive, negative = match_scores.split([len(object_ids), len(negative_ids)])
    result = positive.softmax(1)
    for row, object_id in enumerate(negative_ids):
        k = object_ids.index(object_id)
        result[k] = result[k].where(positive[k] >= negative[row], 0.0)
    return result


def to_referral(
    probabilities: Tensor,
    points: PointProposals,
    mask_features: Tensor,
    object_ids: Sequence[int],
    transform: ImageTransform,
    *,
    score_thresholds: Sequence[float],
    max_candidates: int = 1,
) -> Referral:
    """Bring the best proposals of each object to the original size.

    An object without candidates is a result: nothing is lowered to find something.

    Args:
        probabilities: [K, Q] of each object and surviving proposal.
        points: the Q survivors of one target (batch size 1).
        mask_features: [1, C, h, w] of that target.
        object_ids: the K objects in the order of the rows.
        transform: how the target became the input.
        score_thresholds: candidates with a lower probability are left out, by object.
        max_candidates: at most so many per object, the best ones.
    """
    count = min(max_candidates, probabilities.shape[1])
    scores, indices = (best.tolist() for best in probabilities.topk(count, dim=1))
    # A probability of zero says that a negative fits better.
    ranked = [
        [(q, score) for q, score in zip(*row, strict=True) if 0 < score >= threshold]
        for *row, threshold in zip(indices, scores, score_thresholds, strict=True)
    ]
    masks = {
        index: (final_mask_logits(points, mask_features, index, transform) > 0).cpu().numpy()
        for index in {index for row in ranked for index, _ in row}
    }
    candidates = {
        object_id: tuple(
            instance_of(masks[index], object_id, score)
            for index, score in row
            if masks[index].any()
        )
        for object_id, row in zip(object_ids, ranked, strict=True)
    }
    return Referral(transform.original_hw, candidates)


def as_marks(referral: Referral) -> list[Prompt]:
    """Each candidate as a mark of the object that it is taken for, all in their order."""
    return [
        Prompt(number, PromptType.MASK, rle=instance.rle)
        for number, ranked in referral.candidates.items()
        for instance in ranked
    ]


def only_alike(
    referral: Referral, embeddings: Tensor, objects: Mapping[int, Tensor], lowest: float
) -> Referral:
    """Leave out candidates that are less like their object than they must be.

    Args:
        referral: what was found.
        embeddings: [N, C] of ``as_marks(referral)``.
        objects: the embedding [C] of each object.
        lowest: cosine of both.
    """
    left = iter(embeddings)
    candidates = {
        number: tuple(
            instance
            for instance, embedding in [(one, next(left)) for one in ranked]
            if torch.cosine_similarity(embedding, objects[number], dim=0) >= lowest
        )
        for number, ranked in referral.candidates.items()
    }
    return Referral(referral.size_hw, candidates)


def final_mask_logits(
    points: PointProposals, mask_features: Tensor, index: int, transform: ImageTransform
) -> Tensor:
    """[H, W] mask logits of one proposal at the original size of the target."""
    logits = masks_of(points.mask_vectors[:, index, None], mask_features)[0]
    return resize_mask_logits(logits.float(), transform)[0]


def _of_granularities(count: int, options: ReferOptions) -> Tensor:
    """[Q] bool: is the proposal of a granularity that is used?"""
    per_point = count // options.grid**2
    if options.granularities is None:
        return torch.ones(count, dtype=torch.bool)
    unknown = set(options.granularities) - set(range(per_point))
    if unknown:
        raise ValueError(f"There are granularities 0 to {per_point - 1}, got {sorted(unknown)}.")
    return torch.isin(torch.arange(count) % per_point, torch.tensor(options.granularities))
