"""``python -m dinov embed``: the annotations of a COCO file as a prompt bank."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from dinov.arguments import at_least
from dinov.bank import describe
from dinov.device import DEVICE_HELP
from dinov.leave_one_out import ExampleScore, leave_one_out
from dinov.masks import rle_box_xyxy
from dinov.options import PRECISION_HELP, PRECISIONS
from dinov.predictor import Predictor
from dinov.references import ReferenceFile, read_references
from dinov.types import Category, Prompt, Reference

_log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    add = parser.add_argument
    add(
        "--references",
        type=Path,
        required=True,
        metavar="REF.json",
        help="COCO instances JSON; every annotation is an example, crowds are left out",
    )
    add(
        "--reference-images",
        type=Path,
        metavar="DIR",
        help="where the file names in REF.json start (default: its own folder)",
    )
    add("--output", type=Path, required=True, metavar="X.safetensors", help="the bank")
    add("--checkpoint", default="lite", metavar="NAME|FILE", help="name or file (default: lite)")
    add(
        "--max-per-category",
        type=at_least(1),
        metavar="N",
        help="of a category with more examples, so many are drawn (default: all)",
    )
    add("--seed", type=at_least(0), default=0, help="of that draw (default: %(default)s)")
    add(
        "--scores",
        action="store_true",
        help="also print the leave-one-out score of every example, the worst first: how well the "
        "other examples of its category find it, 0 to 1",
    )
    add("--input-size", type=int, metavar="N", help="side in pixels (default: the checkpoint's)")
    add("--device", default="auto", help=DEVICE_HELP)
    add("--precision", choices=PRECISIONS, default="float32", help=PRECISION_HELP)


def run(args: argparse.Namespace) -> int:
    """Embed, write, and say what the bank holds."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    references = read_references(args.references, args.reference_images)
    if args.max_per_category is not None:
        references = references.sample(args.max_per_category, args.seed)
    for note in references.notes:
        _log.info("%s", note)
    predictor = Predictor.from_checkpoint(
        args.checkpoint,
        device=args.device,
        precision=args.precision,
        input_size=args.input_size,
    )
    problems: list[str] = []
    bank = predictor.embed_references(
        _watched(references, "references", problems), references.categories
    )
    bank.save(args.output)
    lines = describe(bank)
    if args.scores:
        found = leave_one_out(predictor, _watched(references, "scores", []), bank)
        lines += ["", *_score_lines(found, bank.named_categories)]
    for problem in problems:
        _log.info("Left out: %s", problem)
    sys.stdout.write("\n".join([*lines, str(args.output), ""]))
    return int(bool(problems))


def _watched(references: ReferenceFile, what: str, problems: list[str]) -> Iterator[Reference]:
    usable = references.usable(problems)
    yield from tqdm(usable, total=len(references), desc=what, unit="image", disable=None)


def _score_lines(scores: Sequence[ExampleScore], categories: Sequence[Category]) -> list[str]:
    """The worst first; those without a score, which have nobody to be compared with, at the end."""
    names = {category.id: category.name for category in categories}
    lines = ["score  category  prompt on image"]
    for example in sorted(scores, key=lambda e: 2.0 if e.score is None else e.score):
        score = "  -  " if example.score is None else f"{example.score:5.3f}"
        prompt = example.prompt
        lines.append(
            f"{score}  {names[prompt.category_id]}  {prompt.type} at {_place(prompt)} on "
            f"{example.reference}"
        )
    return lines


def _place(prompt: Prompt) -> str:
    """The middle of a prompt, in pixels."""
    if prompt.rle is not None:
        x0, y0, x1, y1 = rle_box_xyxy(prompt.rle)
    else:
        xs, ys = prompt.points[::2], prompt.points[1::2]
        x0, y0, x1, y1 = min(xs), min(ys), max(xs), max(ys)
    return f"{(x0 + x1) / 2:.0f}, {(y0 + y1) / 2:.0f}"
