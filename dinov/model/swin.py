"""Swin transformer backbone (arXiv 2103.14030): image in, four maps of stride 4 to 32 out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dinov.model.layers import in_pieces

WINDOWS_AT_ONCE = 16
"""The queries, keys and values of so many windows stay in a CPU's cache."""


class SwinTransformer(nn.Module):
    """Patch embedding and four stages of windowed self-attention; each stage's map goes out."""

    def __init__(
        self,
        *,
        embed_dim: int,
        depths: Sequence[int],
        num_heads: Sequence[int],
        window_size: int,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__()
        self.channels = tuple(embed_dim * 2**i for i in range(len(depths)))
        self.patch_embed = PatchEmbed(embed_dim)
        # On the CPU even where the model is laid out without memory: these are read at once.
        steps = torch.linspace(0, drop_path_rate, sum(depths), device="cpu")
        self.layers = nn.ModuleList(
            SwinStage(
                dim,
                heads=heads,
                window_size=window_size,
                drop_rates=rates.tolist(),
                downsample=i < len(depths) - 1,
            )
            for i, (dim, heads, rates) in enumerate(
                zip(self.channels, num_heads, steps.split(list(depths)), strict=True)
            )
        )
        for i, dim in enumerate(self.channels):
            self.add_module(f"norm{i}", nn.LayerNorm(dim))

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """[B, 3, H, W] normalised pixels to {"res2".."res5": [B, C, H / stride, W / stride]}."""
        x = self.patch_embed(pixels)  # [B, H, W, C]
        outputs = {}
        for i, stage in enumerate(self.layers):
            features, x = stage(x)
            norm = self.get_submodule(f"norm{i}")
            outputs[f"res{i + 2}"] = norm(features).permute(0, 3, 1, 2)
        return outputs

    def stages(self) -> list[list[nn.Module]]:
        """The parts that make res2, res3, res4 and res5, each from the one before."""
        parts: list[list[nn.Module]] = []
        before: nn.Module = self.patch_embed
        for i, stage in enumerate(self.layers):
            assert isinstance(stage, SwinStage)
            parts.append([before, stage.blocks, self.get_submodule(f"norm{i}")])
            before = stage.downsample or nn.Identity()
        return parts


class PatchEmbed(nn.Module):
    """Patches of 4 x 4 pixels to vectors."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, kernel_size=4, stride=4)
        self.norm = nn.LayerNorm(dim)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.norm(self.proj(pixels).permute(0, 2, 3, 1))


class SwinStage(nn.Module):
    """Blocks of one resolution, every other one on shifted windows, then patch merging."""

    def __init__(
        self,
        dim: int,
        *,
        heads: int,
        window_size: int,
        drop_rates: Sequence[float],
        downsample: bool,
    ) -> None:
        super().__init__()
        self.window_size = window_size
        self.blocks = nn.ModuleList(
            SwinBlock(
                dim,
                heads=heads,
                window_size=window_size,
                shift=0 if i % 2 == 0 else window_size // 2,
                drop_rate=rate,
            )
            for i, rate in enumerate(drop_rates)
        )
        self.downsample = PatchMerging(dim) if downsample else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[B, H, W, C] to this stage's features and the (downsampled) input of the next."""
        height, width = x.shape[1:3]
        regions = shifted_window_mask(height, width, self.window_size, x.device)
        for block in self.blocks:
            x = block(x, regions)
        return x, x if self.downsample is None else self.downsample(x)


class SwinBlock(nn.Module):
    """Windowed attention and MLP, both residual with a norm before."""

    def __init__(
        self, dim: int, *, heads: int, window_size: int, shift: int, drop_rate: float
    ) -> None:
        super().__init__()
        self.window_size, self.shift, self.drop_rate = window_size, shift, drop_rate
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, heads=heads, window_size=window_size)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, 4 * dim)

    def forward(self, x: Tensor, regions: Tensor) -> Tensor:
        x = x + self._drop_path(self._windowed_attention(self.norm1(x), regions))
        return in_pieces(self._mlp, x.flatten(1, 2)).view(x.shape)

    def _mlp(self, x: Tensor) -> Tensor:
        return x + self._drop_path(self.mlp(self.norm2(x)))

    def _windowed_attention(self, x: Tensor, regions: Tensor) -> Tensor:
        # Padding follows the norm, so padded positions are zeros that take part in attention.
        height, width = x.shape[1:3]
        w = self.window_size
        x = F.pad(x, (0, 0, 0, -width % w, 0, -height % w))
        padded_hw = x.shape[1:3]
        if self.shift:
            x = x.roll((-self.shift, -self.shift), dims=(1, 2))
        windows = self.attn(to_windows(x, w), regions if self.shift else None)
        x = from_windows(windows, w, (padded_hw[0], padded_hw[1]))
        if self.shift:
            x = x.roll((self.shift, self.shift), dims=(1, 2))
        return x[:, :height, :width]

    def _drop_path(self, x: Tensor) -> Tensor:
        """Stochastic depth: drop a whole residual branch per image, training only."""
        if not self.training or self.drop_rate == 0.0:
            return x
        keep = 1 - self.drop_rate
        return x * x.new_empty(x.shape[0], *(1,) * (x.dim() - 1)).bernoulli_(keep) / keep


class WindowAttention(nn.Module):
    """Self-attention inside each window, with a learned bias per relative position."""

    relative_position_index: Tensor

    def __init__(self, dim: int, *, heads: int, window_size: int) -> None:
        super().__init__()
        self.heads = heads
        table_size = (2 * window_size - 1) ** 2
        self.relative_position_bias_table = nn.Parameter(torch.zeros(table_size, heads))
        self.register_buffer("relative_position_index", relative_position_index(window_size))
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def forward(self, windows: Tensor, regions: Tensor | None) -> Tensor:
        """[B, windows, N, C] with an optional [windows, N, N] mask to the same shape."""
        n = windows.shape[2]
        bias = self.relative_position_bias_table[self.relative_position_index.flatten()]
        bias = bias.view(1, 1, n, n, self.heads).permute(0, 1, 4, 2, 3)  # [1, 1, h, N, N]
        if regions is None:
            return in_pieces(
                lambda part: self._attend(part, bias), windows, at_once=WINDOWS_AT_ONCE
            )
        return in_pieces(
            lambda part, mask: self._attend(part, bias + mask[:, :, None]),
            windows,
            regions[None],
            at_once=WINDOWS_AT_ONCE,
        )

    def _attend(self, windows: Tensor, bias: Tensor) -> Tensor:
        b, w, n, _ = windows.shape
        qkv = self.qkv(windows).view(b * w, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        # Broadcasts over a single image; one bias per window and image otherwise.
        bias = bias[0] if b == 1 or bias.shape[1] == 1 else bias[0].repeat(b, 1, 1, 1)
        query, key, value = qkv.unbind(0)
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype))
        return self.proj(out.transpose(1, 2).reshape(b, w, n, -1))


class Mlp(nn.Module):
    """Two linear layers around an exact GELU."""

    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden_dim)
        self.fc2 = nn.Linear(hidden_dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class PatchMerging(nn.Module):
    """Joins 2 x 2 neighbours: half the size, twice the channels."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)
        self.norm = nn.LayerNorm(4 * dim)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[1:3]
        x = F.pad(x, (0, 0, 0, width % 2, 0, height % 2))
        corners = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return self.reduction(self.norm(torch.cat(corners, dim=-1)))


def relative_position_index(window_size: int) -> Tensor:
    """[w * w, w * w] int64: row of the bias table for each (query, key) pair of a window."""
    axis = torch.arange(window_size)
    rows, columns = torch.meshgrid(axis, axis, indexing="ij")
    places = torch.stack([rows.flatten(), columns.flatten()])
    delta = places[:, :, None] - places[:, None] + window_size - 1  # query minus key, from 0
    return delta[0] * (2 * window_size - 1) + delta[1]


def shifted_window_mask(height: int, width: int, window_size: int, device: torch.device) -> Tensor:
    """[windows, N, N]: -100 between positions that a cyclic shift brought together, else 0.

    The padded map is cut at its last window and at its last half window into 3 x 3 regions.
    """
    w, shift = window_size, window_size // 2

    def regions(size: int) -> Tensor:
        padded = size + -size % w
        position = torch.arange(padded, device=device)
        return (position >= padded - w).int() + (position >= padded - shift).int()

    region = 3 * regions(height)[:, None] + regions(width)
    labels = to_windows(region[None, ..., None], w)[0, ..., 0]  # [windows, N]
    return torch.where(labels[:, None] == labels[:, :, None], 0.0, -100.0)


def to_windows(x: Tensor, window_size: int) -> Tensor:
    """[B, H, W, C] to [B, windows, w * w, C]; H and W are multiples of the window."""
    w = window_size
    return x.unflatten(1, (-1, w)).unflatten(3, (-1, w)).transpose(2, 3).flatten(3, 4).flatten(1, 2)


def from_windows(windows: Tensor, window_size: int, size_hw: tuple[int, int]) -> Tensor:
    """Inverse of ``to_windows``."""
    w = window_size
    grid = (size_hw[0] // w, size_hw[1] // w)
    x = windows.unflatten(1, grid).unflatten(3, (w, w))  # [B, rows, columns, w, w, C]
    return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)
