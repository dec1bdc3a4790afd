from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dinov.errors import InvalidDataset
from dinov.training import command
from dinov.training.config import PRESETS, DataConfig, TrainingConfig

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
    options = ["--data", str(write_folder()), "--output", str(output), "--batch-size", "1"]
    assert command.run(parse(*options, "--crop-size", "64", "--steps", "1")) == 0
    settings = json.loads((output / "config.json").read_text())
    # Steps given on the command line replace the recipe's time limit.
    assert (settings["steps"], settings["minutes"]) == (1, None)
    assert settings["data"]["batch_size"] == 1
    more = ("--crop-size", "64", "--steps", "2", "--learning-rate", "1e-5", "--resume")
    assert command.run(parse(*options, *more)) == 0
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
