"""Decoder queries: what fills the slots, and who sees whom in self-attention.

query of kind    sees
generic          all generic queries
content          itself (and the generic ones, if content is not independent)
denoise          its own group and the generic queries
point            the queries of the same point
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor, nn

from dinov.boxes import inverse_sigmoid


class QueryKind(IntEnum):
    """What a decoder slot stands for."""

    GENERIC = 0
    CONTENT = 1
    DENOISE = 2
    POINT = 3


@dataclass(frozen=True)
class QueryGroup:
    """Queries of one kind. Only members of the same block see each other."""

    kind: QueryKind
    vectors: Tensor  # [B, N, C]
    box_logits: Tensor  # [B, N, 4], cxcywh
    block: Tensor  # [N] int64


@dataclass(frozen=True)
class DenoiseQueries:
    """Noised truth boxes to be repaired in training (DN-DETR), [B, groups * N, 4] cxcywh."""

    boxes_cxcywh: Tensor
    groups: int


class Queries(nn.Module):
    """The learned vectors from which all queries are made."""

    def __init__(self, *, dim: int, num_queries: int, granularities: int) -> None:
        super().__init__()
        self.granularities = granularities
        self.query_feat = nn.Embedding(num_queries, dim)
        self.query_embed = nn.Embedding(num_queries, 4)
        self.mask_tokens = nn.Embedding(granularities, dim)
        # The first row marks every query that is not generic; the second is kept for checkpoints.
        self.label_enc = nn.Embedding(2, dim)
        # The second row marks every query that is not generic; likewise.
        self.pb_embedding = nn.Embedding(2, dim)
        # Small, or what all content queries share would drown what tells them apart.
        for constant in (self.label_enc, self.pb_embedding):
            nn.init.normal_(constant.weight, std=0.02)

    def generic(self, batch: int) -> QueryGroup:
        """The learned generic queries, the same for every image."""
        vectors, boxes = self.query_feat.weight, self.query_embed.weight
        block = torch.zeros(len(vectors), dtype=torch.long, device=vectors.device)
        return QueryGroup(
            QueryKind.GENERIC,
            vectors.expand(batch, -1, -1),
            boxes.expand(batch, -1, -1),
            block,
        )

    def content(self, category_embeddings: Tensor, batch: int) -> QueryGroup:
        """One query per category, with a placeholder box.

        The mean prompt embeddings are [K, C] for all images, or [B, K, C], for each its own.
        """
        count = category_embeddings.shape[-2]
        vectors = category_embeddings + self._mark
        corner = vectors.new_zeros(2)  # not of numbers: they would be copied to the device
        box_logits = inverse_sigmoid(torch.cat([corner, corner + 1]))
        return QueryGroup(
            QueryKind.CONTENT,
            vectors.expand(batch, -1, -1),
            box_logits.expand(batch, count, -1),
            torch.arange(count, device=vectors.device),
        )

    def denoise(self, noised: DenoiseQueries) -> QueryGroup:
        """One query per noised truth box, blind between groups."""
        batch, count = noised.boxes_cxcywh.shape[:2]
        device = self.label_enc.weight.device
        return QueryGroup(
            QueryKind.DENOISE,
            self.label_enc.weight[0].expand(batch, count, -1),
            inverse_sigmoid(noised.boxes_cxcywh),
            torch.arange(noised.groups, device=device).repeat_interleave(count // noised.groups),
        )

    def points(self, boxes_cxcywh: Tensor) -> QueryGroup:
        """All granularities, consecutive, for each of [B, N, 4] point boxes."""
        batch, count = boxes_cxcywh.shape[:2]
        vectors = self._mark + self.mask_tokens.weight  # [G, C]
        box_logits = inverse_sigmoid(boxes_cxcywh).repeat_interleave(self.granularities, dim=1)
        block = torch.arange(count, device=vectors.device)
        return QueryGroup(
            QueryKind.POINT,
            vectors.repeat(count, 1).expand(batch, -1, -1),
            box_logits,
            block.repeat_interleave(self.granularities),
        )

    @property
    def _mark(self) -> Tensor:
        return self.label_enc.weight[0] + self.pb_embedding.weight[1]


def attention_allowed(groups: Sequence[QueryGroup], *, content_independent: bool) -> Tensor:
    """[N, N] bool over all groups' queries: may the row's query see the column's?"""
    kind = torch.cat([torch.full_like(g.block, int(g.kind)) for g in groups])
    block = torch.cat([g.block for g in groups])
    same_block = (kind[:, None] == kind) & (block[:, None] == block)
    sees_generic = kind == QueryKind.DENOISE
    if not content_independent:
        sees_generic = sees_generic | (kind == QueryKind.CONTENT)
    return same_block | (sees_generic[:, None] & (kind == QueryKind.GENERIC))


def point_grid(grid: int, padded_size_hw: tuple[int, int], device: torch.device) -> Tensor:
    """[grid * grid, 4] cxcywh boxes of 6 x 6 pixels around evenly spread points, row by row."""
    height, width = padded_size_hw
    axis = (torch.arange(grid, dtype=torch.float32, device=device) + 0.5) / grid
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    sizes = torch.full_like(x, 6 / width), torch.full_like(y, 6 / height)
    return torch.stack([x, y, *sizes], dim=-1).flatten(0, 1)
