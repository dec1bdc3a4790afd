"""What the evaluations of a checkpoint have in common on the command line."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2

from dinov.arguments import at_least
from dinov.device import DEVICE_HELP
from dinov.options import PRECISION_HELP, PRECISIONS
from dinov.predictor import Predictor
from dinov.training.prompt_sampling import PROMPT_TYPES
from dinov.types import PromptType


def add_common(parser: argparse.ArgumentParser, data_help: str) -> None:
    """Declare the checkpoint, the data, where the report goes, and what makes it repeatable."""
    add = parser.add_argument
    add("--checkpoint", default="lite", help="name or file (default: lite)")
    add("--data", type=Path, nargs="+", required=True, metavar="PATH", help=data_help)
    add("--exclude", nargs="*", default=[], metavar="NAME", help="folders left out")
    add("--output", type=Path, required=True, metavar="DIR", help="where the report is written")
    add(
        "--input-size",
        type=at_least(32),
        help="side in pixels (default: the checkpoint's own)",
    )
    add("--seed", type=int, default=0, help="of everything that is drawn (default: 0)")
    add("--device", default="auto", help=DEVICE_HELP)
    add("--precision", choices=PRECISIONS, default="float32", help=PRECISION_HELP)


def add_prompts(parser: argparse.ArgumentParser) -> None:
    """Declare the kinds of prompts that are compared."""
    names = [str(kind) for kind in PROMPT_TYPES]
    parser.add_argument(
        "--prompts", nargs="+", choices=names, default=names, help="kinds of prompts (default: all)"
    )


def prompt_types(args: argparse.Namespace) -> list[PromptType]:
    """The kinds that were chosen, each once."""
    return [PromptType(kind) for kind in dict.fromkeys(args.prompts)]


def load_predictor(args: argparse.Namespace) -> Predictor:
    """The checkpoint as users get it."""
    # Many small images: OpenCV's own threads would only compete with the model's.
    cv2.setNumThreads(1)
    return Predictor.from_checkpoint(
        args.checkpoint,
        device=args.device,
        precision=args.precision,
        input_size=args.input_size,
    )


def setup_of(args: argparse.Namespace, predictor: Predictor) -> dict[str, object]:
    """How it was measured, for the report."""
    return {
        "checkpoint": args.checkpoint,
        "sha256": predictor.checkpoint_hash,
        "input_size": predictor.input_size,
        "precision": args.precision,
        "seed": args.seed,
    }
