"""Leave-one-out scores: what they are made of, on a model whose answers are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dinov.errors import FingerprintMismatch
from dinov.images import ImageTransform
from dinov.leave_one_out import leave_one_out
from dinov.masks import encode_rle
from dinov.predictor import Comparison
from dinov.prompt_bank import PromptBank
from dinov.types import Image, Mask, Prompt, PromptType, Reference

SIDE = 64
TRANSFORM = ImageTransform((SIDE, SIDE), (SIDE, SIDE), (SIDE, SIDE))
SURE = 20.0


def block(top: int, left: int, bottom: int, right: int) -> Mask:
    mask = np.zeros((SIDE, SIDE), np.bool_)
    mask[top:bottom, left:right] = True
    return mask


OBJECT = block(8, 8, 24, 40)
ELSEWHERE = block(40, 40, 60, 60)


class FakePredictor:
    """Proposes ``OBJECT`` and ``ELSEWHERE``; the logits are the two numbers of a concept."""

    fingerprint = "fake"

    def __init__(self) -> None:
        self.asked: list[Tensor] = []

    def compare(self, image: Image, concepts: Tensor) -> Comparison:
        self.asked.append(concepts)
        cells = np.stack([OBJECT, ELSEWHERE])[:, ::4, ::4]
        mask_logits = torch.where(torch.from_numpy(cells), SURE, -SURE)
        return Comparison(concepts.T, mask_logits, TRANSFORM)


def score_of(prompt: Prompt, others: Tensor) -> float:
    """The score of one prompt whose category has these other examples."""
    bank = PromptBank("fake", {1: torch.cat([torch.full((1, 2), 99.0), others])})
    predictor: Any = FakePredictor()
    reference = Reference(np.zeros((SIDE, SIDE, 3), np.uint8), [prompt])
    (found,) = leave_one_out(predictor, [reference], bank)
    assert found.score is not None
    return found.score


FINDS_IT = torch.tensor([[SURE, -SURE]])
FINDS_ANOTHER = torch.tensor([[-SURE, SURE]])
PROMPTS = {
    "mask": Prompt(1, PromptType.MASK, rle=encode_rle(OBJECT)),
    "polygon": Prompt(1, PromptType.POLYGON, (8, 8, 40, 8, 40, 24, 8, 24)),
    "box": Prompt(1, PromptType.BOX, (8, 8, 40, 24)),
    "scribble": Prompt(1, PromptType.SCRIBBLE, (10, 16, 38, 16), width=2),
    "point": Prompt(1, PromptType.POINT, (20, 12)),
}


@pytest.mark.parametrize("kind", PROMPTS)
def test_an_object_that_the_others_find_scores_1_and_one_that_they_miss_0(kind: str) -> None:
    assert score_of(PROMPTS[kind], FINDS_IT) == pytest.approx(1, abs=1e-3)
    assert score_of(PROMPTS[kind], FINDS_ANOTHER) == pytest.approx(0, abs=1e-3)


def test_the_score_is_probability_times_agreement() -> None:
    half = Prompt(1, PromptType.MASK, rle=encode_rle(block(8, 8, 16, 40)))
    assert score_of(half, torch.tensor([[0.0, -SURE]])) == pytest.approx(0.5 * 0.5, abs=1e-3)
    twice = Prompt(1, PromptType.BOX, (8, 8, 40, 40))
    assert score_of(twice, FINDS_IT) == pytest.approx(0.5, abs=1e-3)
    leaving = Prompt(1, PromptType.SCRIBBLE, (24, 16, 55, 16), width=1)
    assert score_of(leaving, FINDS_IT) == pytest.approx(0.5, abs=0.05)


def test_each_example_is_left_out_of_its_own_mean() -> None:
    a, b, c, only = (torch.tensor([float(i), 0.0]) for i in range(4))
    bank = PromptBank("fake", {1: torch.stack([a, b, c]), 2: only[None]}, {1: only[None]})
    point, box = PROMPTS["point"], PROMPTS["box"]
    negative = Prompt(1, PromptType.POINT, (50, 50), positive=False)
    lonely = Prompt(2, PromptType.POINT, (50, 50))
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    predictor: Any = FakePredictor()
    found = leave_one_out(
        predictor,
        [Reference(image, [point, negative, lonely], "x"), Reference(image, [box, point], "y")],
        bank,
    )
    assert [(e.reference, e.prompt, e.score is None) for e in found] == [
        ("x", point, False),
        ("x", lonely, True),
        ("y", box, False),
        ("y", point, False),
    ]
    means = torch.cat(predictor.asked)
    assert means.tolist() == [
        ((b + c) / 2).tolist(),
        ((a + c) / 2).tolist(),
        ((a + b) / 2).tolist(),
    ]


def test_a_bank_of_another_model_is_refused() -> None:
    predictor: Any = FakePredictor()
    with pytest.raises(FingerprintMismatch):
        leave_one_out(predictor, [], PromptBank("other", {1: torch.ones(2, 2)}))
