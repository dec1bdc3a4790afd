"""``python -m dinov train``."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import cv2

from dinov.device import DEVICE_HELP, resolve_device
from dinov.errors import InvalidDataset
from dinov.training.config import PRESETS, DataConfig, LossWeights, ReferConfig, TrainingConfig
from dinov.training.datasets import read_folders
from dinov.training.trainer import Trainer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("--preset", choices=PRESETS, default="lite", help="recipe to follow")
    parser.add_argument(
        "--data",
        type=Path,
        nargs="+",
        required=True,
        metavar="DIR",
        help="folders with train.json, val.json (COCO instances) and images/, or folders of those",
    )
    parser.add_argument("--exclude", nargs="*", default=[], metavar="NAME", help="folders left out")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where to write")
    parser.add_argument("--steps", type=int, help="stop after this many steps")
    parser.add_argument("--minutes", type=float, help="stop after this many minutes")
    parser.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="other values than the recipe's, for example data.batch_size=4 loss.contrast=0 "
        "duplicate_iou=null (names: dinov/training/config.py; values: JSON)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default: 0)")
    parser.add_argument("--resume", action="store_true", help="go on from OUTPUT/last.pt")
    parser.add_argument("--device", default="auto", help=DEVICE_HELP)


def run(args: argparse.Namespace) -> int:
    """Train; returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    # Many small images: OpenCV's own threads would only compete with the training.
    cv2.setNumThreads(1)
    config = override(PRESETS[args.preset], args.set)
    if args.steps or args.minutes:
        config = replace(config, steps=args.steps, minutes=args.minutes)
    config = replace(config, seed=args.seed)
    trainer = Trainer(
        config,
        read_folders(args.data, "train", args.exclude),
        read_folders(args.data, "val", args.exclude),
        args.output,
        resolve_device(args.device),
    )
    if args.resume:
        trainer.resume()
    trainer.run()
    return 0


def override(config: TrainingConfig, settings: Sequence[str]) -> TrainingConfig:
    """Replace values of a recipe; ``settings`` are like "loss.contrast=0".

    Raises:
        InvalidDataset: if there is no such value, or it has another form.
    """
    values = asdict(config)
    for setting in settings:
        name, _, text = setting.partition("=")
        *path, last = name.split(".")
        group = values
        try:
            for part in path:
                group = group[part]
            value = json.loads(text)
            if last not in group or isinstance(group[last], dict):
                raise KeyError(last)
        except (KeyError, TypeError, ValueError) as e:
            raise InvalidDataset(
                f"The recipe has no setting '{setting}'. Use NAME=VALUE with a name of "
                "dinov/training/config.py and a JSON value, for example loss.contrast=0."
            ) from e
        group[last] = tuple(value) if isinstance(value, list) else value
    for name, group_type in (("data", DataConfig), ("loss", LossWeights), ("refer", ReferConfig)):
        values[name] = group_type(**values[name])
    return TrainingConfig(**values)
