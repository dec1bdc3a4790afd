from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dinov.checkpoints import load_model, save_model
from dinov.config import VARIANTS
from dinov.errors import CheckpointMismatch, InvalidDataset
from dinov.model.build import build_model
from dinov.training import command
from dinov.training.config import PRESETS, DataConfig, LossWeights, TrainingConfig, fine_tuning

WriteFolder = Callable[..., Path]


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(arguments)


def test_the_command_trains_and_goes_on(
    write_folder: WriteFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainingConfig("tiny", mask_points=32, denoise_queries=4, minutes=1, validations=1)
    monkeypatch.setitem(PRESETS, "lite", config)
    output = tmp_path / "run"
    options = ["--data", str(write_folder()), "--output", str(output)]
    small = ("--set", "data.batch_size=1", "data.crop_size=64")
    assert command.run(parse(*options, *small, "--steps", "1")) == 0
    settings = json.loads((output / "config.json").read_text())
    # Steps given on the command line replace the recipe's time limit.
    assert (settings["steps"], settings["minutes"]) == (1, None)
    assert settings["data"]["batch_size"] == 1
    more = ("learning_rate=1e-5", "--steps", "2", "--resume")
    assert command.run(parse(*options, *small, *more)) == 0
    assert (output / "best.safetensors").is_file()


def test_a_checkpoint_is_tuned_on_a_single_file(
    write_folder: WriteFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build_model(VARIANTS["tiny"])
    save_model(model, tmp_path / "start.safetensors", {})
    gentle = replace(fine_tuning("tiny"), learning_rate=0.0, warmup_steps=0, weight_decay=0.0)
    monkeypatch.setattr(command, "fine_tuning", lambda variant: replace(gentle, variant=variant))
    folder = write_folder(train=(("red", "blue"),) * 5)
    (tmp_path / "mine.json").write_text((folder / "train.json").read_text())
    output = tmp_path / "tuned"
    options = ["--init", str(tmp_path / "start.safetensors"), "--data", str(tmp_path / "mine.json")]
    options += ["--images", str(folder / "images"), "--output", str(output), "--steps", "1"]
    small = ("--set", "data.batch_size=1", "data.crop_size=64", "mask_points=32", "validations=1")
    assert command.run(parse(*options, *small)) == 0
    tuned = load_model(output / "best.safetensors")
    assert tuned.variant == "tiny"
    # Without a learning rate the weights are those it began with, up to half precision.
    for name, value in model.state_dict().items():
        torch.testing.assert_close(tuned.model.state_dict()[name], value, rtol=1e-2, atol=1e-3)


def test_the_recipe_for_tuning_is_that_of_the_variant_but_gentle() -> None:
    lite = fine_tuning("lite")
    assert lite.learning_rate < PRESETS["lite"].learning_rate
    assert lite.loss == PRESETS["lite"].loss
    assert fine_tuning("swin-l").refer == PRESETS["swin-l"].refer
    assert fine_tuning("swin-l").variant == "swin-l"
    assert not fine_tuning("swin-t").decay_steps


def test_a_checkpoint_of_another_variant_is_refused(
    write_folder: WriteFolder, tmp_path: Path
) -> None:
    save_model(build_model(VARIANTS["tiny"]), tmp_path / "tiny.safetensors", {})
    options = ["--init", str(tmp_path / "tiny.safetensors"), "--preset", "lite", "--steps", "1"]
    options += ["--data", str(write_folder()), "--output", str(tmp_path / "run")]
    with pytest.raises(CheckpointMismatch, match="--preset tiny"):
        command.run(parse(*options))


@pytest.mark.parametrize("weight", ["cats=2", "discs", "discs=heavy", "discs=0"])
def test_weights_name_a_data_set_and_a_number(weight: str) -> None:
    with pytest.raises(InvalidDataset, match="one of: discs"):
        command.folder_weights([weight], ["discs"])


def test_weights_of_data_sets_are_read() -> None:
    assert command.folder_weights(["discs=0.5"], ["discs", "cats"]) == (("discs", 0.5),)


def test_data_without_a_validation_split_is_refused(
    write_folder: WriteFolder, tmp_path: Path
) -> None:
    folder = write_folder()
    (folder / "val.json").unlink()
    with pytest.raises(InvalidDataset, match=r"val\.json"):
        command.run(parse("--data", str(folder), "--output", str(tmp_path / "run"), "--steps", "1"))


def test_the_lite_recipe_fits_its_model() -> None:
    lite = PRESETS["lite"]
    assert 0 < lite.frozen_stages < 4
    assert isinstance(lite.data, DataConfig)
    assert lite.data.crop_size % 32 == 0
    assert lite.minutes is not None


def test_every_value_of_a_recipe_can_be_replaced() -> None:
    config = command.override(
        PRESETS["lite"],
        [
            "loss.label=4",
            "loss.contrast=0",
            "loss.concept=0",
            "duplicate_iou=null",
            "focal_alpha=0.25",
            "data.scale_range=[0.5, 1]",
        ],
    )
    assert config.loss == LossWeights()
    assert config.duplicate_iou is None
    assert config.data.scale_range == (0.5, 1)
    assert config.learning_rate == PRESETS["lite"].learning_rate


@pytest.mark.parametrize("setting", ["contrast=0", "loss=3", "loss.contrast", "seed.x=1", "a=b=c"])
def test_unknown_values_are_refused(setting: str) -> None:
    with pytest.raises(InvalidDataset, match="NAME=VALUE"):
        command.override(PRESETS["lite"], [setting])
