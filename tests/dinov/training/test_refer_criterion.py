from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from dinov.model.dinov import ReferPrediction
from dinov.training.config import LossWeights
from dinov.training.matcher import Matcher
from dinov.training.refer_criterion import ReferCriterion
from dinov.training.truths import ReferTruth, Truth, Truths

WEIGHTS = LossWeights()
CRITERION = ReferCriterion(WEIGHTS, 64)


def uniform(shape: tuple[int, ...]) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(5))


def truth_of(masks: Tensor, boxes: Sequence[Sequence[float]]) -> Truth:
    labels = torch.full((len(masks),), -1)
    return Truth(labels, torch.tensor(boxes).view(-1, 4), masks, torch.zeros(0, dtype=torch.bool))


@pytest.fixture
def halves() -> Truth:
    """The left half of the image, and the upper half."""
    masks = torch.zeros(2, 32, 32)
    masks[0, :, :16] = 1
    masks[1, :16] = 1
    return truth_of(masks, [[0.25, 0.5, 0.5, 1], [0.5, 0.25, 1, 0.5]])


def answer(truth: Truth, queries: Sequence[int], wanted: Sequence[int]) -> ReferPrediction:
    """Perfect proposals: ``queries`` says which instance each shows, ``wanted`` what is asked."""
    numbers = torch.tensor(queries)
    scores = torch.stack([10.0 * (numbers == i) for i in wanted]) if wanted else torch.zeros(0, 1)
    return ReferPrediction(
        scores.view(1, len(wanted), len(queries)).requires_grad_(),
        torch.ones(1, len(queries)).requires_grad_(),
        truth.boxes_cxcywh[numbers][None],
        (40 * truth.masks[numbers] - 20)[None].requires_grad_(),
    )


def asked_of(covered: Sequence[Sequence[bool]], wanted: Sequence[int]) -> ReferTruth:
    return ReferTruth(np.array(covered, np.bool_), np.array(wanted, np.int64))


NOTHING = ReferTruth(np.zeros((2, 0), np.bool_), np.zeros(0, np.int64))


def test_the_queries_of_a_point_share_the_instances_that_cover_it(halves: Truth) -> None:
    # Two points of two queries each: the first lies in both halves, the second in the upper one.
    covered = asked_of([[True, True], [False, True]], []).covered
    seen = torch.tensor([1, 0, 0, 1])
    # Nothing is in the first image of the batch.
    found = Matcher(WEIGHTS, 64).match_points(
        halves.boxes_cxcywh[seen].repeat(2, 1, 1),
        (40 * halves.masks[seen] - 20).repeat(2, 1, 1, 1),
        Truths.of([truth_of(torch.zeros(0, 32, 32), []), halves]),
        [NOTHING.covered, covered],
        uniform,
    )
    assert found.image.tolist() == [1, 1, 1]
    assert found.query.tolist() == [0, 1, 3]
    assert found.instance.tolist() == [1, 0, 1]


def test_at_most_as_many_instances_are_matched_as_a_point_has_queries(halves: Truth) -> None:
    found = Matcher(WEIGHTS, 64).match_points(
        halves.boxes_cxcywh[None, :1],
        40 * halves.masks[None, :1] - 20,
        Truths.of([halves]),
        [np.ones((1, 2), np.bool_)],
        uniform,
    )
    assert (found.query.tolist(), found.instance.tolist()) == ([0], [0])


@pytest.mark.parametrize("softmax", [True, False])
def test_the_right_answer_costs_little_and_the_swapped_one_much(
    halves: Truth, softmax: bool
) -> None:
    criterion = ReferCriterion(WEIGHTS, 64, softmax)
    asked = [asked_of([[True, True]], [0, 1])]
    right = criterion([answer(halves, [0, 1], [0, 1])], Truths.of([halves]), asked, uniform)
    swapped = criterion([answer(halves, [0, 1], [1, 0])], Truths.of([halves]), asked, uniform)
    assert right["refer_match_0"] < 0.01 if softmax else right["refer_match_0"] < 0.5
    assert swapped["refer_match_0"] > 10 * right["refer_match_0"]
    assert right["refer_box_l1_0"] == pytest.approx(0, abs=1e-5)
    assert right["refer_iou_0"] < 0.05


def test_suppressed_proposals_do_not_compete(halves: Truth) -> None:
    asked = [asked_of([[True, True]], [0])]
    alone = CRITERION([answer(halves, [0, 1], [0])], Truths.of([halves]), asked, uniform)
    doubled = CRITERION([answer(halves, [0, 0, 1, 1], [0])], Truths.of([halves]), asked, uniform)
    torch.testing.assert_close(doubled["refer_match_0"], alone["refer_match_0"])


def test_every_layer_has_all_losses_and_images_may_differ_in_prompts(halves: Truth) -> None:
    empty = truth_of(torch.zeros(0, 32, 32), [])
    layer = ReferPrediction(
        torch.randn(2, 2, 4, requires_grad=True),
        torch.rand(2, 4, requires_grad=True),
        torch.rand(2, 4, 4) * 0.4 + 0.2,
        torch.randn(2, 4, 8, 8, requires_grad=True),
    )
    asked = [
        asked_of([[True, True], [False, True]], [1, 0]),
        NOTHING,
    ]
    losses = CRITERION([layer, layer], Truths.of([halves, empty]), asked, uniform)
    terms = ("mask_bce", "mask_dice", "box_l1", "box_giou", "iou", "match")
    assert set(losses) == {f"refer_{term}_{i}" for term in terms for i in (0, 1)}
    torch.stack(list(losses.values())).sum().backward()
    assert layer.match_scores.grad is not None
    assert layer.match_scores.grad[0].abs().sum() > 0
    assert layer.match_scores.grad[1].abs().sum() == 0


def test_a_batch_without_objects_can_be_trained_on() -> None:
    empty = truth_of(torch.zeros(0, 32, 32), [])
    layer = ReferPrediction(
        torch.zeros(1, 0, 4, requires_grad=True),
        torch.rand(1, 4, requires_grad=True),
        torch.rand(1, 4, 4),
        torch.randn(1, 4, 8, 8, requires_grad=True),
    )
    losses = CRITERION([layer], Truths.of([empty]), [NOTHING], uniform)
    total = torch.stack(list(losses.values())).sum()
    total.backward()
    assert total == 0
