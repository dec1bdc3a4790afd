"""Positive and negative prompts of a category on one another."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from dinov.corrections import corrected
from dinov.errors import InvalidPrompt
from dinov.masks import rasterise
from dinov.types import Mask, Prompt, PromptType

SIZE = (40, 60)


def box(*corners: float, category_id: int = 1, positive: bool = True) -> Prompt:
    return Prompt(category_id, PromptType.BOX, corners, positive=positive)


def unwanted(*corners: float, category_id: int = 1) -> Prompt:
    return box(*corners, category_id=category_id, positive=False)


def area(*corners: int) -> Mask:
    return rasterise(box(*corners), SIZE)


def mask_of(prompt: Prompt | None) -> Mask:
    assert prompt is not None
    return rasterise(prompt, SIZE)


def test_prompts_that_lie_apart_mean_what_they_are() -> None:
    prompts = [box(0, 0, 10, 10), unwanted(20, 20, 30, 30), box(40, 0, 50, 10, category_id=2)]
    assert corrected(prompts, SIZE) == prompts


def test_a_negative_inside_a_positive_is_cut_out_and_no_concept() -> None:
    whole, hole = corrected([box(0, 0, 20, 20), unwanted(5, 5, 10, 10)], SIZE)
    assert hole is None
    assert np.array_equal(mask_of(whole), area(0, 0, 20, 20) & ~area(5, 5, 10, 10))
    assert whole is not None
    assert (whole.category_id, whole.positive, whole.type) == (1, True, PromptType.MASK)


def test_a_scribble_may_slip_over_the_border() -> None:
    scribble = Prompt(1, PromptType.SCRIBBLE, (12, 10, 24, 10), width=4, positive=False)
    whole, slip = corrected([box(0, 0, 20, 20), scribble], SIZE)
    assert slip is None
    assert not mask_of(whole)[10, 15]


def test_a_negative_that_only_touches_is_cut_out_and_competes() -> None:
    first, second = corrected([box(0, 0, 20, 20), unwanted(16, 0, 32, 12)], SIZE)
    assert np.array_equal(mask_of(first), area(0, 0, 20, 20) & ~area(16, 0, 32, 12))
    assert second == unwanted(16, 0, 32, 12)


def test_a_positive_on_a_larger_negative_is_cut_out_of_that() -> None:
    prompts = [Prompt(1, PromptType.POINT, (5.0, 5.0)), unwanted(0, 0, 20, 20)]
    point, rest = corrected(prompts, SIZE)
    assert point == prompts[0]
    assert np.argwhere(area(0, 0, 20, 20) & ~mask_of(rest)).tolist() == [[5, 5]]
    assert rest is not None
    assert not rest.positive


def test_an_island_in_a_hole_belongs_to_the_object() -> None:
    whole, hole, island = corrected(
        [box(0, 0, 30, 30), unwanted(5, 5, 25, 25), box(10, 10, 15, 15)], SIZE
    )
    assert hole is None
    assert np.array_equal(
        mask_of(whole), area(0, 0, 30, 30) & ~area(5, 5, 25, 25) | area(10, 10, 15, 15)
    )
    assert island == box(10, 10, 15, 15)


def test_other_categories_are_left_alone() -> None:
    prompts = [box(0, 0, 20, 20), unwanted(5, 5, 10, 10, category_id=2)]
    assert corrected(prompts, SIZE) == prompts


def test_a_positive_that_is_covered_altogether_is_refused() -> None:
    with pytest.raises(InvalidPrompt, match="cover all of a box prompt"):
        corrected([box(0, 0, 20, 20), unwanted(0, 0, 20, 20)], SIZE)


def random_prompts(rng: np.random.Generator) -> list[Prompt]:
    return [
        box(
            *(x, y, x + width, y + height),
            category_id=int(rng.integers(1, 3)),
            positive=bool(rng.integers(2)),
        )
        for x, y, width, height in rng.integers(1, 20, (rng.integers(2, 7), 4)).tolist()
    ]


def test_signs_never_share_a_pixel_and_nothing_is_added() -> None:
    rng = np.random.default_rng(0)
    resolved = 0
    for _ in range(100):
        prompts = random_prompts(rng)
        try:
            meant = corrected(prompts, SIZE)
        except InvalidPrompt:  # now and then one is covered altogether
            continue
        resolved += 1
        for prompt, now in zip(prompts, meant, strict=True):
            assert now is not None or not prompt.positive
            if now is not None:
                assert not (mask_of(now) & ~mask_of(prompt)).any()
        for a, b in combinations([p for p in meant if p is not None], 2):
            if a.category_id == b.category_id and a.positive != b.positive:
                assert not (mask_of(a) & mask_of(b)).any()
    assert resolved > 50
