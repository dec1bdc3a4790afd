"""Everything is computed where the input is, checked without a GPU by tensors that only pretend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from dinov.concept_maps import agreed_logits, agreed_masks
from dinov.config import VARIANTS
from dinov.model.build import build_model
from dinov.model.dinov import DINOv

HEIGHT, WIDTH = 96, 64


@contextmanager
def pretending(variant: str) -> Iterator[DINOv]:
    """A model on a GPU that need not be there."""
    with torch.device("meta"):
        model = build_model(VARIANTS[variant], with_concept_head=True).eval()
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield model.to_empty(device="cuda")


@torch.inference_mode()
@pytest.mark.parametrize("variant", ["tiny", "lite"])
def test_no_step_mixes_devices(variant: str) -> None:
    with pretending(variant) as model:
        pyramid = model.encode_image(torch.empty(2, 3, HEIGHT, WIDTH, device="cuda"))
        masks = torch.empty(3, HEIGHT, WIDTH, dtype=torch.bool, device="cuda")
        embeddings = model.embed_prompts(pyramid, masks)
        prompts, maps = model.of_decoder(embeddings), model.decode_concepts(pyramid, embeddings)
        generic = model.decode_generic(pyramid, prompts)
        found = (
            agreed_logits(generic.logits[0], generic.mask_logits[0], maps[0]),
            agreed_masks(generic.mask_logits[0, :3], maps[0]),
            model.decode_refer(pyramid, prompts, grid=2).match_scores,
            model.decode_proposals(pyramid).vectors @ model.decode_categories(pyramid, prompts).mT,
        )
    assert [tensor.device.type for tensor in found] == ["cuda"] * 4


class Copies(TorchDispatchMode):
    """Counts the tensors that are made of Python numbers: a GPU waits for each."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self.count += function is torch.ops.aten.lift_fresh.default
        return function(*args, **(kwargs or {}))


@torch.inference_mode()
def test_numbers_are_copied_to_the_device_once_for_all_layers() -> None:
    with pretending("tiny") as model:
        pixels = torch.empty(1, 3, HEIGHT, WIDTH, device="cuda")
        pyramid = model.encode_image(pixels)
        prompts = torch.empty(2, pyramid.mask_features.shape[1], device="cuda")
        for step in (
            lambda: model.encode_image(pixels),
            lambda: model.decode_proposals(pyramid),
            lambda: model.decode_categories(pyramid, prompts),
            lambda: model.decode_points(pyramid, grid=2),
            lambda: model.decode_prompts(pyramid, prompts),
        ):
            with Copies() as copies:
                step()
            assert copies.count == 1
