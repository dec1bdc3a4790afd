"""Prompt encoder: each prompt drawn on a reference becomes one embedding (section 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dinov.model.layers import MultiheadAttention
from dinov.model.pixel_decoder import FeaturePyramid


class PromptEncoder(nn.Module):
    """A content token gathers the pyramid under the prompt, from the lowest resolution up.

    Prompts never see each other, so encoding them together or one by one gives the same values.
    """

    def __init__(self, *, dim: int, levels: int, heads: int) -> None:
        super().__init__()
        self.content_tokens = nn.Embedding(1, dim)
        self.pos_embed = nn.Embedding(1, dim)
        self.layers = nn.ModuleList(MaskedCrossAttention(dim, heads) for _ in range(levels))
        # Small, or what is the same for all prompts would drown what a prompt has seen.
        for constant in (self.content_tokens, self.pos_embed):
            nn.init.normal_(constant.weight, std=0.02)

    def forward(
        self, pyramid: FeaturePyramid, prompt_masks: Tensor, image_index: Tensor | None = None
    ) -> Tensor:
        """Turn prompts into embeddings.

        Args:
            pyramid: the encoded references, batch size B.
            prompt_masks: [P, H, W] bool in the padded input frame. An all-false mask attends
                everywhere.
            image_index: [P] int64, the reference each prompt was drawn on; all 0 if left out.

        Returns:
            [P, C], one embedding per prompt, not normalised.
        """
        allowed = allowed_positions(prompt_masks, [m.shape[-2:] for m in pyramid.levels])
        count = prompt_masks.shape[0]
        token = self.content_tokens.weight.expand(count, -1)
        for layer, features, level_allowed in zip(
            self.layers, reversed(pyramid.levels), reversed(allowed), strict=True
        ):
            memory = features.flatten(2).transpose(1, 2)  # [B, HW, C]
            token = layer(token, self.pos_embed.weight, memory, level_allowed, image_index)
        return token


class MaskedCrossAttention(nn.Module):
    """One query per prompt attends to the allowed positions of its image; residual, norm after."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.attention = MultiheadAttention(dim, heads)
        self.norm = nn.LayerNorm(dim)

    def forward(
        self,
        token: Tensor,
        position: Tensor,
        memory: Tensor,
        allowed: Tensor,
        image_index: Tensor | None,
    ) -> Tensor:
        """[P, C] tokens, [B, N, C] memory, [P, N] allowed positions to [P, C]."""
        count = token.shape[0]
        key, value = self.attention.project_key_value(memory, memory)  # [B, h, N, d]
        if image_index is None:
            key, value = (x[:1].expand(count, -1, -1, -1) for x in (key, value))
        else:
            key, value = key[image_index], value[image_index]
        query = (token + position)[:, None]
        seen = self.attention.attend(query, key, value, allowed[:, None, None])
        return self.norm(token + seen[:, 0])


def allowed_positions(prompt_masks: Tensor, sizes_hw: Sequence[Sequence[int]]) -> list[Tensor]:
    """Where each prompt may look, per level: [P, h * w] bool, highest resolution first.

    The mask is halved again and again, each step from the one before, so that a single pixel never
    vanishes; whatever stays above 0 is allowed. A level without any allowed position allows all.
    """
    height, width = prompt_masks.shape[-2:]
    steps, factor = [], 2
    while height // factor > sizes_hw[0][0]:
        steps.append((height // factor, width // factor))
        factor *= 2
    soft = prompt_masks[:, None].float()
    for size in steps:
        soft = _resize(soft, size)
    allowed = []
    for level_size in sizes_hw:
        soft = _resize(soft, level_size)
        inside = soft.flatten(1) > 0
        allowed.append(inside | ~inside.any(dim=1, keepdim=True))
    return allowed


def _resize(x: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)


def mean_per_category(
    embeddings: Tensor,
    category_index: Tensor,
    num_categories: int,
    add_up: Callable[[Tensor], Tensor] = lambda tensor: tensor,
) -> Tensor:
    """[P, C] embeddings and [P] category numbers to [K, C] means; zeros where there are none.

    ``add_up`` sums a tensor over processes that hold other prompts of the same categories.
    """
    total = embeddings.new_zeros(num_categories, embeddings.shape[1])
    total = add_up(total.index_add(0, category_index, embeddings))
    count = torch.bincount(category_index, minlength=num_categories).to(total.dtype)
    return total / add_up(count).clamp(min=1)[:, None]
