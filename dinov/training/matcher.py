"""Assignment of queries to the true instances of their image, for a whole batch at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from dinov.training.config import LossWeights
from dinov.training.losses import (
    FOCAL_ALPHA,
    FOCAL_GAMMA,
    UniformDraw,
    pairwise_giou,
    pairwise_mask_costs,
    sample_common_points,
)
from dinov.training.truths import Assignment, Truths


@dataclass(frozen=True)
class Matcher:
    """Hungarian matching on label, mask and box costs (DETR, arXiv 2005.12872; Mask DINO).

    Masks are compared on ``points`` random places common to the batch. Costs are [B, Q, M] of Q
    queries and at most M instances of an image; those beyond the instances it has mean nothing.
    """

    weights: LossWeights
    points: int

    @torch.no_grad()
    def match(
        self,
        logits: Tensor,
        boxes_cxcywh: Tensor,
        mask_logits: Tensor,
        truths: Truths,
        uniform: UniformDraw,
    ) -> Assignment:
        """Assign queries one to one to the instances of their image, as many as there can be.

        Args:
            logits: [B, Q, K].
            boxes_cxcywh: [B, Q, 4].
            mask_logits: [B, Q, h, w].
            truths: the instances of the B images.
            uniform: source of random numbers.

        Returns:
            Pairs, image after image, the queries of each ascending.
        """
        cost = self.cost(logits, boxes_cxcywh, mask_logits, truths, uniform).cpu().numpy()
        pairs = [linear_sum_assignment(c[:, :n]) for c, n in zip(cost, truths.counts, strict=True)]
        return Assignment.of(pairs, truths)

    def cost(
        self,
        logits: Tensor,
        boxes_cxcywh: Tensor,
        mask_logits: Tensor,
        truths: Truths,
        uniform: UniformDraw,
    ) -> Tensor:
        """Costs [B, Q, M] of ``match``."""
        shapes = self.shape_cost(boxes_cxcywh, mask_logits, truths, uniform)
        return shapes + self.weights.label * label_costs(logits, truths.padded(truths.labels))

    @torch.no_grad()
    def match_points(
        self,
        boxes_cxcywh: Tensor,
        mask_logits: Tensor,
        truths: Truths,
        covered: Sequence[NDArray[np.bool_]],
        uniform: UniformDraw,
    ) -> Assignment:
        """Assign, at every point, its queries to the instances that cover it.

        Args:
            boxes_cxcywh: [B, Q, 4], those of one point consecutive.
            mask_logits: [B, Q, h, w].
            truths: the instances of the B images.
            covered: B times [P, N] bool, the instances at each point; Q is a multiple of P.
            uniform: source of random numbers.

        Returns:
            Pairs, image after image, the queries of each ascending: one to one within a point.
        """
        costs = self.shape_cost(boxes_cxcywh, mask_logits, truths, uniform).cpu().numpy()
        pairs = [_match_within(c, at) for c, at in zip(costs, covered, strict=True)]
        return Assignment.of(pairs, truths)

    def shape_cost(
        self, boxes_cxcywh: Tensor, mask_logits: Tensor, truths: Truths, uniform: UniformDraw
    ) -> Tensor:
        """Costs [B, Q, M] of masks and boxes."""
        boxes = truths.padded(truths.boxes_cxcywh)
        return (
            self.mask_cost(mask_logits, truths, uniform)
            + self.weights.box_l1 * torch.cdist(boxes_cxcywh, boxes, p=1)
            - self.weights.box_giou * pairwise_giou(boxes_cxcywh, boxes)
        )

    def mask_cost(self, mask_logits: Tensor, truths: Truths, uniform: UniformDraw) -> Tensor:
        """Costs [B, Q, M] of masks [B, Q, h, w]."""
        bce, dice = pairwise_mask_costs(*self._at_points(mask_logits, truths, uniform))
        return self.weights.mask_bce * bce + self.weights.mask_dice * dice

    @torch.no_grad()
    def overlaps(self, mask_logits: Tensor, truths: Truths, uniform: UniformDraw) -> Tensor:
        """IoU [B, Q, M] of masks [B, Q, h, w] with the true ones, estimated on random points."""
        logits, labels = self._at_points(mask_logits, truths, uniform)
        found, true = (logits > 0).float(), (labels >= 0.5).float()
        both = found @ true.mT
        either = found.sum(-1)[..., None] + true.sum(-1)[..., None, :] - both
        return both / either.clamp(min=1)

    def _at_points(
        self, mask_logits: Tensor, truths: Truths, uniform: UniformDraw
    ) -> tuple[Tensor, Tensor]:
        """Masks [B, Q, P] and true ones [B, M, P] at common random points."""
        points_xy = uniform((1, self.points, 2))[0]
        true = sample_common_points(truths.masks[None], points_xy)[0]
        return sample_common_points(mask_logits, points_xy), truths.padded(true)


def _match_within(
    cost: NDArray[np.float32], covered: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Match the queries of each of P points to the instances there; ``cost`` is [Q, M]."""
    size = len(cost) // len(covered)
    queries, instances = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for point, here in enumerate(covered):
        numbers = np.flatnonzero(here)
        rows, columns = linear_sum_assignment(cost[point * size :][:size, numbers])
        queries.append(point * size + rows)
        instances.append(numbers[columns])
    return np.concatenate(queries), np.concatenate(instances)


def label_costs(logits: Tensor, labels: Tensor) -> Tensor:
    """Focal cost [B, Q, M] of queries [B, Q, K] for labels [B, M]; 0 for the label −1."""
    batch, queries, categories = logits.shape
    if categories == 0:
        return logits.new_zeros(batch, queries, labels.shape[1])
    chosen = logits.gather(2, labels.clamp(min=0)[:, None].expand(-1, queries, -1))
    probability = chosen.sigmoid()
    eps = 1e-6
    if_present = FOCAL_ALPHA * (1 - probability) ** FOCAL_GAMMA * -(probability + eps).log()
    if_absent = (1 - FOCAL_ALPHA) * probability**FOCAL_GAMMA * -(1 - probability + eps).log()
    return torch.where(labels[:, None] >= 0, if_present - if_absent, 0.0)
