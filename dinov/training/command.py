"""``python -m dinov train``."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import cv2

from dinov.checkpoints import load_model
from dinov.config import VARIANTS, Dinov2Config
from dinov.device import DEVICE_HELP, resolve_device
from dinov.errors import CheckpointMissing, InvalidDataset
from dinov.training.config import (
    PRESETS,
    DataConfig,
    LossWeights,
    ReferConfig,
    TrainingConfig,
    fine_tuning,
)
from dinov.training.datasets import read_folders
from dinov.training.distributed import joined
from dinov.training.samples import Folder
from dinov.training.trainer import Trainer

_LOG = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument(
        "--preset",
        choices=PRESETS,
        help="recipe to follow (default: lite; with --init a short one for the checkpoint)",
    )
    add_data_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where to write")
    parser.add_argument(
        "--init", metavar="NAME|FILE", help="start from the weights of this checkpoint"
    )
    parser.add_argument(
        "--backbone",
        type=Path,
        metavar="FILE",
        help="weights that a dinov2 preset starts from, as published or as timm has them",
    )
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


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that say what is learned from."""
    parser.add_argument(
        "--data",
        type=Path,
        nargs="+",
        required=True,
        metavar="PATH",
        help="folders with train.json, val.json (COCO instances or panoptic) and images/, or "
        "folders of those; or single COCO files, of which every fifth photo is for validation; "
        "or folders of photos with a JSON file each, as SA-1B comes (for the refer task)",
    )
    parser.add_argument(
        "--images",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="where the photos of single COCO files are (default: in images/ or beside the file)",
    )
    parser.add_argument(
        "--val",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="data for validation, if it is apart: whole COCO files, or folders with val.json",
    )
    parser.add_argument(
        "--weights",
        nargs="+",
        default=[],
        metavar="NAME=FACTOR",
        help="data sets that count more or less than by their size",
    )
    parser.add_argument("--exclude", nargs="*", default=[], metavar="NAME", help="folders left out")


def run(args: argparse.Namespace) -> int:
    """Train; returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    # Many small images: OpenCV's own threads would only compete with the training.
    cv2.setNumThreads(1)
    config = override(_recipe(args), args.set)
    if args.steps or args.minutes:
        config = replace(config, steps=args.steps, minutes=args.minutes)
    config = replace(config, seed=args.seed)
    _check_backbone(args, config.variant)
    train, val = read_data(args)
    weights = folder_weights(args.weights, [folder.name for folder in train])
    config = replace(config, data=replace(config.data, folder_weights=weights))
    with joined(resolve_device(args.device)) as processes:
        device = processes.device
        trainer = Trainer(
            config, train, val, args.output, device, args.init, processes, args.backbone
        )
        if args.resume:
            trainer.resume()
        best = trainer.run()
    if processes.is_first and VARIANTS[config.variant].concept_head is not None:
        _LOG.info("to add a concept head: python -m dinov train-concepts --init %s ...", best)
    return 0


def _recipe(args: argparse.Namespace) -> TrainingConfig:
    if args.init and not args.preset:
        return fine_tuning(load_model(args.init).variant)
    return PRESETS[args.preset or "lite"]


def _check_backbone(args: argparse.Namespace, variant: str) -> None:
    """Random weights that stay frozen would only be noticed after a day."""
    wanted = isinstance(VARIANTS[variant].backbone, Dinov2Config)
    if args.backbone is not None and not wanted:
        raise InvalidDataset(f"--backbone is for dinov2 presets; '{variant}' has another backbone.")
    if wanted and not (args.backbone or args.init or args.resume):
        raise CheckpointMissing(
            f"'{variant}' starts from DINOv2 weights, which do not come with it. Get them (the "
            "README says where) and name the file: --backbone FILE."
        )


def read_data(args: argparse.Namespace) -> tuple[list[Folder], list[Folder]]:
    """What the options of ``add_data_arguments`` name: for training and for validation."""
    read = partial(
        read_folders, exclude=args.exclude, images=args.images, hold_out=args.val is None
    )
    return read(args.data, "train", class_agnostic=True), read(args.val or args.data, "val")


def folder_weights(weights: Sequence[str], names: Sequence[str]) -> tuple[tuple[str, float], ...]:
    """Read factors of data sets, given like "coco=2".

    Raises:
        InvalidDataset: if there is no such data set, or the factor is not a positive number.
    """
    factors = []
    for text in weights:
        name, _, factor = text.rpartition("=")
        try:
            factors.append((name, float(factor)))
        except ValueError:
            name = ""
        if name not in names or factors[-1][1] <= 0:
            raise InvalidDataset(
                f"'{text}' is no weight of a data set. Use NAME=FACTOR with a positive number and "
                f"one of: {', '.join(names)}."
            )
    return tuple(factors)


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
