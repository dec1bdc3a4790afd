"""Windowed attention equals its definition on maps of any size."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dinov.model.swin import SwinBlock, shifted_window_mask

WINDOW, HEADS, DIM = 3, 2, 8


def by_definition(block: SwinBlock, x: Tensor) -> Tensor:
    """[H, W, C]: every position sees those in its cell of a grid of windows.

    The grid starts at the top left corner, or half a window below and right of it; positions that
    fill up the last windows are zeros.
    """
    height, width, dim = x.shape
    attention = block.attn
    padded = torch.zeros(height + -height % WINDOW, width + -width % WINDOW, dim)
    padded[:height, :width] = x
    places = [(y, x) for y in range(padded.shape[0]) for x in range(padded.shape[1])]
    qkv = attention.qkv(padded).view(*padded.shape[:2], 3, HEADS, dim // HEADS)
    cells: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for y, x_ in places:
        cell = ((y - block.shift) // WINDOW, (x_ - block.shift) // WINDOW)
        cells.setdefault(cell, []).append((y, x_))
    result = torch.zeros_like(padded)
    for members in cells.values():
        for y, x_ in members:
            rows = [
                (y - other_y + WINDOW - 1) * (2 * WINDOW - 1) + x_ - other_x + WINDOW - 1
                for other_y, other_x in members
            ]
            bias = attention.relative_position_bias_table[rows]  # [N, heads]
            keys = torch.stack([qkv[place][1] for place in members])  # [N, heads, d]
            values = torch.stack([qkv[place][2] for place in members])
            logits = (keys * qkv[y, x_][0]).sum(-1) / (dim // HEADS) ** 0.5 + bias
            result[y, x_] = (logits.softmax(0)[..., None] * values).sum(0).flatten()
    return attention.proj(result)[:height, :width]


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("size_hw", [(1, 1), (1, 4), (3, 3), (5, 8), (7, 6), (10, 2)])
def test_windows_on_maps_of_any_size(size_hw: tuple[int, int], shift: int) -> None:
    torch.manual_seed(0)
    block = SwinBlock(DIM, heads=HEADS, window_size=WINDOW, shift=shift, drop_rate=0.0).eval()
    torch.nn.init.normal_(block.attn.relative_position_bias_table)
    x = torch.randn(*size_hw, DIM)
    regions = shifted_window_mask(*size_hw, WINDOW, x.device)
    with torch.inference_mode():
        found = block._windowed_attention(x[None], regions)[0]
        expected = by_definition(block, x)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
