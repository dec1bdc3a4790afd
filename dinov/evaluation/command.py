"""``python -m dinov evaluate``."""

from __future__ import annotations

import argparse
import logging
import sys

from dinov.evaluation import coco_command, few_shot_command, refer_command, vos_command

_BENCHMARKS = {
    "few-shot": (
        few_shot_command,
        "find a category, given a few examples",
        "Mean IoU over (references, target) episodes, beside two baselines.",
    ),
    "coco": (
        coco_command,
        "find all categories of a data set at once",
        "AP, PQ and mIoU with a bank of a few training examples per category.",
    ),
    "refer": (
        refer_command,
        "find that very object again",
        "IoU of the best candidate with the object that was marked, on the same photo and others.",
    ),
    "vos": (
        vos_command,
        "follow marked objects through videos",
        "Region and boundary accuracy (J, F) of tracks, beside standing still.",
    ),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    commands = parser.add_subparsers(dest="benchmark", required=True)
    for name, (module, short, long) in _BENCHMARKS.items():
        module.add_arguments(commands.add_parser(name, help=short, description=long))


def run(args: argparse.Namespace) -> int:
    """Evaluate; returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    status: int = _BENCHMARKS[args.benchmark][0].run(args)
    return status
