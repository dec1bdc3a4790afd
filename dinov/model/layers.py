"""Small building blocks shared by several parts."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class MLP(nn.Module):
    """Linear layers with ReLU between them and none after the last."""

    def __init__(self, in_dim: int, hidden_dim: int, out_dim: int, num_layers: int) -> None:
        super().__init__()
        dims = [in_dim] + [hidden_dim] * (num_layers - 1) + [out_dim]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(dims))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = F.relu(layer(x), inplace=True)
        return self.layers[-1](x)


TOKENS_AT_ONCE = 1024
"""What is computed of so many tokens stays in a CPU's cache from step to step."""


def in_pieces(
    function: Callable[..., Tensor], *tokens: Tensor, at_once: int = TOKENS_AT_ONCE
) -> Tensor:
    """Apply a function of each token to all tokens, a piece after the other on CPUs.

    Wide intermediate values then never exist as a whole. With gradients nothing could be thrown
    away early, GPUs want few large steps, and compiled code is for any number of tokens: there all
    of them are one piece.

    Args:
        function: of as many [B, n, ...] tensors as there are ``tokens``, to [B, n, C].
        tokens: [B, N, ...] each.
        at_once: length of a piece.

    Returns:
        [B, N, C].
    """
    at_once_only = torch.is_grad_enabled() or torch.compiler.is_compiling()
    if at_once_only or tokens[0].device.type != "cpu":
        return function(*tokens)
    pieces = zip(*(t.split(at_once, dim=1) for t in tokens), strict=True)
    return torch.cat([function(*piece) for piece in pieces], dim=1)


class ConvNorm(nn.Conv2d):
    """Convolution without bias, followed by a GroupNorm of 32 groups."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False
        )
        self.norm = nn.GroupNorm(32, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(super().forward(x))


class MultiheadAttention(nn.Module):
    """Dot-product attention with one packed query-key-value projection, batch first."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = nn.Linear(dim, dim)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def project_key_value(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """[B, N, C] keys and values to per-head ones, each [B, heads, N, C / heads]."""
        _, w_k, w_v = self.in_proj_weight.chunk(3)
        _, b_k, b_v = self.in_proj_bias.chunk(3)
        return self._split(F.linear(key, w_k, b_k)), self._split(F.linear(value, w_v, b_v))

    def attend(self, query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None) -> Tensor:
        """Attend from [B, Q, C] queries to projected keys and values.

        Args:
            query: [B, Q, C].
            key: [B, heads, N, C / heads], as ``project_key_value`` makes it; value likewise.
            allowed: bool, broadcastable to [B, heads, Q, N], true where attention may go.
        """
        dim = query.shape[-1]
        q = self._split(F.linear(query, self.in_proj_weight[:dim], self.in_proj_bias[:dim]))
        out = F.scaled_dot_product_attention(q, key, value, attn_mask=allowed)
        return self.out_proj(out.transpose(1, 2).flatten(2))

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None = None
    ) -> Tensor:
        return self.attend(query, *self.project_key_value(key, value), allowed)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [B, h, N, d]
