"""All ways of sampling equal bilinear interpolation computed by hand, also outside the maps."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from dinov.model.sampling import (
    QUERIES_AT_ONCE,
    LevelSizes,
    gather_and_sum,
    project_and_gather,
    project_and_sample,
    project_and_sample_on_grids,
    sample_on_grids,
)
from dinov.plain import sample_plainly


def sizes_of(*sizes_hw: tuple[int, int]) -> LevelSizes:
    return LevelSizes.of([torch.empty(1, 1, *size) for size in sizes_hw])


SIZES = sizes_of((3, 5), (2, 4))


def by_hand(value: Tensor, places: Tensor, weights: Tensor) -> Tensor:
    """The definition, pixel by pixel."""
    _, b, q, heads, levels, points = places.shape
    out = torch.zeros(b, q, heads, value.shape[-1])
    start = 0
    for level in range(levels):
        height, width = SIZES.hw[level]
        grid = value[:, start : start + height * width].unflatten(1, (height, width))
        start += height * width
        for i, j, h, p in torch.cartesian_prod(*map(torch.arange, (b, q, heads, points))).tolist():
            x, y = (places[:, i, j, h, level, p] - 0.5).tolist()
            for row in (math.floor(y), math.floor(y) + 1):
                for column in (math.floor(x), math.floor(x) + 1):
                    if 0 <= row < height and 0 <= column < width:
                        factor = (1 - abs(y - row)) * (1 - abs(x - column))
                        sample = grid[i, row, column, h]
                        out[i, j, h] += weights[i, j, h, level, p] * factor * sample
    return out.flatten(2)


@pytest.mark.parametrize("reach", [1.0, 3.0, 50.0])
def test_sampling_equals_the_definition(reach: float) -> None:
    generator = torch.Generator().manual_seed(int(reach))
    value = torch.randn(2, 23, 2, 3, generator=generator)
    places = (torch.rand(2, 2, 4, 2, 2, 3, generator=generator) * 2 - 0.5) * reach
    weights = torch.rand(2, 4, 2, 2, 3, generator=generator)
    expected = by_hand(value, places, weights)
    on_grids = sample_on_grids(value, SIZES, places, weights)
    torch.testing.assert_close(on_grids, expected, atol=1e-5, rtol=1e-5)
    plain = sample_plainly(value.flatten(2), None, SIZES, places, weights)
    torch.testing.assert_close(plain, expected, atol=1e-5, rtol=1e-5)
    gathered, inside = gather_and_sum(value, SIZES, places, weights)
    torch.testing.assert_close(gathered.flatten(2), expected, atol=1e-5, rtol=1e-5)
    share = by_hand(torch.ones(2, 23, 2, 1), places, weights)
    torch.testing.assert_close(inside, share, atol=1e-5, rtol=1e-5)


def test_gradients_are_those_of_the_definition() -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = (
        torch.randn(1, 23, 2, 3, generator=generator, requires_grad=True),
        (torch.rand(2, 1, 3, 2, 2, 2, generator=generator) * 4).requires_grad_(),
        torch.rand(1, 3, 2, 2, 2, generator=generator, requires_grad=True),
    )
    value, places, weights = inputs
    got = torch.autograd.grad(sample_on_grids(value, SIZES, places, weights).sin().sum(), inputs)
    numeric = []
    for tensor in inputs:
        grad, flat = torch.zeros_like(tensor), tensor.detach().view(-1)
        for k in range(flat.numel()):
            kept, step = flat[k].item(), 1e-2
            flat[k] = kept + step
            above = sample_on_grids(value, SIZES, places, weights).sin().sum().item()
            flat[k] = kept - step
            below = sample_on_grids(value, SIZES, places, weights).sin().sum().item()
            flat[k] = kept
            grad.view(-1)[k] = (above - below) / (2 * step)
        numeric.append(grad)
    for a, b in zip(got, numeric, strict=True):
        close = (a - b).abs() < 2e-2
        # A place within one step of a pixel border has two slopes.
        assert close.float().mean() > 0.9


ODD_SIZES = [
    sizes_of((1, 1)),
    sizes_of((1, 7), (6, 1)),
    sizes_of((2, 2), (1, 1), (9, 13)),
    sizes_of((20, 27), (10, 14), (5, 7)),
]
TWO = sizes_of((20, 27), (10, 14))


def question(
    sizes: LevelSizes, queries: int, batch: int = 2
) -> tuple[Tensor, torch.nn.Linear, Tensor, Tensor]:
    """Memory, projection, places and weights; many places on pixel centres, borders and outside."""
    generator = torch.Generator().manual_seed(queries)
    count = sum(height * width for height, width in sizes.hw)
    memory = torch.randn(batch, count, 16, generator=generator)
    shape = (batch, queries, 4, len(sizes.hw), 3)
    places = torch.rand(2, *shape, generator=generator) * 16 - 1.5
    places[..., 0] = (places[..., 0] * 2).round() / 2
    places[..., 1] *= 1e6
    weights = torch.randn(*shape, generator=generator)
    torch.manual_seed(0)
    return memory, torch.nn.Linear(16, 8), places, weights


@pytest.mark.parametrize("sizes", ODD_SIZES, ids=lambda sizes: str(sizes.hw))
@pytest.mark.parametrize("queries", [0, 1, 2, QUERIES_AT_ONCE + 3])
@torch.no_grad()
def test_gathering_equals_sampling_on_grids(sizes: LevelSizes, queries: int) -> None:
    memory, projection, places, weights = question(sizes, queries)
    expected = project_and_sample_on_grids(memory, projection, sizes, places, weights)
    got = project_and_gather(memory, projection, sizes, places, weights)
    torch.testing.assert_close(got, expected, atol=2e-5, rtol=1e-5)


@torch.no_grad()
def test_a_place_that_is_not_a_number_spoils_its_own_query_only() -> None:
    sizes = TWO
    for queries in (5, 300):  # projected after and before sampling
        memory, projection, places, weights = question(sizes, queries)
        expected = project_and_gather(memory, projection, sizes, places, weights)
        places[0, 1, 3, 2, 0, 1] = math.nan
        got = project_and_gather(memory, projection, sizes, places, weights)
        assert got[1, 3].isnan().any()
        expected[1, 3] = got[1, 3] = 0
        torch.testing.assert_close(got, expected)


@torch.no_grad()
def test_half_precision_is_summed_in_single_precision() -> None:
    sizes = TWO
    memory, projection, places, weights = question(sizes, 300)
    expected = project_and_gather(memory, projection, sizes, places, weights)
    half, same = memory.bfloat16(), projection.bfloat16()
    got = project_and_gather(half, same, sizes, places, weights.bfloat16())
    assert got.dtype == torch.float32
    assert (got - expected).norm() < 0.02 * expected.norm()


def test_gradients_flow_where_they_are_wanted() -> None:
    memory, projection, places, weights = question(TWO, 5)
    for tensor in (memory, places, weights):
        tensor.requires_grad_()
    out = project_and_sample(memory, projection, TWO, places, weights)
    out.square().sum().backward()
    for tensor in (memory, places, weights, projection.weight, projection.bias):
        assert tensor.grad is not None
        assert tensor.grad.any()
