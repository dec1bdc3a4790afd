"""Bilinear samples of a feature pyramid, weighted and summed: the heart of deformable attention.

``sample_on_grids`` is the plain way, one ``grid_sample`` per level. A sum of bilinear samples is
also a weighted sum of table rows, which ``embedding_bag`` gathers and adds in one go: several
times faster on CPUs, and several times slower backwards. ``project_and_sample`` chooses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

QUERIES_AT_ONCE = 512
"""So many queries keep all their corners in a core's cache while they are worked on."""


class LevelSizes(NamedTuple):
    """The sizes of a pyramid's levels: numbers, and the same as a tensor that all layers share.

    Every tensor made of numbers is copied to the device, which a GPU waits for.
    """

    hw: tuple[tuple[int, int], ...]
    wh: Tensor  # [levels, 2] float32, width before height

    @classmethod
    def of(cls, levels: Sequence[Tensor]) -> LevelSizes:
        """Of [B, C, h, w] maps, in their order and on their device."""
        hw = tuple((level.shape[-2], level.shape[-1]) for level in levels)
        wh = torch.tensor(hw, dtype=torch.float32, device=levels[0].device).flip(1)
        return cls(hw, wh)


def project_and_sample(
    memory: Tensor,
    projection: nn.Linear | None,
    sizes: LevelSizes,
    places: Tensor,
    weights: Tensor,
) -> Tensor:
    """Weighted sum of bilinear samples of the projected memory, zero outside the maps.

    Args:
        memory: [B, N, C], the levels one after the other.
        projection: C to heads * D, of which each head samples its own D; None if ``memory`` is
            projected already.
        sizes: of the levels.
        places: [2, B, Q, heads, levels, points], x and y in pixels of the level, where the centre
            of the first pixel is (0.5, 0.5).
        weights: [B, Q, heads, levels, points].

    Returns:
        [B, Q, heads * D].
    """
    gather = memory.device.type == "cpu" and not torch.is_grad_enabled()
    way = project_and_gather if gather else project_and_sample_on_grids
    return way(memory, projection, sizes, places, weights)


def project_and_sample_on_grids(
    memory: Tensor,
    projection: nn.Linear | None,
    sizes: LevelSizes,
    places: Tensor,
    weights: Tensor,
) -> Tensor:
    """``project_and_sample`` in the plain way: what the fast way is compared with."""
    value = memory if projection is None else projection(memory)
    value = value.unflatten(-1, (places.shape[3], -1))
    return sample_on_grids(value, sizes, places, weights)


def project_and_gather(
    memory: Tensor,
    projection: nn.Linear | None,
    sizes: LevelSizes,
    places: Tensor,
    weights: Tensor,
) -> Tensor:
    """``project_and_sample`` by gathering table rows.

    A projection is linear, so that it can come after the sum; it is made wherever there are
    fewer vectors: on the memory, or on what a few queries' heads have gathered from it.
    """
    queries, heads = places.shape[2:4]
    if projection is None or queries * heads >= memory.shape[1]:
        value = memory if projection is None else projection(memory)
        value = value.unflatten(-1, (heads, -1))
        return gather_and_sum(value, sizes, places, weights)[0].flatten(2)
    raw, inside = gather_and_sum(memory[:, :, None], sizes, places, weights)
    projected = torch.einsum("bqhc,hdc->bqhd", raw, projection.weight.unflatten(0, (heads, -1)))
    # Outside is zero after the projection, too: the bias counts as far as the place is inside.
    return (projected + projection.bias.unflatten(0, (heads, -1)) * inside[..., None]).flatten(2)


def gather_and_sum(
    value: Tensor, sizes: LevelSizes, places: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """Weighted sum of bilinear samples by ``embedding_bag``, zero outside the maps.

    Args:
        value: [B, N, heads, D], or [B, N, 1, D] if all heads sample the same.
        sizes: of the levels.
        places: [2, B, Q, heads, levels, points], x and y in pixels of the level.
        weights: [B, Q, heads, levels, points].

    Returns:
        The sums [B, Q, heads, D], and how much of the weights lay inside, [B, Q, heads].
    """
    heads, samples = places.shape[3], places.shape[4] * places.shape[5]
    stride = value.shape[2]  # rows of the table per pixel
    table = value.float().flatten(1, 2)  # [B, N * stride, D]
    compiling = torch.compiler.is_compiling()  # code for any number of queries, without a cache
    at_once = places.shape[2] if compiling else QUERIES_AT_ONCE
    make_lanes = _lanes.__wrapped__ if compiling else _lanes
    lanes = make_lanes(sizes.hw, heads, places.shape[5], stride, value.device)
    sums, inside = [], []
    for rows, image_places, image_weights in zip(
        table, places.flatten(3).unbind(1), weights.float().flatten(2), strict=True
    ):
        for some_places, some_weights in zip(
            image_places.split(at_once, dim=1),
            image_weights.split(at_once),
            strict=True,
        ):
            index, factor = _corners(lanes, some_places, some_weights)
            bags = (4 * len(some_weights) * heads, samples)
            corners = F.embedding_bag(
                index.view(bags), rows, mode="sum", per_sample_weights=factor.view(bags)
            )
            sums.append(corners.view(4, -1, value.shape[3]).sum(0))
            inside.append(factor.view(4, -1, samples).sum((0, 2)))
    shape = places.shape[1:4]
    return torch.cat(sums).view(*shape, value.shape[3]), torch.cat(inside).view(shape)


@dataclass(frozen=True)
class _Lanes:
    """Per head, level and point: how a pixel of that level becomes a row of the table, [S]."""

    last_xy: Tensor  # [2, 1, S], where the last but one column and row begin
    several_xy: Tensor  # [2, 1, S], 0 if there is one column or row only
    first_row: Tensor  # int32, as all that follow
    row_step: Tensor
    corner_step: Tensor  # [2, 2, 1, S] from the first of four pixels, by y and x
    stride: int


@lru_cache(maxsize=64)
def _lanes(
    sizes_hw: tuple[tuple[int, int], ...],
    heads: int,
    points: int,
    stride: int,
    device: torch.device,
) -> _Lanes:
    def lanes(per_level: Tensor) -> Tensor:
        return per_level.repeat_interleave(points, -1).repeat(*(1,) * (per_level.dim() - 1), heads)

    hw = torch.tensor(sizes_hw, dtype=torch.int32, device=device)
    xy = hw.flip(1).T  # [2, levels]
    area = hw.prod(1, dtype=torch.int32)
    starts = (area.cumsum(0, dtype=torch.int32) - area) * stride
    first_row = lanes(starts)
    if stride > 1:
        head = torch.arange(heads, dtype=torch.int32, device=device)
        first_row = first_row + head.repeat_interleave(len(hw) * points)
    several = (xy > 1).int()
    row_step = lanes(xy[0] * stride)
    right, down = lanes(several[0] * stride), row_step * lanes(several[1])
    nothing = torch.zeros_like(right)
    corner_step = torch.stack([nothing, right, down, down + right]).view(2, 2, 1, -1)
    return _Lanes(
        lanes((xy - 2).clamp(min=0).float())[:, None],
        lanes(several.float())[:, None],
        first_row,
        row_step,
        corner_step,
        stride,
    )


def _corners(lanes: _Lanes, places: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of the four pixels around each place, and the factors they are summed with.

    Moved into the map, the pair of pixels around a coordinate is the right one wherever the place
    touches the map at all; a pixel a whole step or more away gets the factor 0.

    Args:
        lanes: of this pyramid.
        places: [2, Q, S].
        weights: [Q, S].

    Returns:
        int32 and float32, both [2, 2, Q, S].
    """
    xy = places - 0.5
    first = torch.minimum(xy.floor().clamp_(min=0), lanes.last_xy)
    offset = xy - first
    near = (1 - offset.abs()).relu_()
    far = (1 - offset.sub_(1).abs_()).relu_().mul_(lanes.several_xy)
    factor_x, factor_y = torch.stack([near, far]).unbind(1)  # [2, Q, S]
    factor = (factor_y * weights)[:, None] * factor_x
    # Not a number would become a row before the first.
    column, row = first.int().clamp_(min=0)
    index = column * lanes.stride + lanes.first_row + row * lanes.row_step
    return index + lanes.corner_step, factor


def sample_on_grids(value: Tensor, sizes: LevelSizes, places: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum of bilinear samples by ``grid_sample``, zero outside the maps.

    Args:
        value: [B, N, heads, D], the levels one after the other.
        sizes: of the levels.
        places: [2, B, Q, heads, levels, points], x and y in pixels of the level.
        weights: [B, Q, heads, levels, points].

    Returns:
        [B, Q, heads * D].
    """
    # Queries come last, so that sums over points run along contiguous memory.
    places = places.permute(1, 3, 4, 5, 2, 0).flatten(0, 1)  # [B * h, l, p, Q, 2]
    weights = (
        weights.permute(0, 2, 3, 4, 1).contiguous().flatten(0, 1)[:, None]
    )  # [B * h, 1, l, p, Q]
    maps = value.float().permute(0, 2, 3, 1).flatten(0, 1)  # [B * h, D, N]
    grids = 2 * places / sizes.wh[:, None, None] - 1
    total: Tensor | int = 0
    level_maps = maps.split([height * width for height, width in sizes.hw], dim=-1)
    for level, (size_hw, level_map) in enumerate(zip(sizes.hw, level_maps, strict=True)):
        samples = F.grid_sample(
            level_map.unflatten(-1, size_hw), grids[:, level], align_corners=False
        )  # [B * h, D, p, Q]
        total = total + (samples * weights[:, :, level]).sum(2)
    assert isinstance(total, Tensor)
    return total.unflatten(0, (value.shape[0], -1)).flatten(1, 2).transpose(1, 2)
