"""Sampling equals bilinear interpolation computed by hand, inside, at the border and outside."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from dinov.model.deformable_attention import MultiScaleDeformableAttention, sample_and_sum

SIZES = [(3, 5), (2, 4)]


def by_hand(value: Tensor, places: Tensor, weights: Tensor) -> Tensor:
    """The definition, pixel by pixel."""
    b, q, heads, levels, points, _ = places.shape
    out = torch.zeros(b, q, heads, value.shape[-1])
    start = 0
    for level in range(levels):
        height, width = SIZES[level]
        grid = value[:, start : start + height * width].unflatten(1, (height, width))
        start += height * width
        for i, j, h, p in torch.cartesian_prod(*map(torch.arange, (b, q, heads, points))).tolist():
            x, y = (places[i, j, h, level, p] - 0.5).tolist()
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
    places = (torch.rand(2, 4, 2, 2, 3, 2, generator=generator) * 2 - 0.5) * reach
    weights = torch.rand(2, 4, 2, 2, 3, generator=generator)
    got = sample_and_sum(value, SIZES, places, weights)
    torch.testing.assert_close(got, by_hand(value, places, weights), atol=1e-5, rtol=1e-5)


def test_gradients_are_those_of_the_definition() -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = (
        torch.randn(1, 23, 2, 3, generator=generator, requires_grad=True),
        (torch.rand(1, 3, 2, 2, 2, 2, generator=generator) * 4).requires_grad_(),
        torch.rand(1, 3, 2, 2, 2, generator=generator, requires_grad=True),
    )
    value, places, weights = inputs
    got = torch.autograd.grad(sample_and_sum(value, SIZES, places, weights).sin().sum(), inputs)
    numeric = []
    for tensor in inputs:
        grad, flat = torch.zeros_like(tensor), tensor.detach().view(-1)
        for k in range(flat.numel()):
            kept, step = flat[k].item(), 1e-2
            flat[k] = kept + step
            above = sample_and_sum(value, SIZES, places, weights).sin().sum().item()
            flat[k] = kept - step
            below = sample_and_sum(value, SIZES, places, weights).sin().sum().item()
            flat[k] = kept
            grad.view(-1)[k] = (above - below) / (2 * step)
        numeric.append(grad)
    for a, b in zip(got, numeric, strict=True):
        close = (a - b).abs() < 2e-2
        # A place within one step of a pixel border has two slopes.
        assert close.float().mean() > 0.9


def test_points_and_boxes_scale_offsets_differently() -> None:
    torch.manual_seed(0)
    attention = MultiScaleDeformableAttention(16, levels=2, heads=2, points=3)
    memory, query = torch.randn(1, 23, 16), torch.randn(1, 1, 16)
    point = torch.tensor([[[0.5, 0.5]]])
    whole = torch.tensor([[[0.5, 0.5, 1.0, 1.0]]])
    nothing = torch.tensor([[[0.5, 0.5, 0.0, 0.0]]])
    outputs = [attention(query, r, memory, SIZES) for r in (point, whole, nothing)]
    assert not torch.allclose(outputs[0], outputs[1])
    assert not torch.allclose(outputs[1], outputs[2])
