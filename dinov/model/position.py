"""Sine position codes of maps and of boxes."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def _sine_code(position: Tensor, dim: int) -> Tensor:
    """[...] positions in radians to [..., dim]: sine on even, cosine on odd channels."""
    channel = torch.arange(dim, dtype=torch.float32, device=position.device)
    period = 10000 ** (2 * torch.div(channel, 2, rounding_mode="floor") / dim)
    phase = position[..., None] / period
    return torch.stack([phase[..., 0::2].sin(), phase[..., 1::2].cos()], dim=-1).flatten(-2)


def map_position_code(height: int, width: int, dim: int, device: torch.device) -> Tensor:
    """[height * width, dim] code of a map, row by row: first half rows, second half columns."""
    y = torch.arange(1, height + 1, dtype=torch.float32, device=device) / (height + 1e-6)
    x = torch.arange(1, width + 1, dtype=torch.float32, device=device) / (width + 1e-6)
    rows = _sine_code(y * 2 * math.pi, dim // 2)[:, None].expand(-1, width, -1)
    columns = _sine_code(x * 2 * math.pi, dim // 2)[None].expand(height, -1, -1)
    return torch.cat([rows, columns], dim=-1).flatten(0, 1)


def box_position_code(boxes_cxcywh: Tensor, dim: int) -> Tensor:
    """[..., 4] boxes to [..., 2 * dim]: four codes of dim / 2 in the order cy, cx, w, h."""
    yxwh = boxes_cxcywh[..., [1, 0, 2, 3]]
    return _sine_code(yxwh.float() * 2 * math.pi, dim // 2).flatten(-2)
