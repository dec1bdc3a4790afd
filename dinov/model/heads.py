"""Heads: normed queries to logits, masks, boxes and match scores."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dinov.boxes import inverse_sigmoid
from dinov.model.layers import MLP


class Heads(nn.Module):
    """Linear read-outs of the decoder. Projections are vector times matrix, without bias."""

    def __init__(self, *, dim: int, projection_dim: int) -> None:
        super().__init__()
        self.class_embed_openset = nn.Parameter(torch.empty(dim, projection_dim))
        self.class_embed = nn.Parameter(torch.empty(dim, projection_dim))
        self.mask_embed = MLP(dim, dim, dim, 3)
        self.iou_prediction_head = MLP(dim, dim, 1, 3)
        for projection in (self.class_embed_openset, self.class_embed):
            nn.init.trunc_normal_(projection, std=0.02)

    def generic_vectors(self, z: Tensor) -> Tensor:
        """[..., C] to [..., projection_dim]: what generic and content queries are compared by."""
        return z @ self.class_embed_openset

    def refer_vectors(self, z: Tensor) -> Tensor:
        """[..., C] to [..., projection_dim]: what point and content queries are compared by."""
        return z @ self.class_embed

    def masks(self, z: Tensor, mask_features: Tensor) -> Tensor:
        """[B, Q, C] queries and [B, C, h, w] mask features to [B, Q, h, w] logits."""
        return masks_of(self.mask_vectors(z), mask_features)

    def mask_vectors(self, z: Tensor) -> Tensor:
        """[B, Q, C] to [B, Q, C]: what the mask features are multiplied by."""
        return self.mask_embed(z)

    def ious(self, z: Tensor) -> Tensor:
        """[B, Q, C] to [B, Q]: expected IoU of each proposal's mask, raw."""
        return self.iou_prediction_head(z).squeeze(-1)


def masks_of(mask_vectors: Tensor, mask_features: Tensor) -> Tensor:
    """[B, Q, C] mask vectors and [B, C, h, w] mask features to [B, Q, h, w] logits."""
    return torch.einsum("bqc,bchw->bqhw", mask_vectors, mask_features)


def predicted_boxes(delta: Tensor, boxes_cxcywh: Tensor) -> Tensor:
    """Boxes [B, Q, 4] cxcywh after one more correction in logit space."""
    return (delta + inverse_sigmoid(boxes_cxcywh)).sigmoid()
