"""The loss of the refer task: proposals at points, and which of them is the very object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import nms

from dinov.boxes import cxcywh_to_xyxy
from dinov.model.dinov import ReferPrediction
from dinov.training.config import LossWeights
from dinov.training.criterion import (
    Assignment,
    gather_pairs,
    numbered_layers,
    shape_losses,
)
from dinov.training.losses import UniformDraw, focal_terms
from dinov.training.matcher import Matcher, ReferTruth, Truth

_NMS_IOU = 0.7


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
        truths: Sequence[Truth],
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
        assignment = [
            matcher.match_points(boxes[b], masks[b], truth, asked[b].covered, uniform)
            for b, truth in enumerate(truths)
        ]
        count = max(1.0, self.mean_count(sum(len(queries) for queries, _ in assignment)))
        losses: dict[str, Tensor] = {}
        for index, suffix in numbered_layers(len(layers)):
            terms = self._point_losses(layers[index], truths, assignment, count, uniform)
            terms["match"] = self._match_loss(layers[index], truths, asked, count, uniform)
            losses |= {f"refer_{name}{suffix}": loss for name, loss in terms.items()}
        return losses

    def _point_losses(
        self,
        prediction: ReferPrediction,
        truths: Sequence[Truth],
        assignment: Assignment,
        count: float,
        uniform: UniformDraw,
    ) -> dict[str, Tensor]:
        pairs = gather_pairs(prediction.boxes_cxcywh, prediction.mask_logits, truths, assignment)
        losses, dice = shape_losses(pairs, self.weights, self.mask_points, count, uniform)
        promised = torch.cat([prediction.ious[b, q] for b, (q, _) in enumerate(assignment)])
        # As published, the masks learn from this error, too.
        error = promised.float() - (1 - dice)
        return losses | {"iou": self.weights.iou * error.square().sum() / count}

    def _match_loss(
        self,
        prediction: ReferPrediction,
        truths: Sequence[Truth],
        asked: Sequence[ReferTruth],
        pair_count: float,
        uniform: UniformDraw,
    ) -> Tensor:
        matcher = Matcher(self.weights, self.mask_points)
        scores, ious = prediction.match_scores.float(), prediction.ious.detach().float()
        corners = cxcywh_to_xyxy(prediction.boxes_cxcywh.detach().float())
        # Zero if nothing is asked for, yet of a graph that backward can run through.
        total, objects = scores.sum() * 0, 0
        for b, truth in enumerate(truths):
            wanted = asked[b].wanted
            kept = nms(corners[b], ious[b], _NMS_IOU)
            masks = prediction.mask_logits[b, kept].detach().float()
            survivors, numbers = matcher.match_masks(masks, truth.masks[wanted], uniform)
            compared = scores[b][: len(wanted), kept]
            if self.softmax:
                total = total + F.cross_entropy(compared[numbers], survivors, reduction="sum")
            else:
                labels = torch.zeros_like(compared)
                labels[numbers, survivors] = 1
                total = total + focal_terms(compared, labels).sum()
            objects += len(numbers)
        count = max(1.0, self.mean_count(objects)) if self.softmax else pair_count
        return self.weights.match * total / count
