"""``python -m dinov evaluate refer``."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from dinov.arguments import at_least
from dinov.evaluation import options, report
from dinov.evaluation.pictures import (
    FOUND,
    MARKED,
    TRUE,
    Case,
    extremes,
    overlay,
    write_page,
)
from dinov.evaluation.refer import (
    CROSS,
    SAME,
    ReferEpisode,
    ReferResult,
    draw_refer_episodes,
    evaluate_refer,
    find,
)
from dinov.images import read_rgb
from dinov.masks import rasterise
from dinov.predictor import Predictor
from dinov.training.datasets import read_folders
from dinov.types import PromptType

_LOG = logging.getLogger(__name__)
_GOOD_IOU = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    options.add_common(
        parser,
        "folders with train.json, val.json (COCO instances; track_id says what is the same object) "
        "and images/, or folders of those",
    )
    add = parser.add_argument
    add("--split", choices=("train", "val"), default="val", help="which split (default: val)")
    add(
        "--per-folder",
        type=at_least(1),
        default=50,
        metavar="N",
        help="objects, and pairs of photos of one object, per folder (default: 50)",
    )
    options.add_prompts(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluate; returns the exit status."""
    episodes = draw_refer_episodes(
        read_folders(args.data, args.split, args.exclude, class_agnostic=True),
        per_folder=args.per_folder,
        seed=args.seed,
    )
    predictor = options.load_predictor(args)
    kinds = options.prompt_types(args)
    result = evaluate_refer(predictor, tqdm(episodes, unit="episode"), kinds)
    setup = options.setup_of(args, predictor) | {
        "split": args.split,
        "per_folder": args.per_folder,
    }
    figures = refer_report(result, setup)
    written = report.write(figures, refer_markdown(figures), args.output, "refer")
    page = write_page(
        args.output / "refer.html",
        "refer",
        f"{args.checkpoint}, prompt: {kinds[0]}. Left the reference with its mark (yellow), then "
        "the truth (green), then the best candidate (pink).",
        _cases(predictor, result, kinds[0]),
    )
    _LOG.info("Written: %s, %s, %s", *written, page)
    return 0


def refer_report(result: ReferResult, setup: dict[str, object]) -> dict[str, Any]:
    """Means over objects, for each setting over everything and per folder."""
    settings = {}
    for setting in (SAME, CROSS):
        folders = sorted({result.episodes[row].folder for row in result.rows(setting)})
        if folders:
            settings[setting] = {
                "all": _figures(result, result.rows(setting)),
                "folders": {f: _figures(result, result.rows(setting, f)) for f in folders},
            }
    return {"setup": setup, "settings": settings}


def refer_markdown(figures: dict[str, Any]) -> str:
    """A table per setting."""
    text = "IoU of the best candidate with the object, 0 if there is none: mean over objects.\n"
    for setting, measured in figures["settings"].items():
        kinds = list(measured["all"]["iou"])
        header = ["folder", "objects", *kinds, "IoU over 0.5", "standing still"]
        rows = [
            [
                name,
                str(row["objects"]),
                *(report.figure(row["iou"][kind]) for kind in kinds),
                report.figure(row["share_over_half"]),
                report.figure(row["standing_still"]),
            ]
            for name, row in [*measured["folders"].items(), ("all", measured["all"])]
        ]
        text += f"\n## {setting.capitalize()}\n\n" + report.table(header, rows)
    return text


def _figures(result: ReferResult, rows: Sequence[int]) -> dict[str, Any]:
    ious = {str(kind): [values[row] for row in rows] for kind, values in result.ious.items()}
    still = [value for row in rows if (value := result.still[row]) is not None]
    return {
        "objects": len(rows),
        "iou": {kind: float(np.mean(values)) for kind, values in ious.items()},
        "share_over_half": float(np.mean(np.array(list(ious.values())) > _GOOD_IOU)),
        "standing_still": float(np.mean(still)) if still else None,
    }


def _cases(predictor: Predictor, result: ReferResult, kind: PromptType) -> dict[str, list[Case]]:
    groups = {}
    for setting in (SAME, CROSS):
        rows = result.rows(setting)
        ious = [result.ious[kind][row] for row in rows]
        for name, numbers in extremes(ious).items() if rows else ():
            groups[f"{setting.capitalize()}: {name.lower()}"] = [
                _case(predictor, result.episodes[rows[i]], kind, ious[i]) for i in numbers
            ]
    return groups


def _case(predictor: Predictor, episode: ReferEpisode, kind: PromptType, iou: float) -> Case:
    reference, target = read_rgb(episode.reference.path), read_rgb(episode.target.path)
    mark = rasterise(episode.prompt(kind), episode.reference.size_hw)
    found = find(predictor, episode, kind)
    return Case(
        f"{episode.folder}, {episode.truth.category}: IoU {iou:.2f} ({episode.target.path.name})",
        (
            overlay(reference, [(mark, MARKED)]),
            overlay(target, [(episode.truth.mask(), TRUE)]),
            overlay(target, [] if found is None else [(found, FOUND)]),
        ),
    )
