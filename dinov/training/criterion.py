"""The loss of the generic task: what a prediction costs, given the true instances."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from dinov.model.dinov import BoxMaskPrediction, GenericPrediction, LayeredPrediction
from dinov.training.config import LossWeights
from dinov.training.losses import (
    FOCAL_ALPHA,
    UniformDraw,
    box_losses,
    focal_terms,
    mask_losses,
)
from dinov.training.matcher import Matcher
from dinov.training.truths import Assignment, Truths

_EMPTY_SHARE = 0.25
"""Weight of empty concept masks: at 1, masks of rare concepts stay empty where they should not."""


@dataclass(frozen=True)
class Pairs:
    """Queries of a whole batch beside the true instances that they were assigned to."""

    boxes_cxcywh: Tensor  # [M, 4]
    mask_logits: Tensor  # [M, h, w]
    true_boxes: Tensor  # [M, 4]
    true_masks: Tensor  # [M, H, W]


@dataclass(frozen=True)
class Criterion:
    """Weighted losses of all decoder layers.

    Each layer's generic queries are assigned one to one to the true instances and pay for labels,
    masks and boxes; unassigned queries pay for labels only. Denoising queries have a fixed
    assignment and pay for masks and boxes, except in the first layer. Every sum is divided by the
    number of true instances, for denoising times the groups.

    With ``duplicate_iou``, queries whose mask overlaps an instance that much share its label, too:
    which of several equal masks is assigned is chance, and duplicates are suppressed later anyway.

    ``mean_count`` averages the number of instances over processes that train together.

    Names: "label", "contrast" if it has a weight, "mask_bce", "mask_dice", "box_l1", "box_giou",
    then "_0" for the last layer or "_{i+1}" for layer i, and "_dn" for the denoising part;
    "concept_bce" and "concept_dice" likewise where a category's own mask was predicted.

    Source: DINOv (arXiv 2311.13601), Mask DINO (arXiv 2206.02777).
    """

    weights: LossWeights
    mask_points: int
    duplicate_iou: float | None = None
    focal_alpha: float = FOCAL_ALPHA
    mean_count: Callable[[float], float] = float

    def __call__(
        self, prediction: LayeredPrediction, truths: Truths, uniform: UniformDraw
    ) -> dict[str, Tensor]:
        """Losses to be summed; see the class for their names.

        Args:
            prediction: of B images, first layer to last.
            truths: the instances of the B images.
            uniform: source of random numbers.
        """
        losses: dict[str, Tensor] = {}
        count = self.count(truths)
        for index, suffix in numbered_layers(len(prediction.layers)):
            layer = prediction.layers[index]
            for name, loss in self.layer_losses(layer, truths, count, uniform).items():
                losses[name + suffix] = loss
            if prediction.denoise and index > 0:
                repaired = self.denoise_losses(prediction.denoise[index], truths, count, uniform)
                for name, loss in repaired.items():
                    losses[f"{name}{suffix}_dn"] = loss
            if prediction.concept_masks:
                concept = self.concept_losses(prediction.concept_masks[index], truths, uniform)
                for name, loss in concept.items():
                    losses[name + suffix] = loss
        return losses

    def concept_losses(
        self, masks: Tensor, truths: Truths, uniform: UniformDraw
    ) -> dict[str, Tensor]:
        """Weighted losses of the masks [B, K, h, w] that categories predict of all their objects.

        Only where a category is known to be annotated. Where it has no objects the mask should be
        empty: its strongest logits pay, as many as there are points for other masks, over 4. Means
        over the masks with objects and over those without.
        """
        concepts, unions = truths.concepts()
        present = torch.zeros_like(truths.known.flatten())
        present[concepts] = True
        masks, absent = masks.flatten(0, 1), truths.known.flatten() & ~present
        bce = dice = empty = masks.sum() * 0
        if len(concepts):
            terms = mask_losses(masks[concepts].float(), unions, self.mask_points, uniform)
            bce, dice = (term.mean() for term in terms)
        if absent.any():
            logits = masks[absent].float().flatten(1)
            strongest = logits.topk(min(self.mask_points // 4, logits.shape[1]), dim=1).values
            empty = F.softplus(strongest).mean()
        weights = self.weights
        return {
            "concept_bce": weights.concept * weights.mask_bce * (bce + _EMPTY_SHARE * empty),
            "concept_dice": weights.concept * weights.mask_dice * dice,
        }

    def layer_losses(
        self,
        prediction: GenericPrediction,
        truths: Truths,
        count: float,
        uniform: UniformDraw,
    ) -> dict[str, Tensor]:
        """Weighted losses of one layer's generic queries after matching, divided by ``count``."""
        matcher = Matcher(self.weights, self.mask_points)
        boxes, masks = prediction.boxes_cxcywh, prediction.mask_logits
        logits, compared = prediction.logits.float(), masks.detach().float()
        assignment = matcher.match(logits, boxes.float(), compared, truths, uniform)
        labelled = assignment
        if self.duplicate_iou is not None:
            overlaps = matcher.overlaps(compared, truths, uniform)
            labelled = with_duplicates(assignment, overlaps, self.duplicate_iou, truths)
        label = label_loss(logits, truths, labelled, self.focal_alpha) / count
        losses = {"label": self.weights.label * label}
        if self.weights.contrast:
            contrast = contrast_loss(logits, truths, assignment) / count
            losses["contrast"] = self.weights.contrast * contrast
        pairs = gather_pairs(boxes, masks, truths, assignment)
        return losses | shape_losses(pairs, self.weights, self.mask_points, count, uniform)[0]

    def denoise_losses(
        self,
        prediction: BoxMaskPrediction,
        truths: Truths,
        count: float,
        uniform: UniformDraw,
    ) -> dict[str, Tensor]:
        """Weighted losses of one layer's denoising queries, divided by ``count`` and the groups."""
        boxes, masks = prediction.boxes_cxcywh, prediction.mask_logits
        groups = boxes.shape[1] // truths.largest
        image, number = truths.places.T
        group = torch.arange(groups, device=boxes.device)[:, None]
        assignment = Assignment(
            image.repeat(groups),
            (group * truths.largest + number).flatten(),
            torch.arange(len(truths), device=boxes.device).repeat(groups),
        )
        pairs = gather_pairs(boxes, masks, truths, assignment)
        return shape_losses(pairs, self.weights, self.mask_points, groups * count, uniform)[0]

    def count(self, truths: Truths) -> float:
        """Number of true instances, the mean over processes, at least one."""
        return max(1.0, self.mean_count(len(truths)))


def gather_pairs(boxes: Tensor, masks: Tensor, truths: Truths, assignment: Assignment) -> Pairs:
    """The assigned ones of boxes [B, Q, 4] and masks [B, Q, h, w] with their truths."""
    image, query, instance = assignment.image, assignment.query, assignment.instance
    return Pairs(
        boxes[image, query].float(),
        masks[image, query].float(),
        truths.boxes_cxcywh[instance],
        truths.masks[instance],
    )


def shape_losses(
    pairs: Pairs, weights: LossWeights, points: int, count: float, uniform: UniformDraw
) -> tuple[dict[str, Tensor], Tensor]:
    """Weighted mask and box losses, divided by ``count``; also the dice loss of each pair [M]."""
    bce, dice = mask_losses(pairs.mask_logits, pairs.true_masks, points, uniform)
    l1, giou = box_losses(pairs.boxes_cxcywh, pairs.true_boxes)
    losses = {
        "mask_bce": weights.mask_bce * bce.sum() / count,
        "mask_dice": weights.mask_dice * dice.sum() / count,
        "box_l1": weights.box_l1 * l1.sum() / count,
        "box_giou": weights.box_giou * giou.sum() / count,
    }
    return losses, dice


def numbered_layers(count: int) -> list[tuple[int, str]]:
    """Layers in the order of their losses, with the ending of their names.

    The last layer comes first, so that it draws the same random numbers at any depth.
    """
    return [(count - 1, "_0"), *((index, f"_{index + 1}") for index in range(count - 1))]


def with_duplicates(
    assignment: Assignment, overlaps: Tensor, least_iou: float, truths: Truths
) -> Assignment:
    """Add the queries left over that overlap [B, Q, M] an instance by ``least_iou`` or more."""
    if overlaps.shape[2] == 0:
        return assignment
    best, number = overlaps.max(2)
    extra = best >= least_iou
    extra[assignment.image, assignment.query] = False
    image, query = extra.nonzero(as_tuple=True)
    starts = torch.tensor(truths.starts, device=overlaps.device)
    return assignment + Assignment(image, query, starts[image] + number[extra])


def label_loss(
    logits: Tensor, truths: Truths, assignment: Assignment, focal_alpha: float = FOCAL_ALPHA
) -> Tensor:
    """Sum of the focal loss over queries and categories [B, Q, K].

    Where a category is not known to be annotated in an image, only the queries assigned to an
    instance count: these are known to be something else.
    """
    targets = torch.zeros_like(logits)
    counted = truths.known[:, None].expand_as(logits).clone()
    counted[assignment.image, assignment.query] = True
    image, query, labels = _prompted(truths, assignment)
    targets[image, query, labels] = 1
    return (focal_terms(logits, targets, focal_alpha) * counted).sum()


def contrast_loss(logits: Tensor, truths: Truths, assignment: Assignment) -> Tensor:
    """Sum over assigned queries of the cross-entropy over the batch's categories [B, Q, K].

    It tells categories apart from the first step on, whether or not objects are scored high yet.
    """
    image, query, labels = _prompted(truths, assignment)
    chosen = logits[image, query]
    if chosen.numel() == 0:
        return logits.sum() * 0
    return F.cross_entropy(chosen, labels, reduction="sum")


def _prompted(truths: Truths, assignment: Assignment) -> tuple[Tensor, Tensor, Tensor]:
    """Image, query and label of the pairs whose instance has one."""
    labels = truths.labels[assignment.instance]
    prompted = labels >= 0
    return assignment.image[prompted], assignment.query[prompted], labels[prompted]
