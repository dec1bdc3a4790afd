"""Types of command-line arguments, and what several commands have in common."""

from __future__ import annotations

import argparse
from collections.abc import Callable

LOSS = 3
"""Exit status of a command that left something out of what it wrote, or changed it."""


def add_allow_loss(parser: argparse.ArgumentParser) -> None:
    """Declare the option by which a loss is no failure."""
    parser.add_argument(
        "--allow-loss",
        action="store_true",
        help=f"exit with 0, not {LOSS}, if something was left out or changed",
    )


def add_mask_encoding(parser: argparse.ArgumentParser) -> None:
    """Declare how masks are written in COCO files."""
    parser.add_argument(
        "--mask-encoding",
        choices=["auto", "polygon", "rle"],
        default="auto",
        help="auto: polygons, and RLE for masks with holes (default: auto)",
    )


def share(text: str) -> float:
    """Read a number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def at_least(least: int) -> Callable[[str], int]:
    """A reader of whole numbers that are not too small."""

    def number(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"{text} is less than {least}")
        return int(text)

    return number
