"""``python -m dinov evaluate coco``."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from dinov.arguments import at_least, share
from dinov.evaluation import options, report
from dinov.evaluation.coco import CocoResult, draw_references, embed_bank, evaluate_folder
from dinov.evaluation.pictures import CASES, PALETTE, Case, extremes, overlay, write_page
from dinov.images import read_rgb
from dinov.masks import decode_rle
from dinov.predictor import Predictor
from dinov.prompt_bank import PromptBank
from dinov.training.datasets import read_folders
from dinov.training.prompt_sampling import PROMPT_TYPES
from dinov.training.samples import Folder, Sample
from dinov.types import PromptType

_LOG = logging.getLogger(__name__)
_COLUMNS = {
    "ap": "AP",
    "ap50": "AP50",
    "ap75": "AP75",
    "recall50": "proposed (IoU 0.5)",
    "pq": "PQ",
    "miou": "mIoU",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    options.add_common(
        parser,
        "training data, of which the examples come: folders with train.json, val.json and images/, "
        "or folders of those, or single COCO instances or panoptic files",
    )
    add = parser.add_argument
    add(
        "--val",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="what is segmented, if it is apart: whole COCO files, or folders with val.json",
    )
    add(
        "--images",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="where the photos of single COCO files are (default: in images/ or beside the file)",
    )
    add(
        "--examples",
        type=at_least(1),
        default=16,
        metavar="N",
        help="of each category, from so many training photos (default: 16)",
    )
    add(
        "--prompt",
        choices=[str(kind) for kind in PROMPT_TYPES],
        default=str(PromptType.MASK),
        help="how the examples are marked (default: mask)",
    )
    add(
        "--score-threshold",
        type=share,
        help="of what counts for PQ and mIoU (default: the checkpoint's own)",
    )
    add(
        "--max-images",
        type=at_least(1),
        metavar="N",
        help="of each folder, drawn at random (default: all)",
    )


def run(args: argparse.Namespace) -> int:
    """Evaluate; returns the exit status."""
    read = partial(
        read_folders, exclude=args.exclude, images=args.images, hold_out=args.val is None
    )
    train, val = read(args.data, "train"), read(args.val or args.data, "val")
    predictor = options.load_predictor(args)
    threshold = predictor.score_threshold if args.score_threshold is None else args.score_threshold
    results: list[CocoResult] = []
    groups: dict[str, list[Case]] = {}
    for folder in val:
        drawn = draw_references(
            train,
            folder,
            examples=args.examples,
            kind=PromptType(args.prompt),
            seed=args.seed,
        )
        if not drawn:
            _LOG.warning("%s is left out: no category has a training example.", folder.name)
            continue
        bank = embed_bank(predictor, drawn)
        samples = _some(folder, args.max_images, args.seed)
        progress = tqdm(samples, desc=folder.name, unit="image")
        result = evaluate_folder(predictor, folder, bank, progress, threshold)
        results.append(result)
        groups |= _cases(predictor, folder, bank, result, threshold)
    setup = options.setup_of(args, predictor) | {
        "examples": args.examples,
        "prompt": args.prompt,
        "score_threshold": threshold,
        "max_images": args.max_images,
    }
    figures = coco_report(results, setup)
    written = report.write(figures, coco_markdown(figures), args.output, "coco")
    note = f"{args.checkpoint}, {args.examples} examples. Left the truth, right what was found."
    page = write_page(args.output / "coco.html", "coco", note, groups)
    _LOG.info("Written: %s, %s, %s", *written, page)
    return 0


def coco_report(results: Sequence[CocoResult], setup: dict[str, object]) -> dict[str, Any]:
    """All figures per folder, and their means over the folders that have them."""
    means: dict[str, float | None] = {}
    for name in _COLUMNS:
        values = [value for r in results if (value := r.figures[name]) is not None]
        means[name] = float(np.mean(values)) if values else None
    folders = {
        result.folder: {
            "images": result.images,
            "categories": len(result.categories),
            "without_examples": list(result.without_examples),
            "figures": result.figures,
            "by_category": result.by_category,
        }
        for result in results
    }
    return {"setup": setup, "folders": folders, "mean": means}


def coco_markdown(figures: dict[str, Any]) -> str:
    """One row per folder."""
    rows = [
        [
            name,
            str(row["images"]),
            str(row["categories"]),
            *(report.figure(row["figures"][column]) for column in _COLUMNS),
        ]
        for name, row in figures["folders"].items()
    ]
    means = [report.figure(figures["mean"][column]) for column in _COLUMNS]
    rows.append(["mean over folders", "", "", *means])
    note = "All categories at once, with a bank of training examples.\n\n"
    return note + report.table(["folder", "images", "categories", *_COLUMNS.values()], rows)


def _some(folder: Folder, count: int | None, seed: int) -> list[Sample]:
    order = np.random.default_rng(seed).permutation(len(folder.samples))[:count]
    return [folder.samples[i] for i in sorted(order)]


def _cases(
    predictor: Predictor, folder: Folder, bank: PromptBank, result: CocoResult, threshold: float
) -> dict[str, list[Case]]:
    shown = [(sample, iou) for sample, iou in result.by_image if sample.truths]
    rows = extremes([iou for _, iou in shown], CASES // 2)
    return {
        f"{folder.name}: {name.lower()}": [
            _case(predictor, folder, bank, *shown[i], threshold) for i in numbers
        ]
        for name, numbers in rows.items()
    }


def _case(
    predictor: Predictor,
    folder: Folder,
    bank: PromptBank,
    sample: Sample,
    iou: float,
    threshold: float,
) -> Case:
    image = read_rgb(sample.path)
    color = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(folder.categories)}
    found = predictor.segment(image, bank, score_threshold=threshold)
    categories = ", ".join(sorted(sample.categories))
    return Case(
        f"{sample.path.name}: mean IoU {iou:.2f} of {categories}",
        (
            overlay(image, [(t.mask(), color[t.category]) for t in sample.truths]),
            overlay(
                image,
                [
                    (decode_rle(i.rle), color[folder.categories[i.category_id - 1]])
                    for i in found.instances
                ],
            ),
        ),
    )
