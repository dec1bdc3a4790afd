from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dinov.errors import InvalidDataset
from dinov.training import command
from dinov.training.config import PRESETS, DataConfig, LossWeights, TrainingConfig

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


def test_data_without_a_validation_split_is_refused(
    write_folder: WriteFolder, tmp_path: Path
) -> None:
    folder = write_folder()
    (folder / "val.json").unlink()
    with pytest.raises(InvalidDataset, match=r"val\.json"):
        command.run(parse("--data", str(folder), "--output", str(tmp_path / "run"), "--steps", "1"))


def test_the_lite_recipe_fits_its_model() -> None:
    lite = PRESETS["lite"]
    assert lite.freeze_backbone
    assert isinstance(lite.data, DataConfig)
    assert lite.data.crop_size % 32 == 0
    assert lite.minutes is not None


def test_every_value_of_a_recipe_can_be_replaced() -> None:
    config = command.override(
        PRESETS["lite"],
        ["loss.contrast=0", "duplicate_iou=null", "focal_alpha=0.25", "data.scale_range=[0.5, 1]"],
    )
    assert config.loss == LossWeights()
    assert config.duplicate_iou is None
    assert config.data.scale_range == (0.5, 1)
    assert config.learning_rate == PRESETS["lite"].learning_rate


@pytest.mark.parametrize("setting", ["contrast=0", "loss=3", "loss.contrast", "seed.x=1", "a=b=c"])
def test_unknown_values_are_refused(setting: str) -> None:
    with pytest.raises(InvalidDataset, match="NAME=VALUE"):
        command.override(PRESETS["lite"], [setting])
