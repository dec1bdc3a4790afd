"""Loss terms and pairwise costs on sampled mask points. Pure functions of tensors.

Source: DINOv's criterion, which follows Mask DINO (arXiv 2206.02777) and PointRend (1912.08193).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from dinov.boxes import cxcywh_to_xyxy

UniformDraw = Callable[[tuple[int, ...]], Tensor]
"""Draws numbers in [0, 1) of a shape: injected, so that a run can be repeated exactly."""

FOCAL_ALPHA = 0.25
FOCAL_GAMMA = 2.0
# PointRend: three candidates per point, three quarters of the points where the mask is uncertain.
_OVERSAMPLING = 3
_UNCERTAIN_SHARE = 0.75


def sample_points(maps: Tensor, points_xy: Tensor) -> Tensor:
    """Read maps [N, H, W] bilinearly at points [N, P, 2], (x, y) in 0–1; returns [N, P]."""
    grid = 2 * points_xy[:, :, None] - 1
    return F.grid_sample(maps[:, None], grid, align_corners=False)[:, 0, :, 0]


def sample_common_points(maps: Tensor, points_xy: Tensor) -> Tensor:
    """Read all maps [B, N, H, W] bilinearly at the same points [P, 2]; returns [B, N, P]."""
    grid = (2 * points_xy - 1)[None, :, None].expand(len(maps), -1, -1, -1)
    return F.grid_sample(maps, grid, align_corners=False)[..., 0]


def draw_uncertain_points(mask_logits: Tensor, count: int, uniform: UniformDraw) -> Tensor:
    """Choose where to compare masks: mostly near the predicted border, partly anywhere.

    Args:
        mask_logits: [N, H, W].
        count: points per mask, P.
        uniform: source of random numbers.

    Returns:
        [N, P, 2] as (x, y) in 0–1.
    """
    n = len(mask_logits)
    candidates = uniform((n, _OVERSAMPLING * count, 2))
    uncertain = int(_UNCERTAIN_SHARE * count)
    distance = sample_points(mask_logits.detach(), candidates).abs()
    nearest = distance.topk(uncertain, dim=1, largest=False).indices
    chosen = candidates.gather(1, nearest[..., None].expand(-1, -1, 2))
    return torch.cat([chosen, uniform((n, count - uncertain, 2))], dim=1)


def focal_terms(logits: Tensor, targets: Tensor, alpha: float = FOCAL_ALPHA) -> Tensor:
    """Sigmoid focal loss of every element (arXiv 1708.02002); same shape as ``logits``.

    ``alpha`` weighs positives against negatives.
    """
    probability = logits.sigmoid()
    cross_entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    miss = probability + targets - 2 * probability * targets
    weight = alpha * targets + (1 - alpha) * (1 - targets)
    return weight * cross_entropy * miss**FOCAL_GAMMA


def mask_losses(
    mask_logits: Tensor, truth_masks: Tensor, points: int, uniform: UniformDraw
) -> tuple[Tensor, Tensor]:
    """Compare masks [N, h, w] with truth [N, H, W] of any other resolution on sampled points.

    Returns:
        Binary cross-entropy (mean over points) and dice loss of each mask, both [N].
    """
    with torch.no_grad():
        places = draw_uncertain_points(mask_logits, points, uniform)
        labels = sample_points(truth_masks, places)
    logits = sample_points(mask_logits, places)
    bce = F.binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(1)
    probability = logits.sigmoid()
    overlap = 2 * (probability * labels).sum(1)
    dice = 1 - (overlap + 1) / (probability.sum(1) + labels.sum(1) + 1)
    return bce, dice


def box_losses(boxes: Tensor, truth_boxes: Tensor) -> tuple[Tensor, Tensor]:
    """L1 distance and 1 − GIoU of paired boxes [N, 4] cxcywh, both [N]."""
    giou = _giou(cxcywh_to_xyxy(boxes), cxcywh_to_xyxy(truth_boxes))
    return (boxes - truth_boxes).abs().sum(1), 1 - giou


def pairwise_giou(boxes: Tensor, others: Tensor) -> Tensor:
    """Generalised IoU (arXiv 1902.09630), [B, N, M], of boxes [B, N, 4] with [B, M, 4], cxcywh."""
    return _giou(cxcywh_to_xyxy(boxes)[..., None, :], cxcywh_to_xyxy(others)[..., None, :, :])


def pairwise_mask_costs(point_logits: Tensor, point_labels: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy and dice of masks [B, N, P] with truth [B, M, P]; two [B, N, M] tensors."""
    count = point_logits.shape[-1]
    inside, outside = F.softplus(-point_logits), F.softplus(point_logits)
    bce = (inside @ point_labels.mT + outside @ (1 - point_labels).mT) / count
    probability = point_logits.sigmoid()
    total = probability.sum(-1)[..., None] + point_labels.sum(-1)[..., None, :]
    return bce, 1 - (2 * probability @ point_labels.mT + 1) / (total + 1)


def _giou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised IoU of broadcastable corner boxes."""
    eps = 1e-6
    inner = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(0)
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).clamp(0)
    intersection, hull_area = inner.prod(-1), hull.prod(-1)
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - intersection
    return intersection / (union + eps) - (hull_area - union) / (hull_area + eps)
