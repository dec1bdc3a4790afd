"""``python -m dinov train``."""

from __future__ import annotations

import argparse
import logging
import sys
from dataclasses import replace
from pathlib import Path

import cv2

from dinov.device import DEVICE_HELP, resolve_device
from dinov.training.config import PRESETS
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
    parser.add_argument("--batch-size", type=int, help="images per step")
    parser.add_argument("--crop-size", type=int, help="pixels per side, a multiple of 32")
    parser.add_argument("--learning-rate", type=float, help="at its highest")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default: 0)")
    parser.add_argument("--resume", action="store_true", help="go on from OUTPUT/last.pt")
    parser.add_argument("--device", default="auto", help=DEVICE_HELP)


def run(args: argparse.Namespace) -> int:
    """Train; returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    # Many small images: OpenCV's own threads would only compete with the training.
    cv2.setNumThreads(1)
    config = PRESETS[args.preset]
    data = replace(
        config.data,
        batch_size=args.batch_size or config.data.batch_size,
        crop_size=args.crop_size or config.data.crop_size,
    )
    limits = (args.steps, args.minutes)
    steps, minutes = limits if any(limits) else (config.steps, config.minutes)
    config = replace(
        config,
        data=data,
        seed=args.seed,
        steps=steps,
        minutes=minutes,
        learning_rate=args.learning_rate or config.learning_rate,
    )
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
