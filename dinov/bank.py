"""``python -m dinov bank``: what prompt banks hold, and several as one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dinov.prompt_bank import PromptBank


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("banks", type=Path, nargs="+", metavar="FILE", help="files of `embed`")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="X.safetensors",
        help="write all of them as one bank; categories of the same name become one",
    )


def run(args: argparse.Namespace) -> int:
    """Describe every bank; with an output, the merged one instead."""
    banks = [PromptBank.load(path) for path in args.banks]
    if args.output is None:
        blocks = [
            [str(path), *describe(bank)] for path, bank in zip(args.banks, banks, strict=True)
        ]
    else:
        merged = PromptBank.merge(banks)
        merged.save(args.output)
        blocks = [[str(args.output), *describe(merged)]]
    sys.stdout.write("\n\n".join("\n".join(lines) for lines in blocks) + "\n")
    return 0


def describe(bank: PromptBank) -> list[str]:
    """One line for the model, one for each category."""
    lines = [f"made with {bank.fingerprint}"]
    for category in bank.named_categories:
        negatives = len(bank.negatives.get(category.id, ()))
        against = f", {negatives} negative" if negatives else ""
        count = len(bank.positives[category.id])
        lines.append(f"{category.id:5d}  {category.name}: {count} examples{against}")
    return lines
