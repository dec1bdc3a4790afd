"""Everything is computed where the input is, checked without a GPU by tensors that only pretend."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from dinov.config import VARIANTS
from dinov.model.build import build_model

HEIGHT, WIDTH = 96, 64


@torch.inference_mode()
@pytest.mark.parametrize("variant", ["tiny", "lite"])
def test_no_step_mixes_devices(variant: str) -> None:
    with torch.device("meta"):
        model = build_model(VARIANTS[variant]).eval()
    with FakeTensorMode(allow_non_fake_inputs=True):
        model.to_empty(device="cuda")
        pyramid = model.encode_image(torch.empty(2, 3, HEIGHT, WIDTH, device="cuda"))
        masks = torch.empty(3, HEIGHT, WIDTH, dtype=torch.bool, device="cuda")
        prompts = model.encode_prompts(pyramid, masks)
        found = (
            model.decode_generic(pyramid, prompts).logits,
            model.decode_refer(pyramid, prompts, grid=2).match_scores,
            model.decode_proposals(pyramid).vectors @ model.decode_categories(pyramid, prompts).mT,
        )
    assert [tensor.device.type for tensor in found] == ["cuda"] * 3
