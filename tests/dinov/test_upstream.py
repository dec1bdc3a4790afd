"""Official names become ours; shared tensors must agree."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from dinov.config import VARIANTS, recognise_variant
from dinov.errors import CheckpointMismatch
from dinov.model.build import build_model
from dinov.upstream import UNUSED_KEYS, from_official, is_official, our_name
from tests.parity.archive import VARIANT_OF

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


@pytest.mark.parametrize("name", VARIANT_OF)
def test_the_manifest_is_reproduced(name: str, shared_dir: Path) -> None:
    manifest = json.loads((shared_dir / f"parity/manifest_{name}.json").read_text())
    entries, header = manifest["entries"], manifest["header"]
    with torch.device("meta"):
        model = build_model(VARIANTS[VARIANT_OF[name]])
    ours = model.state_dict()
    buffers = {buffer for buffer, _ in model.named_buffers()}

    names = {key: our_name(key) for key in entries if key not in UNUSED_KEYS}
    assert set(names.values()) == set(ours)
    for key, own in names.items():
        entry = entries[key]
        assert list(ours[own].shape) == entry["shape"], key
        assert str(ours[own].dtype) == f"torch.{entry['dtype']}", key
        assert (own in buffers) == (entry["kind"] == "buffer"), key
        # Names of one shared tensor, and only those, become one.
        assert own == names[entry.get("alias_of", key)], key
    distinct = [key for key, entry in entries.items() if "alias_of" not in entry]
    assert len({names[key] for key in distinct if key in names}) == len(ours)
    assert len(entries) == header["state_dict_keys"]
    assert len(distinct) == header["unique_tensors"] == len(ours) + len(UNUSED_KEYS)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    unused = sum(int(torch.tensor(entries[key]["shape"]).prod()) for key in UNUSED_KEYS)
    assert parameters + unused == header["parameters_unique"]
    shapes = {own: tuple(value.shape) for own, value in ours.items()}
    assert recognise_variant(shapes) == VARIANT_OF[name]
