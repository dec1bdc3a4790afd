from __future__ import annotations

import numpy as np
import pytest

from dinov.masks import rasterise
from dinov.training.prompt_sampling import PROMPT_TYPES, sample_prompt, sample_prompt_mask
from dinov.types import Mask, PromptType

SEEDS = range(20)


def disc(radius: float = 20, side: int = 80) -> Mask:
    y, x = np.mgrid[:side, :side]
    mask: Mask = (x - 35) ** 2 + (y - 40) ** 2 <= radius**2
    return mask


@pytest.mark.parametrize("seed", SEEDS)
def test_points_lie_inside_and_mostly_away_from_the_edge(seed: int) -> None:
    drawn = sample_prompt_mask(disc(), PromptType.POINT, np.random.default_rng(seed))
    assert drawn.sum() == 1
    assert (drawn <= disc()).all()
    assert (drawn <= disc(19)).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_boxes_are_loose_by_a_few_percent(seed: int) -> None:
    drawn = sample_prompt_mask(disc(), PromptType.BOX, np.random.default_rng(seed))
    rows, columns = np.flatnonzero(drawn.any(1)), np.flatnonzero(drawn.any(0))
    assert abs(rows[0] - 20) <= 3
    assert abs(rows[-1] - 60) <= 3
    assert abs(columns[0] - 15) <= 3
    assert abs(columns[-1] - 55) <= 3


@pytest.mark.parametrize("seed", SEEDS)
def test_scribbles_are_thin_and_nearly_inside(seed: int) -> None:
    prompt = sample_prompt(disc(), PromptType.SCRIBBLE, np.random.default_rng(seed))
    drawn = rasterise(prompt, (80, 80))
    assert prompt.width is not None
    assert 1 <= prompt.width <= 2
    assert (drawn & disc()).sum() >= 0.9 * drawn.sum()
    assert drawn.sum() < 0.3 * disc().sum()


def test_a_mask_prompt_is_the_truth() -> None:
    rng = np.random.default_rng(0)
    assert (rasterise(sample_prompt(disc(), PromptType.MASK, rng), (80, 80)) == disc()).all()


@pytest.mark.parametrize("kind", PROMPT_TYPES)
@pytest.mark.parametrize("corner", [(0, 0), (39, 59)])
def test_one_pixel_in_a_corner_can_be_prompted(kind: PromptType, corner: tuple[int, int]) -> None:
    mask = np.zeros((40, 60), np.bool_)
    mask[corner] = True
    for seed in SEEDS:
        assert sample_prompt_mask(mask, kind, np.random.default_rng(seed))[corner]


@pytest.mark.parametrize("kind", PROMPT_TYPES)
def test_the_same_seed_draws_the_same_prompt(kind: PromptType) -> None:
    first, again, other = (
        sample_prompt(disc(), kind, np.random.default_rng(seed), category_id=7)
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first.category_id == 7
    assert kind is PromptType.MASK or first != other
