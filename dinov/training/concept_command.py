"""``python -m dinov train-concepts``."""

from __future__ import annotations

import argparse
import logging
import sys
from dataclasses import replace
from pathlib import Path

import cv2

from dinov.arguments import at_least
from dinov.checkpoints import load_model
from dinov.device import DEVICE_HELP, resolve_device
from dinov.errors import InvalidDataset
from dinov.training.command import add_data_arguments, folder_weights, read_data
from dinov.training.concept_training import ConceptRecipe, ConceptTrainer

_RECIPE = ConceptRecipe()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument(
        "--init",
        default="lite",
        metavar="NAME|FILE",
        help="the model; only its concept head is changed, or added if it has none (default: lite)",
    )
    add_data_arguments(parser)
    parser.add_argument(
        "--apart",
        nargs="+",
        default=[],
        metavar="NAME",
        help="data sets of a domain of their own: their photos serve as such that do not show the "
        "categories of the others, unless names are alike",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where to write")
    parser.add_argument(
        "--steps",
        type=at_least(1),
        default=_RECIPE.steps,
        help=f"of {_RECIPE.batch_size} episodes each (default: {_RECIPE.steps})",
    )
    parser.add_argument(
        "--learning-rate",
        type=float,
        default=_RECIPE.learning_rate,
        help=f"at the start (default: {_RECIPE.learning_rate})",
    )
    parser.add_argument(
        "--views",
        type=at_least(1),
        default=_RECIPE.views,
        help="of each photo, the whole and parts of it; all are kept in memory, 1 MB each at 384 "
        f"pixels (default: {_RECIPE.views})",
    )
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default: 0)")
    parser.add_argument("--resume", action="store_true", help="go on from OUTPUT/concepts.pt")
    parser.add_argument("--device", default="auto", help=DEVICE_HELP)


def run(args: argparse.Namespace) -> int:
    """Train; returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    cv2.setNumThreads(1)
    recipe = replace(
        _RECIPE,
        steps=args.steps,
        views=args.views,
        learning_rate=args.learning_rate,
        seed=args.seed,
    )
    train, val = read_data(args)
    names = [folder.name for folder in train]
    weights = dict(folder_weights(args.weights, names))
    if unknown := sorted(set(args.apart) - set(names)):
        raise InvalidDataset(
            f"There is no data set {', '.join(unknown)} to keep apart. Use: {', '.join(names)}."
        )
    device = resolve_device(args.device)
    trainer = ConceptTrainer(
        recipe, load_model(args.init), train, val, args.output, device, weights, args.apart
    )
    if args.resume:
        trainer.resume()
    trainer.run()
    return 0
