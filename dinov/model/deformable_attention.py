"""Multi-scale deformable attention (Deformable DETR, arXiv 2010.04159) in plain PyTorch.

The sampling itself stands in ``sampling``, written twice: plainly, and fast for inference.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dinov.model.sampling import LevelSizes, project_and_sample


class MultiScaleDeformableAttention(nn.Module):
    """Each query looks at a few learned places of every level of a feature pyramid."""

    def __init__(self, dim: int, levels: int, heads: int, points: int) -> None:
        super().__init__()
        self.levels, self.heads, self.points = levels, heads, points
        self.sampling_offsets = nn.Linear(dim, heads * levels * points * 2)
        self.attention_weights = nn.Linear(dim, heads * levels * points)
        self.value_proj = nn.Linear(dim, dim)
        self.output_proj = nn.Linear(dim, dim)
        self.sample = project_and_sample
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
        sizes: LevelSizes,
        *,
        projected: bool = False,
    ) -> Tensor:
        """Attend from queries to a flattened pyramid.

        Args:
            query: [B, Q, C], position code included.
            references: [B, Q, 2] points, or [B, Q, 4] boxes cxcywh, in 0–1 of the padded input.
                Offsets are in pixels of the level for points, in half box sizes over the number
                of points for boxes.
            memory: [B, N, C], the levels one after the other.
            sizes: of the levels, in the order of ``memory``.
            projected: ``memory`` went through ``value_proj`` already, once for many calls.

        Returns:
            [B, Q, C].
        """
        b, q, _ = query.shape
        lanes = (self.heads, self.levels, self.points)
        logits = self.attention_weights(query).view(b, q, self.heads, self.levels * self.points)
        weights = logits.softmax(-1).view(b, q, *lanes)
        # Coordinate by coordinate, since arithmetic on pairs is slow.
        offsets = self.sampling_offsets(query).float().view(b, q, math.prod(lanes), 2)
        offsets = offsets.movedim(-1, 0).contiguous()  # [2, B, Q, heads * levels * points]
        wh = sizes.wh.T[:, None, :, None].expand(2, *lanes).reshape(2, 1, 1, -1)
        references = references.movedim(-1, 0)[..., None]  # [2 or 4, B, Q, 1]
        if len(references) == 4:
            offsets = offsets * (references[2:] * (wh * (0.5 / self.points)))
        places = torch.addcmul(offsets, references[:2], wh).view(2, b, q, *lanes)
        projection = None if projected else self.value_proj
        return self.output_proj(self.sample(memory, projection, sizes, places, weights))
