"""``python -m dinov evaluate``."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

import cv2
from tqdm import tqdm

from dinov.checkpoints import LoadedCheckpoint, load_model
from dinov.config import VARIANTS, LiteBackboneConfig
from dinov.device import DEVICE_HELP
from dinov.evaluation import report, vos_command
from dinov.evaluation.episodes import draw_episodes
from dinov.evaluation.few_shot import evaluate
from dinov.evaluation.methods import CosineMethod, ForegroundMethod, Method, PredictorMethod
from dinov.predictor import Predictor
from dinov.training.datasets import read_folders
from dinov.training.prompt_sampling import PROMPT_TYPES
from dinov.types import PromptType


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    commands = parser.add_subparsers(dest="benchmark", required=True)
    few_shot = commands.add_parser(
        "few-shot",
        help="find a category, given a few examples",
        description="Mean IoU over (references, target) episodes, beside two baselines.",
    )
    add = few_shot.add_argument
    add("--checkpoint", default="lite", help="name or file (default: lite)")
    add(
        "--data",
        type=Path,
        nargs="+",
        required=True,
        metavar="DIR",
        help="folders with train.json, val.json (COCO instances) and images/, or folders of those",
    )
    add("--exclude", nargs="*", default=[], metavar="NAME", help="folders left out")
    add("--output", type=Path, required=True, metavar="DIR", help="where the report is written")
    add("--references", choices=("train", "val"), default="train", help="split of the references")
    add("--shots", type=int, default=1, help="references per episode (default: 1)")
    add("--per-category", type=int, default=4, help="targets per category (default: 4)")
    add(
        "--prompts",
        nargs="+",
        choices=[str(kind) for kind in PROMPT_TYPES],
        default=[str(kind) for kind in PROMPT_TYPES],
        help="kinds of prompts (default: all)",
    )
    add("--input-size", type=int, help="side in pixels (default: the checkpoint's own)")
    add("--seed", type=int, default=0, help="of the episodes (default: 0)")
    add("--device", default="auto", help=DEVICE_HELP)
    vos_command.add_arguments(
        commands.add_parser(
            "vos",
            help="follow marked objects through videos",
            description="Region and boundary accuracy (J, F) of tracks, beside standing still.",
        )
    )


def run(args: argparse.Namespace) -> int:
    """Evaluate; returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    return vos_command.run(args) if args.benchmark == "vos" else _run_few_shot(args)


def _run_few_shot(args: argparse.Namespace) -> int:
    cv2.setNumThreads(1)
    episodes = draw_episodes(
        read_folders(args.data, args.references, args.exclude),
        read_folders(args.data, "val", args.exclude),
        shots=args.shots,
        per_category=args.per_category,
        seed=args.seed,
    )
    loaded = load_model(args.checkpoint)
    methods = _methods(loaded, args)
    kinds = [PromptType(kind) for kind in args.prompts]
    results = evaluate(methods, tqdm(episodes, unit="episode"), kinds)
    setup = {
        "checkpoint": args.checkpoint,
        "sha256": loaded.sha256,
        "input_size": args.input_size or loaded.metadata.get("input_size"),
        "references": args.references,
        "shots": args.shots,
        "per_category": args.per_category,
        "seed": args.seed,
    }
    written = report.write(
        report.few_shot_report(results, setup), args.output, f"few_shot_{args.shots}"
    )
    logging.getLogger(__name__).info("Written: %s, %s", *written)
    return 0


def _methods(loaded: LoadedCheckpoint, args: argparse.Namespace) -> list[Method]:
    config = VARIANTS[loaded.variant]
    stored = loaded.metadata.get("input_size")
    predictor = Predictor(
        loaded.model,
        variant=loaded.variant,
        checkpoint_hash=loaded.sha256,
        device=args.device,
        input_size=args.input_size or (int(stored) if stored else None),
    )
    methods: list[Method] = [PredictorMethod(predictor)]
    if isinstance(config.backbone, LiteBackboneConfig):
        methods.append(
            CosineMethod(loaded.model, input_size=predictor.input_size, device=predictor.device)
        )
    return [*methods, ForegroundMethod()]
