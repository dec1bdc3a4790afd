"""Pixel decoder: backbone maps in, feature pyramid and mask features out (Mask DINO's encoder)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dinov.model.deformable_attention import MultiScaleDeformableAttention
from dinov.model.layers import ConvNorm, in_pieces
from dinov.model.position import code_periods, map_position_code
from dinov.model.sampling import LevelSizes


@dataclass(frozen=True)
class FeaturePyramid:
    """What an image becomes: levels [B, C, h, w], highest resolution first, and mask features.

    ``concept_maps`` are the backbone's maps that a concept head takes, if the model has one.
    """

    levels: tuple[Tensor, ...]
    mask_features: Tensor  # [B, C, H / 4, W / 4]
    concept_maps: tuple[Tensor, ...] = ()

    @property
    def padded_size_hw(self) -> tuple[int, int]:
        """Height and width of the padded input."""
        return self.mask_features.shape[-2] * 4, self.mask_features.shape[-1] * 4

    @property
    def nbytes(self) -> int:
        """Memory of all its tensors."""
        return sum(t.nbytes for t in (*self.levels, self.mask_features, *self.concept_maps))

    def to(self, dtype: torch.dtype) -> FeaturePyramid:
        """The same in another type: half the memory in a half precision one."""
        return FeaturePyramid(
            tuple(level.to(dtype) for level in self.levels),
            self.mask_features.to(dtype),
            tuple(m.to(dtype) for m in self.concept_maps),
        )


class PixelDecoder(nn.Module):
    """Projects the backbone maps to one width, mixes them, and builds mask features at stride 4."""

    def __init__(
        self,
        channels: Mapping[str, int],
        *,
        in_features: Sequence[str],
        width: int,
        layers: int,
        feedforward_dim: int,
        heads: int,
        points: int,
    ) -> None:
        super().__init__()
        self.in_features = tuple(in_features)
        num_levels = len(in_features) + 1
        projections = [nn.Conv2d(channels[name], width, 1) for name in in_features]
        projections.append(nn.Conv2d(channels["res5"], width, 3, stride=2, padding=1))
        self.input_proj = nn.ModuleList(
            nn.Sequential(projection, nn.GroupNorm(32, width)) for projection in projections
        )
        self.level_embed = nn.Parameter(torch.randn(num_levels, width))
        self.layers = nn.ModuleList(
            DeformableEncoderLayer(
                width,
                feedforward_dim=feedforward_dim,
                levels=num_levels,
                heads=heads,
                points=points,
            )
            for _ in range(layers)
        )
        self.adapter_1 = ConvNorm(channels["res2"], width, 1)
        self.layer_1 = ConvNorm(width, width, 3)
        self.mask_features = nn.Conv2d(width, width, 1)

    def forward(self, features: Mapping[str, Tensor]) -> FeaturePyramid:
        """Backbone maps {"res2".."res5": [B, C, h, w]} to a pyramid."""
        maps = self.project(features)
        sizes = LevelSizes.of(maps)
        periods = code_periods(self.level_embed.shape[1] // 2, maps[0].device)
        position = torch.cat(
            [
                map_position_code(h, w, periods) + level
                for (h, w), level in zip(sizes.hw, self.level_embed, strict=True)
            ]
        )
        references = pixel_centers(sizes.hw, maps[0].device)

        x = torch.cat([m.flatten(2).transpose(1, 2) for m in maps], dim=1)  # [B, N, C]
        for layer in self.layers:
            x = layer(x, position, references, sizes)

        parts = x.split([h * w for h, w in sizes.hw], dim=1)
        levels = tuple(
            part.transpose(1, 2).unflatten(2, size)
            for part, size in zip(parts, sizes.hw, strict=True)
        )
        return FeaturePyramid(levels, self._mask_features(features["res2"], levels[0]))

    def project(self, features: Mapping[str, Tensor]) -> list[Tensor]:
        """Bring all levels to the common width; the extra one comes from the raw res5."""
        sources = [features[name] for name in self.in_features] + [features["res5"]]
        return [project(x) for project, x in zip(self.input_proj, sources, strict=True)]

    def _mask_features(self, res2: Tensor, finest: Tensor) -> Tensor:
        y = self.adapter_1(res2)
        y = y + F.interpolate(finest, size=y.shape[-2:], mode="bilinear", align_corners=False)
        return self.mask_features(F.relu(self.layer_1(y), inplace=True))


class DeformableEncoderLayer(nn.Module):
    """Deformable self-attention over the pyramid, then a feed-forward network; norms after."""

    def __init__(
        self, dim: int, *, feedforward_dim: int, levels: int, heads: int, points: int
    ) -> None:
        super().__init__()
        self.self_attn = MultiScaleDeformableAttention(dim, levels, heads, points)
        self.norm1 = nn.LayerNorm(dim)
        self.linear1 = nn.Linear(dim, feedforward_dim)
        self.linear2 = nn.Linear(feedforward_dim, dim)
        self.norm2 = nn.LayerNorm(dim)

    def forward(
        self,
        x: Tensor,
        position: Tensor,
        references: Tensor,
        sizes: LevelSizes,
    ) -> Tensor:
        """[B, N, C] tokens, with [N, C] position codes and [1, N, 2] pixel centres."""
        value = self.self_attn.value_proj(x).float()  # samples are summed in single precision

        def layer(x: Tensor, position: Tensor, references: Tensor) -> Tensor:
            query, references = x + position, references.expand(x.shape[0], -1, -1)
            x = self.norm1(x + self.self_attn(query, references, value, sizes, projected=True))
            return self.norm2(x + self.linear2(F.relu(self.linear1(x), inplace=True)))

        return in_pieces(layer, x, position[None], references)


def pixel_centers(sizes_hw: Sequence[tuple[int, int]], device: torch.device) -> Tensor:
    """[1, N, 2] as (x, y) in 0–1: the centre of every pixel of every level."""
    centers = []
    for height, width in sizes_hw:
        y = (torch.arange(height, dtype=torch.float32, device=device) + 0.5) / height
        x = (torch.arange(width, dtype=torch.float32, device=device) + 0.5) / width
        grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
        centers.append(torch.stack([grid_x.flatten(), grid_y.flatten()], dim=-1))
    return torch.cat(centers)[None]
