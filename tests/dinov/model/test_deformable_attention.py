"""Where attention looks."""

from __future__ import annotations

import torch

from dinov.model.deformable_attention import MultiScaleDeformableAttention
from dinov.model.sampling import LevelSizes

SIZES = LevelSizes.of([torch.empty(1, 1, 3, 5), torch.empty(1, 1, 2, 4)])


def test_points_and_boxes_scale_offsets_differently() -> None:
    torch.manual_seed(0)
    attention = MultiScaleDeformableAttention(16, levels=2, heads=2, points=3)
    memory, query = torch.randn(1, 23, 16), torch.randn(1, 1, 16)
    point = torch.tensor([[[0.5, 0.5]]])
    whole = torch.tensor([[[0.5, 0.5, 1.0, 1.0]]])
    nothing = torch.tensor([[[0.5, 0.5, 0.0, 0.0]]])
    outputs = [attention(query, r, memory, SIZES) for r in (point, whole, nothing)]
    assert not torch.allclose(outputs[0], outputs[1])
    assert not torch.allclose(outputs[1], outputs[2])
