"""Assignment of queries to the true instances of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from dinov.training.config import LossWeights
from dinov.training.losses import (
    FOCAL_ALPHA,
    FOCAL_GAMMA,
    UniformDraw,
    pairwise_giou,
    pairwise_mask_costs,
    sample_points,
)


@dataclass(frozen=True)
class Truth:
    """The true instances of one training image, in the padded input frame.

    Attributes:
        labels: [N] category numbers of the batch; −1 for a category without prompts.
        boxes_cxcywh: [N, 4] in 0–1.
        masks: [N, H, W] float in 0–1, at any resolution.
        known: [K] bool, true where every object of the category is annotated in this image.
    """

    labels: Tensor
    boxes_cxcywh: Tensor
    masks: Tensor
    known: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def has_objects(self) -> Tensor:
        """[K] bool: is there an instance of the category, and all of them are annotated?"""
        present = torch.zeros_like(self.known)
        present[self.labels[self.labels >= 0]] = True
        return present & self.known

    def union_of(self, category: int) -> Tensor:
        """[H, W] of all instances of a category that has some."""
        return self.masks[self.labels == category].amax(0)

    def with_absent(self, known: Sequence[bool]) -> Truth:
        """The same beside more categories, which have no objects here where they are ``known``."""
        return replace(
            self, known=torch.cat([self.known, self.known.new_tensor(known, dtype=torch.bool)])
        )


@dataclass(frozen=True)
class ReferTruth:
    """What an image is asked about in the refer task, as numbers of its true instances.

    Attributes:
        covered: [P, N] bool, the instances at each of the points.
        wanted: [K] the instance that each prompt stands for.
    """

    covered: Tensor
    wanted: Tensor


@dataclass(frozen=True)
class Matcher:
    """Hungarian matching on label, mask and box costs (DETR, arXiv 2005.12872; Mask DINO).

    Masks are compared on ``points`` random places common to all pairs of an image.
    """

    weights: LossWeights
    points: int

    @torch.no_grad()
    def match(
        self,
        logits: Tensor,
        boxes_cxcywh: Tensor,
        mask_logits: Tensor,
        truth: Truth,
        uniform: UniformDraw,
    ) -> tuple[Tensor, Tensor]:
        """Assign queries of one image.

        Args:
            logits: [Q, K].
            boxes_cxcywh: [Q, 4].
            mask_logits: [Q, h, w].
            truth: N instances.
            uniform: source of random numbers.

        Returns:
            Matched query numbers, ascending, and their truth numbers; each [min(Q, N)].
        """
        cost = self.cost(logits, boxes_cxcywh, mask_logits, truth, uniform)
        return _assign(cost)

    def cost(
        self,
        logits: Tensor,
        boxes_cxcywh: Tensor,
        mask_logits: Tensor,
        truth: Truth,
        uniform: UniformDraw,
    ) -> Tensor:
        """Cost matrix [Q, N] of ``match``."""
        shapes = self.shape_cost(boxes_cxcywh, mask_logits, truth, uniform)
        return shapes + self.weights.label * label_costs(logits, truth.labels)

    @torch.no_grad()
    def match_points(
        self,
        boxes_cxcywh: Tensor,
        mask_logits: Tensor,
        truth: Truth,
        covered: Tensor,
        uniform: UniformDraw,
    ) -> tuple[Tensor, Tensor]:
        """Assign, at every point of one image, its queries to the instances that cover it.

        Args:
            boxes_cxcywh: [Q, 4], those of one point consecutive.
            mask_logits: [Q, h, w].
            truth: N instances.
            covered: [P, N] bool, the instances at each point; Q is a multiple of P.
            uniform: source of random numbers.

        Returns:
            Matched query numbers, ascending, and their truth numbers: one to one within a point.
        """
        cost = self.shape_cost(boxes_cxcywh, mask_logits, truth, uniform).cpu().numpy()
        size = len(cost) // len(covered)
        queries, truths = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for point, here in enumerate(covered.cpu().numpy()):
            numbers = np.flatnonzero(here)
            rows, columns = linear_sum_assignment(cost[point * size :][:size, numbers])
            queries.append(point * size + rows)
            truths.append(numbers[columns])
        device = mask_logits.device
        return (
            torch.as_tensor(np.concatenate(queries), device=device),
            torch.as_tensor(np.concatenate(truths), device=device),
        )

    @torch.no_grad()
    def match_masks(
        self, mask_logits: Tensor, true_masks: Tensor, uniform: UniformDraw
    ) -> tuple[Tensor, Tensor]:
        """Assign masks [Q, h, w] one to one to true ones [N, H, W], by their masks alone."""
        cost = self.mask_cost(mask_logits, true_masks, uniform)
        return _assign(cost)

    def shape_cost(
        self, boxes_cxcywh: Tensor, mask_logits: Tensor, truth: Truth, uniform: UniformDraw
    ) -> Tensor:
        """Cost matrix [Q, N] of masks and boxes."""
        distance = torch.cdist(boxes_cxcywh, truth.boxes_cxcywh, p=1)
        return (
            self.mask_cost(mask_logits, truth.masks, uniform)
            + self.weights.box_l1 * distance
            - self.weights.box_giou * pairwise_giou(boxes_cxcywh, truth.boxes_cxcywh)
        )

    def mask_cost(self, mask_logits: Tensor, true_masks: Tensor, uniform: UniformDraw) -> Tensor:
        """Cost matrix [Q, N] of masks [Q, h, w] and true ones [N, H, W]."""
        points = uniform((1, self.points, 2))
        point_logits = sample_points(mask_logits, points.expand(len(mask_logits), -1, -1))
        point_labels = sample_points(true_masks, points.expand(len(true_masks), -1, -1))
        bce, dice = pairwise_mask_costs(point_logits, point_labels)
        return self.weights.mask_bce * bce + self.weights.mask_dice * dice

    @torch.no_grad()
    def overlaps(self, mask_logits: Tensor, truth: Truth, uniform: UniformDraw) -> Tensor:
        """IoU [Q, N] of masks [Q, h, w] with the true ones, estimated on random points."""
        points = uniform((1, self.points, 2))
        found = sample_points(mask_logits, points.expand(len(mask_logits), -1, -1)) > 0
        true = sample_points(truth.masks, points.expand(len(truth), -1, -1)) >= 0.5
        both = found.float() @ true.float().T
        either = found.sum(1)[:, None] + true.sum(1)[None] - both
        return both / either.clamp(min=1)


def _assign(cost: Tensor) -> tuple[Tensor, Tensor]:
    rows, columns = linear_sum_assignment(cost.cpu().numpy())
    return (
        torch.as_tensor(rows, device=cost.device),
        torch.as_tensor(columns, device=cost.device),
    )


def label_costs(logits: Tensor, labels: Tensor) -> Tensor:
    """Focal cost [Q, N] of giving a query [Q, K] a label [N]; 0 for instances without label."""
    if logits.shape[1] == 0:
        return logits.new_zeros(len(logits), len(labels))
    chosen = logits[:, labels.clamp(min=0)]
    probability = chosen.sigmoid()
    eps = 1e-6
    if_present = FOCAL_ALPHA * (1 - probability) ** FOCAL_GAMMA * -(probability + eps).log()
    if_absent = (1 - FOCAL_ALPHA) * probability**FOCAL_GAMMA * -(1 - probability + eps).log()
    return torch.where(labels >= 0, if_present - if_absent, 0.0)
