"""From point proposals to the one object: what survives, what wins, and nothing invented."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dinov.images import ImageTransform
from dinov.masks import decode_rle
from dinov.model.dinov import PointProposals
from dinov.refer import ReferOptions, match_probabilities, surviving, take, to_referral
from dinov.types import Referral

SIDE = 16  # of the mask logits
TRANSFORM = ImageTransform((4 * SIDE,) * 2, (4 * SIDE,) * 2, (4 * SIDE,) * 2)
FEATURES = torch.eye(SIDE**2).reshape(1, -1, SIDE, SIDE)  # a mask vector is the mask itself


def block(row: int, column: int, side: int) -> Tensor:
    mask = torch.full((SIDE, SIDE), -1.0)
    mask[row : row + side, column : column + side] = 1.0
    return mask.flatten()


def proposals(*masks: Tensor, ious: list[float], boxes: list[list[float]]) -> PointProposals:
    vectors = torch.zeros(1, len(masks), 1)
    return PointProposals(
        vectors, torch.tensor([ious]), torch.tensor([boxes]), torch.stack(masks)[None]
    )


# Of the same point, as it were: whole, nearly the same, elsewhere, tiny, doubtful.
FIVE = proposals(
    block(0, 0, 8),
    block(0, 0, 9),
    block(8, 8, 8),
    block(4, 4, 2),
    block(0, 0, 16),
    ious=[0.8, 0.9, 0.7, 0.95, 0.5],
    boxes=[
        [0.25, 0.25, 0.5, 0.5],
        [0.26, 0.26, 0.52, 0.52],
        [0.75, 0.75, 0.5, 0.5],
        [0.31, 0.31, 0.12, 0.12],
        [0.5, 0.5, 1.0, 1.0],
    ],
)
OPTIONS = ReferOptions(grid=1)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [1, 2]),
        ({"nms_threshold": 0.95}, [1, 0, 2]),
        ({"min_area": 3}, [3, 1, 2]),
        ({"iou_threshold": 0.49}, [1, 2, 4]),
        ({"granularities": (0, 2)}, [0, 2]),
        ({"iou_threshold": 2.0}, []),
        ({"min_area": 256}, []),
    ],
)
def test_which_proposals_survive(changes: dict[str, Any], expected: list[int]) -> None:
    assert surviving(FIVE, FEATURES, replace(OPTIONS, **changes)).tolist() == expected


def test_impossible_options_are_refused() -> None:
    with pytest.raises(ValueError, match="granularities 0 to 4"):
        surviving(FIVE, FEATURES, replace(OPTIONS, granularities=(5,)))
    with pytest.raises(ValueError, match="None means all"):
        ReferOptions(granularities=())
    with pytest.raises(ValueError, match="at least 1 point"):
        ReferOptions(grid=0)


def refer(scores: list[list[float]], **options: Any) -> Referral:
    kept = surviving(FIVE, FEATURES, replace(OPTIONS, nms_threshold=0.95))
    ids = options.pop("ids", list(range(1, len(scores) + 1)))
    negative_ids = options.pop("negative_ids", [])
    probabilities = match_probabilities(torch.tensor(scores), ids, negative_ids)
    thresholds = options.pop("score_thresholds", [0.0] * len(ids))
    return to_referral(
        probabilities,
        take(FIVE, kept),
        FEATURES,
        ids,
        TRANSFORM,
        score_thresholds=thresholds,
        **options,
    )


def test_the_best_proposal_of_each_object_at_the_original_size() -> None:
    referral = refer([[0.0, 1.0, 5.0], [9.0, 0.0, 0.0]])
    (first,), (second,) = referral.candidates[1], referral.candidates[2]
    assert (first.category_id, second.category_id) == (1, 2)
    expected = np.zeros(TRANSFORM.original_hw, np.bool_)
    expected[32:, 32:] = True
    # Enlarged bilinearly, the inner corner of a block loses its outermost pixel.
    assert (decode_rle(first.rle) ^ expected).sum() == 1
    assert first.area == expected.sum() - 1
    assert first.score == pytest.approx(float(torch.tensor([0.0, 1, 5]).softmax(0)[2]))
    assert [i.category_id for i in referral.best.instances] == [2, 1]


def test_the_next_best_are_there_for_who_asks() -> None:
    ranked = refer([[0.0, 1.0, 2.0]], max_candidates=2).candidates[1]
    assert [i.box_xyxy for i in ranked] == [(32, 32, 64, 64), (0, 0, 32, 32)]
    assert ranked[0].score > ranked[1].score
    assert len(refer([[0.0, 1.0, 2.0]], max_candidates=10).candidates[1]) == 3


def test_the_order_of_the_objects_does_not_matter() -> None:
    rows = [[0.0, 1.0, 5.0], [9.0, 0.0, 0.0], [0.0, 3.0, 1.0]]
    straight, turned = refer(rows, ids=[4, 5, 6]), refer(rows[::-1], ids=[6, 5, 4])
    assert straight.candidates == turned.candidates


def test_a_proposal_that_fits_the_negative_better_is_not_the_object() -> None:
    scores = [[0.0, 4.0, 5.0], [0.0, 0.0, 0.0]]
    plain = refer([*scores], ids=[1, 2], max_candidates=3)
    negative = [[1.0, -1.0, 6.0]]
    refused = refer([*scores, *negative], ids=[1, 2], negative_ids=[1], max_candidates=3)
    # The scores of what is left stay as they were: no certainty is made up.
    assert refused.candidates[1] == plain.candidates[1][1:2]
    assert refused.candidates[2] == plain.candidates[2]


def test_nothing_survives_and_nothing_is_found() -> None:
    none = torch.zeros(0, dtype=torch.long)
    probabilities = match_probabilities(torch.zeros(3, 0), [1, 2], [2])
    referral = to_referral(
        probabilities, take(FIVE, none), FEATURES, [1, 2], TRANSFORM, score_thresholds=[0.0, 0.0]
    )
    assert referral.candidates == {1: (), 2: ()}
    assert len(referral.best) == 0
    assert refer([[0.0, 1.0, 2.0]], score_thresholds=[1.0]).candidates == {1: ()}
    alike = refer([[0.0, 1.0, 2.0]] * 2, score_thresholds=[1.0, 0.5])
    assert [len(found) for found in alike.candidates.values()] == [0, 1]


def test_a_referral_holds_together() -> None:
    (instance,) = refer([[0.0, 1.0, 2.0]]).candidates[1]
    better = replace(instance, score=0.9)
    with pytest.raises(ValueError, match="size"):
        Referral((3, 3), {1: (instance,)})
    with pytest.raises(ValueError, match="best candidate first"):
        Referral(TRANSFORM.original_hw, {1: (instance, better)})
    with pytest.raises(ValueError, match="object 2"):
        Referral(TRANSFORM.original_hw, {2: (instance,)})
