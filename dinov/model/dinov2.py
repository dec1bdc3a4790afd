"""A DINOv2 backbone from timm (arXiv 2304.07193): a plain vision transformer, made a pyramid."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import timm
from torch import Tensor, nn
from torch.nn import functional as F

_PATCH = 14
_STRIDE = 16
_NOT_USED = ("mask_token",)
"""In the published files; only its own training needs it."""


class Dinov2Backbone(nn.Module):
    """Four maps of stride 4 to 32 from the last map of a transformer, as ViTDet makes them.

    Its patches are 14 pixels, all other backbones work in strides of 4 to 32. The input is resized
    by 14 / 16, so that a patch covers 16 pixels of the input and its map is res4; position
    embeddings are resized to that map. Source of the pyramid: arXiv 2203.16527.
    """

    def __init__(self, timm_name: str, *, embed_dim: int, depth: int, num_heads: int) -> None:
        super().__init__()
        self.body = timm.create_model(
            timm_name,
            pretrained=False,
            num_classes=0,
            dynamic_img_size=True,
            embed_dim=embed_dim,
            depth=depth,
            num_heads=num_heads,
        )
        half, quarter = embed_dim // 2, embed_dim // 4
        self.channels = (quarter, half, embed_dim, embed_dim)
        self.res2 = nn.Sequential(
            nn.ConvTranspose2d(embed_dim, half, 2, stride=2),
            nn.GroupNorm(_groups(half), half),
            nn.GELU(),
            nn.ConvTranspose2d(half, quarter, 2, stride=2),
        )
        self.res3 = nn.ConvTranspose2d(embed_dim, half, 2, stride=2)

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """[B, 3, H, W] normalised pixels to {"res2".."res5": [B, C, H / stride, W / stride]}."""
        height, width = pixels.shape[-2] // _STRIDE, pixels.shape[-1] // _STRIDE
        resized = F.interpolate(
            pixels,
            size=(height * _PATCH, width * _PATCH),
            mode="bilinear",
            align_corners=False,
            antialias=True,
        )
        body: Any = self.body
        tokens = body.forward_features(resized)[:, body.num_prefix_tokens :]  # [B, HW, C]
        res4 = tokens.transpose(1, 2).unflatten(2, (height, width))
        return {
            "res2": self.res2(res4),
            "res3": self.res3(res4),
            "res4": res4,
            "res5": F.max_pool2d(res4, 2),
        }

    def stages(self) -> list[list[nn.Module | nn.Parameter]]:
        """The transformer in four parts; what makes a pyramid of it is none of them."""
        body: Any = self.body
        blocks = list(body.blocks)
        ends = [round(len(blocks) * part / 4) for part in range(5)]
        first, second, third, last = (blocks[start:end] for start, end in pairwise(ends))
        return [
            [body.cls_token, body.pos_embed, body.patch_embed, *first],
            second,
            third,
            [*last, body.norm],
        ]

    def load_pretrained(self, state_dict: Mapping[str, Tensor]) -> None:
        """Take the transformer's weights, as published or as timm has them.

        Raises:
            RuntimeError: if a tensor is missing, left over or of another shape.
        """
        weights = {name: value for name, value in state_dict.items() if name not in _NOT_USED}
        self.body.load_state_dict(weights)


def _groups(channels: int) -> int:
    return min(32, channels)
