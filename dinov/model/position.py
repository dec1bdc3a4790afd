"""Sine position codes of maps and of boxes."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def code_periods(dim: int, device: torch.device) -> Tensor:
    """[dim], the period of each channel of the code of one coordinate: made once for many codes."""
    channel = torch.arange(dim, dtype=torch.float32, device=device)
    return 10000 ** (2 * torch.div(channel, 2, rounding_mode="floor") / dim)


def map_position_code(height: int, width: int, periods: Tensor) -> Tensor:
    """[height * width, 2 * D] code of a map, row by row, of D periods: first rows, then columns."""
    y = torch.arange(1, height + 1, dtype=torch.float32, device=periods.device) / (height + 1e-6)
    x = torch.arange(1, width + 1, dtype=torch.float32, device=periods.device) / (width + 1e-6)
    rows = _sine_code(y * 2 * math.pi, periods)[:, None].expand(-1, width, -1)
    columns = _sine_code(x * 2 * math.pi, periods)[None].expand(height, -1, -1)
    return torch.cat([rows, columns], dim=-1).flatten(0, 1)


def box_position_code(boxes_cxcywh: Tensor, periods: Tensor) -> Tensor:
    """[..., 4] boxes to [..., 4 * D], of D periods: the codes of cy, cx, w and h, in this order."""
    # No list of indices: it would be copied to the device each time.
    yxwh = torch.cat([boxes_cxcywh[..., :2].flip(-1), boxes_cxcywh[..., 2:]], dim=-1)
    return _sine_code(yxwh.float() * 2 * math.pi, periods).flatten(-2)


def _sine_code(position: Tensor, periods: Tensor) -> Tensor:
    """[...] positions in radians to [..., D]: sine on even, cosine on odd channels."""
    phase = position[..., None] / periods
    return torch.stack([phase[..., 0::2].sin(), phase[..., 1::2].cos()], dim=-1).flatten(-2)
