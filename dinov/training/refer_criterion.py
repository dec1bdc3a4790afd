"""The loss of the refer task: proposals at points, and which of them is the very object."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import nms

from dinov.boxes import cxcywh_to_xyxy
from dinov.model.dinov import ReferPrediction
from dinov.training.config import LossWeights
from dinov.training.criterion import (
    gather_pairs,
    numbered_layers,
    shape_losses,
)
from dinov.training.losses import UniformDraw, focal_terms
from dinov.training.matcher import Matcher
from dinov.training.truths import Assignment, ReferTruth, Truths

_NMS_IOU = 0.7
_APART = 4.0
"""Boxes lie within −0.5 and 1.5."""


@dataclass(frozen=True)
class ReferCriterion:
    """Weighted losses of all decoder layers.

    At every point, the last layer's queries are assigned one to one to the instances that cover it;
    they pay, in all layers, for mask, box and the IoU they promise, divided by the number of pairs.
    In each layer the proposals that survive suppression are assigned one to one to the wanted
    objects, and their match scores pay: with ``softmax`` by cross-entropy, the mean over objects
    (Swin-T), otherwise by a focal loss (Swin-L).

    ``mean_count`` averages numbers of pairs and objects over processes that train together.

    Names: "refer_" and "mask_bce", "mask_dice", "box_l1", "box_giou", "iou" or "match", then "_0"
    for the last layer or "_{i+1}" for layer i.

    Source: DINOv (arXiv 2311.13601) section 3.3; the points are Semantic-SAM's (2307.04767).
    """

    weights: LossWeights
    mask_points: int
    softmax: bool = True
    mean_count: Callable[[float], float] = float

    def __call__(
        self,
        layers: Sequence[ReferPrediction],
        truths: Truths,
        asked: Sequence[ReferTruth],
        uniform: UniformDraw,
    ) -> dict[str, Tensor]:
        """Losses to be summed; see the class for their names.

        Args:
            layers: predictions of B images, first layer to last. An image may have fewer prompts
                than there are match scores; the rest of these is ignored.
            truths: the instances of the B images.
            asked: what the points and prompts of each image stand for.
            uniform: source of random numbers.
        """
        matcher = Matcher(self.weights, self.mask_points)
        boxes, masks = layers[-1].boxes_cxcywh.float(), layers[-1].mask_logits.float()
        covered = [truth.covered for truth in asked]
        assignment = matcher.match_points(boxes, masks, truths, covered, uniform)
        count = max(1.0, self.mean_count(len(assignment.query)))
        losses: dict[str, Tensor] = {}
        for index, suffix in numbered_layers(len(layers)):
            terms = self._point_losses(layers[index], truths, assignment, count, uniform)
            terms["match"] = self._match_loss(layers[index], truths, asked, count, uniform)
            losses |= {f"refer_{name}{suffix}": loss for name, loss in terms.items()}
        return losses

    def _point_losses(
        self,
        prediction: ReferPrediction,
        truths: Truths,
        assignment: Assignment,
        count: float,
        uniform: UniformDraw,
    ) -> dict[str, Tensor]:
        pairs = gather_pairs(prediction.boxes_cxcywh, prediction.mask_logits, truths, assignment)
        losses, dice = shape_losses(pairs, self.weights, self.mask_points, count, uniform)
        promised = prediction.ious[assignment.image, assignment.query]
        # As published, the masks learn from this error, too.
        error = promised.float() - (1 - dice)
        return losses | {"iou": self.weights.iou * error.square().sum() / count}

    def _match_loss(
        self,
        prediction: ReferPrediction,
        truths: Truths,
        asked: Sequence[ReferTruth],
        pair_count: float,
        uniform: UniformDraw,
    ) -> Tensor:
        matcher = Matcher(self.weights, self.mask_points)
        masks = prediction.mask_logits.detach().float()
        costs = matcher.mask_cost(masks, truths, uniform).detach().cpu().numpy()
        survivors = _survivors(prediction)
        compared = prediction.match_scores.float()
        pairs = []
        for image, (cost, kept) in enumerate(zip(costs, survivors.cpu().numpy(), strict=True)):
            queries = np.flatnonzero(kept)
            rows, prompts = linear_sum_assignment(cost[np.ix_(queries, asked[image].wanted)])
            pairs.append(np.stack([np.full_like(rows, image), prompts, queries[rows]]))
        found = torch.from_numpy(np.concatenate(pairs, axis=1)).to(compared.device)
        image, prompt, query = found
        count = max(1.0, self.mean_count(len(query))) if self.softmax else pair_count
        if self.softmax:
            among = compared.masked_fill(~survivors[:, None], -math.inf)[image, prompt]
            total = F.cross_entropy(among, query, reduction="sum")
        else:
            labels = torch.zeros_like(compared)
            labels[image, prompt, query] = 1
            wanted = torch.zeros_like(compared[..., :1], dtype=torch.bool)
            for b, truth in enumerate(asked):
                wanted[b, : len(truth.wanted)] = True
            total = (focal_terms(compared, labels) * (wanted & survivors[:, None])).sum()
        # Of a graph that backward can run through, also if nothing is asked for.
        return self.weights.match * (total + compared.sum() * 0) / count


def _survivors(prediction: ReferPrediction) -> Tensor:
    """[B, Q] whether a proposal is left after suppression among those of its image."""
    ious = prediction.ious.detach().float()
    corners = cxcywh_to_xyxy(prediction.boxes_cxcywh.detach().float())
    # Images are laid apart, so that boxes of different ones never overlap.
    apart = _APART * torch.arange(len(corners), device=corners.device)[:, None, None]
    kept = torch.zeros_like(ious.flatten(), dtype=torch.bool)
    kept[nms((corners + apart).flatten(0, 1), ious.flatten(), _NMS_IOU)] = True
    return kept.view_as(ious)
