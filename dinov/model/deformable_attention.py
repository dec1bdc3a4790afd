"""Multi-scale deformable attention (Deformable DETR, arXiv 2010.04159) in plain PyTorch.

Bilinear sampling is a weighted sum of four rows of a table, so a head's whole output is a weighted
sum of levels x points x 4 rows: one ``embedding_bag``. That gathers and sums in one pass instead of
writing every sample to memory, as ``grid_sample`` does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class MultiScaleDeformableAttention(nn.Module):
    """Each query looks at a few learned places of every level of a feature pyramid."""

    def __init__(self, dim: int, levels: int, heads: int, points: int) -> None:
        super().__init__()
        self.levels, self.heads, self.points = levels, heads, points
        self.sampling_offsets = nn.Linear(dim, heads * levels * points * 2)
        self.attention_weights = nn.Linear(dim, heads * levels * points)
        self.value_proj = nn.Linear(dim, dim)
        self.output_proj = nn.Linear(dim, dim)
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        # Offsets start on a star: one direction per head, one pixel further per point.
        angle = torch.arange(self.heads) * (2 * math.pi / self.heads)
        star = torch.stack([angle.cos(), angle.sin()], dim=-1)
        star = star / star.abs().amax(dim=-1, keepdim=True)
        steps = torch.arange(1, self.points + 1)
        bias = star[:, None, None] * steps[:, None]  # [h, 1, p, 2]
        with torch.no_grad():
            self.sampling_offsets.weight.zero_()
            self.sampling_offsets.bias.copy_(bias.expand(-1, self.levels, -1, -1).flatten())
            self.attention_weights.weight.zero_()
            self.attention_weights.bias.zero_()
        for projection in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(projection.weight)
            nn.init.zeros_(projection.bias)

    def forward(
        self,
        query: Tensor,
        references: Tensor,
        memory: Tensor,
        sizes_hw: Sequence[tuple[int, int]],
    ) -> Tensor:
        """Attend from queries to a flattened pyramid.

        Args:
            query: [B, Q, C], position code included.
            references: [B, Q, 2] points, or [B, Q, 4] boxes cxcywh, in 0–1 of the padded input.
                Offsets are in pixels of the level for points, in half box sizes over the number
                of points for boxes.
            memory: [B, N, C], the levels one after the other.
            sizes_hw: height and width of each level, in the order of ``memory``.

        Returns:
            [B, Q, C].
        """
        b, q, _ = query.shape
        shape = (b, q, self.heads, self.levels, self.points)
        offsets = self.sampling_offsets(query).view(*shape, 2)
        weights = self.attention_weights(query).view(b, q, self.heads, -1).softmax(-1).view(shape)
        wh = torch.tensor([(w, h) for h, w in sizes_hw], dtype=torch.float32, device=query.device)
        center = references[:, :, None, None, None, :2]
        if references.shape[-1] == 2:
            places = center * wh[:, None] + offsets
        else:
            extent = references[:, :, None, None, None, 2:]
            places = (center + offsets / self.points * extent * 0.5) * wh[:, None]
        value = self.value_proj(memory).unflatten(-1, (self.heads, -1))
        return self.output_proj(sample_and_sum(value, sizes_hw, places, weights))  # type: ignore[no-any-return]


def sample_and_sum(
    value: Tensor, sizes_hw: Sequence[tuple[int, int]], places: Tensor, weights: Tensor
) -> Tensor:
    """Weighted sum of bilinear samples, zero outside the maps.

    Args:
        value: [B, N, heads, D], the levels one after the other.
        sizes_hw: height and width of each level.
        places: [B, Q, heads, levels, points, 2] as (x, y) in pixels of the level, where the centre
            of the first pixel is (0.5, 0.5).
        weights: [B, Q, heads, levels, points].

    Returns:
        [B, Q, heads * D].
    """
    b, n, h, d = value.shape
    q = places.shape[1]
    rows, factors = _corner_rows(sizes_hw, places.float(), weights)  # [B, Q, h, l, p, 4]
    image_and_head = torch.arange(b * h, dtype=torch.int32, device=value.device).view(b, 1, h)
    rows = rows.flatten(3) + (image_and_head * n)[..., None]
    table = value.transpose(1, 2).reshape(b * h * n, d)
    out = F.embedding_bag(
        rows.flatten(0, 2),
        table,
        per_sample_weights=factors.to(table.dtype).view(b * q * h, -1),
        mode="sum",
    )
    return out.view(b, q, h * d)


def _corner_rows(
    sizes_hw: Sequence[tuple[int, int]], places: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """Row number (int32) and factor of the four pixels around each place, [..., 4] each."""
    device = places.device
    sizes = torch.tensor(sizes_hw, dtype=torch.float32, device=device)
    height, width = sizes[:, :1], sizes[:, 1:]  # [levels, 1], against [..., levels, points]
    areas = sizes.prod(1)
    start = (areas.cumsum(0) - areas)[:, None]
    x, y = places[..., 0] - 0.5, places[..., 1] - 0.5
    # A place further than one pixel outside contributes nothing; clamping keeps integers small.
    x = x.clamp(min=-1).minimum(width)
    y = y.clamp(min=-1).minimum(height)
    left, top = x.detach().floor(), y.detach().floor()
    right_part, lower_part = x - left, y - top
    rows, factors = [], []
    for dy, part_y in ((0, 1 - lower_part), (1, lower_part)):
        row = top + dy
        row_inside = (row >= 0) & (row < height)
        for dx, part_x in ((0, 1 - right_part), (1, right_part)):
            column = left + dx
            inside = row_inside & (column >= 0) & (column < width)
            index = start + row * width + column
            rows.append(torch.where(inside, index, 0).to(torch.int32))
            factors.append(weights * part_x * part_y * inside)
    return torch.stack(rows, dim=-1), torch.stack(factors, dim=-1)
