"""``python -m dinov evaluate few-shot``."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from typing import Any

import cv2
from tqdm import tqdm

from dinov.arguments import at_least
from dinov.checkpoints import LoadedCheckpoint, load_model
from dinov.config import VARIANTS, LiteBackboneConfig
from dinov.device import resolve_precision
from dinov.evaluation import options, report
from dinov.evaluation.episodes import Episode, draw_episodes
from dinov.evaluation.few_shot import MethodResult, evaluate
from dinov.evaluation.few_shot_pictures import few_shot_cases
from dinov.evaluation.methods import (
    BestProposalMethod,
    CosineMethod,
    ForegroundMethod,
    Method,
    PredictorMethod,
)
from dinov.evaluation.pictures import write_page
from dinov.predictor import Predictor
from dinov.training.datasets import read_folders
from dinov.types import PromptType

_LOG = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    options.add_common(
        parser,
        "folders with train.json, val.json (COCO instances) and images/, or folders of those",
    )
    add = parser.add_argument
    add("--references", choices=("train", "val"), default="train", help="split of the references")
    add(
        "--shots",
        type=at_least(1),
        nargs="+",
        default=[1],
        metavar="N",
        help="references per episode; several numbers are compared on the same targets, each with "
        "the first of the same references (default: 1)",
    )
    add("--per-category", type=int, default=4, help="targets per category (default: 4)")
    add(
        "--drawn-scribbles",
        action="store_true",
        help="references that a person has drawn a scribble on (scribble_file in train.json), and "
        "these as scribbles",
    )
    add(
        "--novel",
        nargs="*",
        default=[],
        metavar="NAME",
        help="folders, or FOLDER/CATEGORY, that the checkpoint was not trained on: told apart",
    )
    options.add_prompts(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluate; returns the exit status."""
    cv2.setNumThreads(1)
    shots = sorted(set(args.shots))
    episodes = draw_episodes(
        read_folders(args.data, args.references, args.exclude),
        read_folders(args.data, "val", args.exclude),
        shots=shots[-1],
        per_category=args.per_category,
        seed=args.seed,
        drawn=args.drawn_scribbles,
    )
    loaded = load_model(args.checkpoint)
    predictor = _predictor(loaded, args)
    dinov = PredictorMethod(predictor)
    limit = BestProposalMethod(predictor)
    methods: list[Method] = [dinov, limit, *_baselines(args, loaded, predictor)]
    reports = [_measure(args, predictor, dinov, methods, episodes, count) for count in shots]
    if len(reports) > 1:
        text = report.references_table(reports)
        written = report.write({"by_references": reports}, text, args.output, "few_shot")
        _LOG.info("Written: %s, %s", *written)
    return 0


def _measure(
    args: argparse.Namespace,
    predictor: Predictor,
    dinov: PredictorMethod,
    methods: Sequence[Method],
    episodes: Sequence[Episode],
    shots: int,
) -> dict[str, Any]:
    """Evaluate with so many references, and write the report and its page of pictures."""
    kinds = options.prompt_types(args)
    few = [episode.with_references(shots) for episode in episodes]
    results = evaluate(methods, tqdm(few, unit="episode"), kinds)
    figures = report.few_shot_report(
        results,
        {
            **options.setup_of(args, predictor),
            "references": args.references,
            "shots": shots,
            "per_category": args.per_category,
            "scribbles": "drawn" if args.drawn_scribbles else "sampled",
            "novel": args.novel,
        },
        args.novel,
    )
    name = f"few_shot_{shots}"
    written = report.write(figures, report.to_markdown(figures), args.output, name)
    page = _pictures(args, dinov, results[0], kinds[0], name)
    _LOG.info("Written: %s, %s, %s", *written, page)
    return figures


def _pictures(
    args: argparse.Namespace,
    dinov: PredictorMethod,
    result: MethodResult,
    kind: PromptType,
    name: str,
) -> Any:
    threshold = float(result.thresholds[result.best_threshold()])
    note = (
        f"{args.checkpoint}, prompt: {kind}, score threshold {threshold:.3f}. Left the first "
        "reference with its mark (yellow), then the truth (green), then what was found (pink)."
    )
    cases = few_shot_cases(dinov, result, kind)
    return write_page(args.output / f"{name}.html", name.replace("_", " "), note, cases)


def _predictor(loaded: LoadedCheckpoint, args: argparse.Namespace) -> Predictor:
    stored = loaded.metadata.get("input_size")
    return Predictor(
        loaded.model,
        variant=loaded.variant,
        checkpoint_hash=loaded.sha256,
        device=args.device,
        precision=args.precision,
        input_size=args.input_size or (int(stored) if stored else None),
    )


def _baselines(
    args: argparse.Namespace, loaded: LoadedCheckpoint, predictor: Predictor
) -> list[Method]:
    methods: list[Method] = [ForegroundMethod()]
    if isinstance(VARIANTS[loaded.variant].backbone, LiteBackboneConfig):
        cosine = CosineMethod(
            loaded.model,
            input_size=predictor.input_size,
            device=predictor.device,
            dtype=resolve_precision(args.precision),
        )
        methods.insert(0, cosine)
    return methods
