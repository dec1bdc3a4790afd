from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dinov.checkpoints import load_model, save_model
from dinov.config import VARIANTS
from dinov.errors import CheckpointCorrupt, CheckpointMismatch, CheckpointMissing, InvalidDataset
from dinov.model.build import build_model
from dinov.model.dinov2 import Dinov2Backbone
from dinov.training import command
from dinov.training.dinov2 import load_dinov2
from dinov.training.trainer import freeze_stages

WriteFolder = Callable[..., Path]


def make() -> Dinov2Backbone:
    backbone = build_model(VARIANTS["tiny-dinov2"]).backbone
    assert isinstance(backbone, Dinov2Backbone)
    return backbone


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_published_weights_are_taken(tmp_path: Path, suffix: str) -> None:
    first, second = make(), make()
    published = {**first.body.state_dict(), "mask_token": torch.zeros(1, 64)}
    path = tmp_path / f"weights{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(published, path)
    load_dinov2(second, path)
    for name, value in first.body.state_dict().items():
        assert torch.equal(second.body.state_dict()[name], value)


def test_other_files_are_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    with pytest.raises(CheckpointMissing, match="--backbone"):
        load_dinov2(make(), path)
    path.write_bytes(b"no weights")
    with pytest.raises(CheckpointCorrupt, match="damaged"):
        load_dinov2(make(), path)
    torch.save({**make().body.state_dict(), "reg_token": torch.zeros(1, 4, 64)}, path)
    with pytest.raises(CheckpointMismatch, match="without registers"):
        load_dinov2(make(), path)


@pytest.mark.parametrize(("count", "trained"), [(0, True), (2, True), (4, False)])
def test_frozen_stages_leave_the_pyramid_to_be_trained(count: int, trained: bool) -> None:
    backbone = make()
    freeze_stages(backbone, count)
    assert any(p.requires_grad for p in backbone.body.parameters()) == trained
    assert all(p.requires_grad for p in backbone.res3.parameters())
    assert backbone.body.pos_embed.requires_grad == (count == 0)


def test_a_checkpoint_is_written_and_loaded(tmp_path: Path) -> None:
    model = build_model(VARIANTS["tiny-dinov2"]).eval()
    loaded = load_model(save_model(model, tmp_path / "own.safetensors", {}, dtype=torch.float32))
    assert loaded.variant == "tiny-dinov2"
    pixels = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        ours, theirs = model.encode_image(pixels), loaded.model.encode_image(pixels)
    assert torch.equal(ours.mask_features, theirs.mask_features)


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(arguments)


def test_the_command_trains_on_top_of_frozen_weights(
    write_folder: WriteFolder, tmp_path: Path
) -> None:
    weights, out = tmp_path / "weights.pth", tmp_path / "out"
    published = make().body.state_dict()
    torch.save(published, weights)
    args = ["--preset", "dinov2-s", "--data", str(write_folder()), "--output", str(out)]
    small = ["data.crop_size=64", "data.batch_size=2", "workers=1", "validations=1"]
    tiny = ['variant="tiny-dinov2"', 'precision="float32"', "mask_points=64", "refer.points=4"]
    args += ["--steps", "2", "--device", "cpu", "--set", *small, *tiny]
    with pytest.raises(CheckpointMissing, match="--backbone"):
        command.run(parse(*args))
    assert command.run(parse(*args, "--backbone", str(weights))) == 0
    trained = torch.load(out / "last.pt", weights_only=True)["model"]
    for name, value in published.items():
        assert torch.equal(trained[f"backbone.body.{name}"], value)
    assert command.run(parse(*args, "--resume")) == 0
    with pytest.raises(InvalidDataset, match="tiny"):
        command.run(parse(*args, 'variant="tiny"', "--backbone", str(weights)))
