"""``python -m dinov convert``: any checkpoint this project reads, as a safetensors file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dinov.checkpoints import convert, load_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("checkpoint", help="swin-t, swin-l or a .pth file")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="X.safetensors", help="the new file"
    )


def run(args: argparse.Namespace) -> int:
    """Convert, and load what was written."""
    converted = load_model(convert(args.checkpoint, args.output))
    size = converted.path.stat().st_size / (1 << 20)
    sys.stdout.write(
        f"{converted.path}: {converted.variant}, {size:.0f} MiB, made from SHA-256 "
        f"{converted.sha256}\n"
    )
    return 0
