"""Official names become ours; shared tensors must agree."""

from __future__ import annotations

import pytest
import torch

from dinov.errors import CheckpointMismatch
from dinov.upstream import from_official, is_official

HEAD = "sem_seg_head.predictor."


def test_copies_of_a_shared_tensor_become_one() -> None:
    weight = torch.ones(2)
    official = {
        f"{HEAD}_bbox_embed.layers.0.weight": weight,
        f"{HEAD}bbox_embed.3.layers.0.weight": weight.clone(),
        f"{HEAD}decoder.bbox_embed.3.layers.0.weight": weight.clone(),
        f"{HEAD}class_embed_part": weight,
    }
    assert is_official(official)
    assert list(from_official(official)) == ["decoder.bbox_embed.layers.0.weight"]


def test_copies_that_differ_are_refused() -> None:
    with pytest.raises(CheckpointMismatch, match="inconsistent"):
        from_official(
            {
                f"{HEAD}decoder_norm.weight": torch.ones(2),
                f"{HEAD}decoder.norm.weight": torch.zeros(2),
            }
        )
