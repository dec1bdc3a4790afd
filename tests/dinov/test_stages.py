"""The plain implementation that times are compared with computes the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dinov.config import VARIANTS
from dinov.images import ImageTransform
from dinov.model.build import build_model
from dinov.model.dinov import GenericPrediction
from dinov.plain import plain_model, refer_plainly
from dinov.stages import Way, Workload, refer_fast, stages_of


@pytest.mark.parametrize("variant", ["tiny", "lite"])
def test_both_ways_agree(variant: str) -> None:
    torch.manual_seed(0)
    model = build_model(VARIANTS[variant]).eval()
    for parameter in model.parameters():
        if parameter.dim() > 1 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    transform = ImageTransform((90, 120), (90, 120), (96, 128))
    image = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    mask = torch.zeros(1, 96, 128, dtype=torch.bool)
    mask[:, 20:50, 20:60] = True
    pixels = torch.from_numpy(transform.apply_image(image))[None]
    work = Workload(pixels, mask, transform)
    cpu = torch.device("cpu")
    fast, plain = Way(model, cpu), Way(plain_model(model), cpu, plain=True)
    found = [way.run(stages_of(way, work)["generic_decode"]) for way in (fast, plain)]
    assert isinstance(found[0], GenericPrediction)
    assert isinstance(found[1], GenericPrediction)
    assert not found[1].logits.requires_grad
    torch.testing.assert_close(found[0].logits, found[1].logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found[0].mask_logits, found[1].mask_logits, atol=3e-4, rtol=1e-4)
    pyramid = fast.run(lambda: model.encode_image(pixels))
    prompts = fast.run(lambda: model.encode_prompts(pyramid, mask))
    scores = fast.run(lambda: refer_fast(model, pyramid, prompts, grid=5))
    found_plainly = plain.run(lambda: refer_plainly(plain.model, pyramid, prompts, grid=5))
    torch.testing.assert_close(scores, found_plainly[0], atol=1e-4, rtol=1e-4)
    masks = fast.run(lambda: model.decode_refer(pyramid, prompts, grid=5)).mask_logits
    torch.testing.assert_close(masks, found_plainly[1], atol=3e-4, rtol=1e-4)
