"""Box formats are inverse to each other; logits are finite."""

from __future__ import annotations

import torch

from dinov.boxes import cxcywh_to_xyxy, inverse_sigmoid, xyxy_to_cxcywh


def test_formats_round_trip() -> None:
    boxes = torch.rand(50, 4)
    torch.testing.assert_close(xyxy_to_cxcywh(cxcywh_to_xyxy(boxes)), boxes)
    assert cxcywh_to_xyxy(torch.tensor([5.0, 5.0, 2.0, 4.0])).tolist() == [4.0, 3.0, 6.0, 7.0]


def test_the_inverse_of_the_sigmoid_is_finite_everywhere() -> None:
    x = torch.tensor([-1.0, 0.0, 0.25, 1.0, 2.0])
    logits = inverse_sigmoid(x)
    assert logits.isfinite().all()
    torch.testing.assert_close(logits.sigmoid(), x.clamp(0, 1), atol=2e-5, rtol=0)
