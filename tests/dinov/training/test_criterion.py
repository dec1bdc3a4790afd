from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dinov.model.dinov import BoxMaskPrediction, GenericPrediction, LayeredPrediction
from dinov.training.config import LossWeights
from dinov.training.criterion import (
    Criterion,
    contrast_loss,
    label_loss,
    with_duplicates,
)
from dinov.training.denoising import make_denoise_queries
from dinov.training.matcher import Matcher
from dinov.training.truths import Assignment, Truth, Truths

CRITERION = Criterion(LossWeights(), 64)
CONCEPT = Criterion(LossWeights(concept=1.0), 64)


def uniform(shape: tuple[int, ...]) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(5))


def random_prediction(batch: int, queries: int, categories: int) -> GenericPrediction:
    torch.manual_seed(0)
    return GenericPrediction(
        torch.randn(batch, queries, categories, requires_grad=True),
        torch.rand(batch, queries, 4) * 0.4 + 0.2,
        torch.randn(batch, queries, 8, 8, requires_grad=True),
    )


def truth_of(labels: list[int], known: list[bool]) -> Truth:
    torch.manual_seed(1)
    count = len(labels)
    return Truth(
        torch.tensor(labels, dtype=torch.long),
        torch.rand(count, 4) * 0.4 + 0.2,
        (torch.rand(count, 32, 32) > 0.5).float(),
        torch.tensor(known, dtype=torch.bool),
    )


def joined(*truths: Truth) -> Truths:
    return Truths.of(truths)


def assigned(queries: list[int], instances: list[int]) -> Assignment:
    """Pairs of one image."""
    return Assignment(
        torch.zeros(len(queries), dtype=torch.long), torch.tensor(queries), torch.tensor(instances)
    )


def test_every_layer_has_losses_and_the_first_no_denoising_loss() -> None:
    truths = joined(truth_of([0, 1, 0], [True, True]), truth_of([], [True, True]))
    denoise = make_denoise_queries(truths, queries=12, noise=0.4, uniform=uniform)
    assert denoise is not None
    assert denoise.groups == 4
    layer = random_prediction(2, 10, 2)
    repaired = BoxMaskPrediction(denoise.boxes_cxcywh, torch.randn(2, 12, 8, 8))
    prediction = LayeredPrediction((layer,) * 3, (repaired,) * 3)
    names = set(CRITERION(prediction, truths, uniform))
    terms = {"mask_bce", "mask_dice", "box_l1", "box_giou"}
    generic = {f"{term}_{i}" for term in terms | {"label"} for i in range(3)}
    denoising = {f"{term}_{i}_dn" for term in terms for i in (0, 2)}
    assert names == generic | denoising


def test_a_batch_without_any_instance_can_be_trained_on() -> None:
    truths = joined(*[truth_of([], [True])] * 2)
    assert make_denoise_queries(truths, queries=10, noise=0.4, uniform=uniform) is None
    layer = random_prediction(2, 10, 1)
    losses = CRITERION(LayeredPrediction((layer,)), truths, uniform)
    torch.stack(list(losses.values())).sum().backward()
    assert losses["label_0"] > 0
    assert losses["mask_bce_0"] == 0
    assert layer.logits.grad is not None


def test_a_batch_without_prompts_still_teaches_masks() -> None:
    layer = random_prediction(1, 10, 0)
    losses = CRITERION(LayeredPrediction((layer,)), joined(truth_of([-1, -1], [])), uniform)
    assert losses["label_0"] == 0
    assert losses["mask_dice_0"] > 0


def test_instances_without_prompts_are_negatives_for_the_prompted_categories() -> None:
    logits = torch.zeros(1, 2, 1, requires_grad=True)
    label_loss(logits, joined(truth_of([-1], [False])), assigned([0], [0])).backward()
    assert logits.grad is not None
    assert logits.grad[0, 0, 0] > 0
    assert logits.grad[0, 1, 0] == 0


def test_more_instances_than_queries_are_matched_as_far_as_possible() -> None:
    layer = random_prediction(1, 2, 1)
    found = Matcher(LossWeights(), 16).match(
        layer.logits,
        layer.boxes_cxcywh,
        layer.mask_logits,
        joined(truth_of([0] * 5, [True])),
        uniform,
    )
    assert found.query.tolist() == [0, 1]
    assert len(set(found.instance.tolist())) == 2


def test_the_matcher_finds_the_perfect_assignment() -> None:
    truth = truth_of([0, 1, 1], [True, True])
    order = torch.tensor([2, 0, 1])
    masks = torch.nn.functional.interpolate(truth.masks[None], size=(32, 32))[0] * 20 - 10
    logits = torch.full((3, 2), -5.0)
    logits[torch.arange(3), truth.labels[order]] = 5.0
    other = replace(truth_of([1], [True, True]), masks=masks[:1] * 0)
    # The first image of the batch is the other one: its prediction is the same, its truth is not.
    found = Matcher(LossWeights(), 64).match(
        logits.repeat(2, 1, 1),
        truth.boxes_cxcywh[order].repeat(2, 1, 1),
        masks[order].repeat(2, 1, 1, 1),
        joined(other, truth),
        uniform,
    )
    assert found.image.tolist() == [0, 1, 1, 1]
    assert found.query.tolist()[1:] == [0, 1, 2]
    assert found.instance.tolist() == [0, *(1 + order).tolist()]


def test_denoising_keeps_boxes_near_and_inside() -> None:
    truth = truth_of([0, 0], [True])
    noised = make_denoise_queries(
        joined(truth, truth_of([0], [True])), queries=20, noise=0.4, uniform=uniform
    )
    assert noised is not None
    groups = noised.boxes_cxcywh[0].view(noised.groups, 2, 4)
    assert noised.boxes_cxcywh.min() >= 0
    assert noised.boxes_cxcywh.max() <= 1
    size = truth.boxes_cxcywh[:, 2:]
    assert ((groups[..., :2] - truth.boxes_cxcywh[:, :2]).abs() <= 0.2 * size + 1e-6).all()
    assert ((groups[..., 2:] - size).abs() <= 0.4 * size + 1e-6).all()
    assert (groups[0] != groups[1]).any()


def test_duplicates_of_an_instance_share_its_label() -> None:
    truths = joined(truth_of([0], [True]), truth_of([0, 0], [True]))
    # Of the second image, whose instances are 1 and 2 of the batch.
    pair = Assignment(torch.tensor([1]), torch.tensor([0]), torch.tensor([2]))
    overlaps = torch.zeros(2, 4, 2)
    overlaps[1] = torch.tensor([[0.0, 0.9], [0.7, 0.1], [0.5, 0.5], [0.1, 0.8]])
    found = with_duplicates(pair, overlaps, 0.6, truths)
    assert found.image.tolist() == [1, 1, 1]
    assert found.query.tolist() == [0, 1, 3]
    assert found.instance.tolist() == [2, 1, 2]
    empty = joined(truth_of([], [True]))
    assert with_duplicates(pair, torch.zeros(1, 4, 0), 0.6, empty) is pair


def test_overlaps_are_the_iou_of_masks() -> None:
    masks = torch.zeros(2, 32, 32)
    masks[0, :, :16] = 1
    masks[1, :, 8:] = 1
    truth = Truth(torch.tensor([0]), torch.rand(1, 4), masks[:1], torch.tensor([True]))
    overlaps = Matcher(LossWeights(), 4000).overlaps(masks[None] * 20 - 10, joined(truth), uniform)
    assert overlaps[0, 0, 0] > 0.97
    assert 0.2 < overlaps[0, 1, 0] < 0.3


def test_contrast_compares_the_categories_of_prompted_matches_only() -> None:
    logits = torch.zeros(1, 3, 2, requires_grad=True)
    pair = assigned([0, 2], [1, 0])
    loss = contrast_loss(logits, joined(truth_of([-1, 1], [True, False])), pair)
    assert loss.item() == pytest.approx(math.log(2))
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[0].tolist() == [[0.5, -0.5], [0, 0], [0, 0]]
    unprompted = joined(truth_of([-1, -1], []))
    assert contrast_loss(torch.zeros(1, 3, 0), unprompted, pair) == 0


def test_the_lite_recipe_adds_a_contrast_to_every_layer() -> None:
    criterion = Criterion(LossWeights(contrast=2.0), 64, duplicate_iou=0.6)
    layer = random_prediction(1, 10, 2)
    truths = joined(truth_of([0, 1], [True] * 2))
    losses = criterion(LayeredPrediction((layer, layer)), truths, uniform)
    assert {"contrast_0", "contrast_1"} < set(losses)
    torch.stack(list(losses.values())).sum().backward()


def test_a_category_predicts_one_mask_of_all_its_objects() -> None:
    masks = torch.zeros(3, 32, 32)
    masks[0, :16, :16] = masks[1, 16:, 16:] = masks[2, :, 24:] = 1
    truth = replace(truth_of([0, 0, 1], [True, True, True, False]), masks=masks)
    union = masks[:2].amax(0)
    other = truth_of([2], [True, True, False, True])
    concepts, unions = joined(other, truth).concepts()
    assert concepts.tolist() == [4, 5]
    torch.testing.assert_close(unions, torch.stack([union, masks[2]]))
    right = torch.stack([union, masks[2], torch.zeros(32, 32), union])[None] * 20 - 10
    good = CONCEPT.concept_losses(right, joined(truth), uniform)
    bad = CONCEPT.concept_losses(-right, joined(truth), uniform)
    assert all(bad[name] > max(4, 10 * good[name]) for name in bad)


def test_masks_of_unknown_categories_cost_nothing() -> None:
    masks = torch.randn(1, 2, 8, 8, requires_grad=True)
    losses = CONCEPT.concept_losses(masks, joined(truth_of([0], [True, False])), uniform)
    torch.stack(list(losses.values())).sum().backward()
    assert masks.grad is not None
    assert masks.grad[0, 0].any()
    assert not masks.grad[0, 1].any()
    unknown = CONCEPT.concept_losses(masks, joined(truth_of([0], [False, False])), uniform)
    assert all(loss == 0 for loss in unknown.values())


def test_categories_without_objects_teach_an_empty_mask_and_no_dice() -> None:
    full = torch.full((1, 1, 8, 8), 4.0)
    losses = CONCEPT.concept_losses(full, joined(truth_of([], [True])), uniform)
    assert losses["concept_bce"] > 3
    assert losses["concept_dice"] == 0
