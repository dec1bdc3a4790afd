"""Transformer decoder with boxes refined layer by layer, shared by both tasks (Mask DINO's)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dinov.boxes import inverse_sigmoid
from dinov.model.deformable_attention import MultiScaleDeformableAttention
from dinov.model.layers import MLP, MultiheadAttention, in_pieces
from dinov.model.position import box_position_code, code_periods
from dinov.model.sampling import LevelSizes


@dataclass(frozen=True)
class LayerState:
    """What one decoder layer gives to the heads."""

    vectors: Tensor  # [B, Q, C], normed once
    boxes_cxcywh: Tensor  # [B, Q, 4], the boxes that entered the layer


class Decoder(nn.Module):
    """Queries look at each other, then at the pyramid around their boxes, and move the boxes.

    The next layer goes on from the un-normed queries; only the heads see normed ones. Between
    layers the boxes carry no gradient, except into the prediction of the layer they enter.
    """

    def __init__(
        self,
        *,
        dim: int,
        layers: int,
        feedforward_dim: int,
        levels: int,
        heads: int,
        points: int,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            DecoderLayer(
                dim, feedforward_dim=feedforward_dim, levels=levels, heads=heads, points=points
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(dim)
        self.ref_point_head = MLP(2 * dim, dim, dim, 2)
        self.bbox_embed = MLP(dim, dim, 4, 3)
        # Boxes stay where they are until training moves them.
        for parameter in self.bbox_embed.layers[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(
        self,
        vectors: Tensor,
        box_logits: Tensor,
        allowed: Tensor | None,
        levels: Sequence[Tensor],
        *,
        block: int | None = None,
    ) -> list[LayerState]:
        """Decode queries on an image.

        Args:
            vectors: [B, Q, C] queries.
            box_logits: [B, Q, 4] cxcywh before the sigmoid.
            allowed: [Q, Q] bool self-attention mask, or None for free sight.
            levels: [B, C, h, w] maps, highest resolution first.
            block: so many consecutive queries see each other and no others; ``allowed`` is not
                needed then.

        Returns:
            One state per layer, first to last.
        """
        # The memory runs from low to high resolution, unlike in the pixel decoder.
        coarse_first = list(reversed(levels))
        sizes = LevelSizes.of(coarse_first)
        periods = code_periods(vectors.shape[-1] // 2, vectors.device)
        memory = flatten_levels(coarse_first).float()  # may be kept in half precision
        boxes = reference = box_logits.sigmoid()
        states = []
        for layer in self.layers:
            position = self.ref_point_head(box_position_code(reference, periods))
            vectors = layer(vectors, position, reference, memory, sizes, allowed, block)
            states.append(LayerState(self.norm(vectors), boxes))
            boxes = (self.bbox_embed(vectors) + inverse_sigmoid(reference)).sigmoid()
            reference = boxes.detach()
        return states


class DecoderLayer(nn.Module):
    """Self-attention (norm2), deformable cross-attention (norm1), feed-forward (norm3)."""

    def __init__(
        self, dim: int, *, feedforward_dim: int, levels: int, heads: int, points: int
    ) -> None:
        super().__init__()
        self.self_attn = MultiheadAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.cross_attn = MultiScaleDeformableAttention(dim, levels, heads, points)
        self.norm1 = nn.LayerNorm(dim)
        self.linear1 = nn.Linear(dim, feedforward_dim)
        self.linear2 = nn.Linear(feedforward_dim, dim)
        self.norm3 = nn.LayerNorm(dim)

    def forward(
        self,
        q: Tensor,
        position: Tensor,
        boxes_cxcywh: Tensor,
        memory: Tensor,
        sizes: LevelSizes,
        allowed: Tensor | None,
        block: int | None,
    ) -> Tensor:
        """[B, Q, C] queries with [B, Q, C] position codes to [B, Q, C]."""
        where = q + position
        if block is None:
            seen = self.self_attn(where, where, q, allowed)
        else:  # every block is a row of a batch of its own
            apart = where.reshape(-1, block, where.shape[-1])
            seen = self.self_attn(apart, apart, q.reshape(apart.shape)).view(q.shape)
        q = self.norm2(q + seen)
        q = self.norm1(q + self.cross_attn(q + position, boxes_cxcywh, memory, sizes))
        return self.norm3(q + in_pieces(self._feed_forward, q))

    def _feed_forward(self, q: Tensor) -> Tensor:
        return self.linear2(F.relu(self.linear1(q), inplace=True))


def flatten_levels(levels: Sequence[Tensor]) -> Tensor:
    """[B, C, h, w] maps one after the other as [B, N, C]."""
    return torch.cat([m.flatten(2).transpose(1, 2) for m in levels], dim=1)
