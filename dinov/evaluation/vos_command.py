"""``python -m dinov evaluate vos``."""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

from dinov.evaluation.vos import ObjectScore, read_tracks, score_tracks, standing_still
from dinov.files import written_whole

_LOG = logging.getLogger(__name__)
_FIGURES = ("J&F", "J", "F", "J&F standing still")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    add = parser.add_argument
    add(
        "--truth",
        type=Path,
        required=True,
        metavar="FILE",
        help="COCO with videos, frame_index and track_id, annotated on every frame that counts",
    )
    add(
        "--found",
        type=Path,
        nargs="+",
        required=True,
        metavar="tracks.json",
        help="what python -m dinov track found, one file per video; a video is known by its name",
    )
    add("--output", type=Path, required=True, metavar="OUT.json", help="where figures are written")


def run(args: argparse.Namespace) -> int:
    """Score; returns the exit status."""
    rows = [row for path in args.found for row in _score(args.truth, path)]
    means = {key: float(np.mean([row[key] for row in rows])) for key in _FIGURES}
    report = {"objects": rows, "mean": means}
    with written_whole(args.output) as partial:
        partial.write_text(json.dumps(report, indent=1, allow_nan=False), encoding="utf-8")
    for row in [*rows, {"video": "mean", "track_id": "", **means}]:
        figures = "  ".join(f"{key} {row[key]:.3f}" for key in _FIGURES)
        _LOG.info("%s %s  %s", row["video"], row["track_id"], figures)
    _LOG.info("Written: %s", args.output)
    return 0


def _score(truth_path: Path, found_path: Path) -> list[dict[str, Any]]:
    found = read_tracks(found_path)
    truth = read_tracks(truth_path, found.name)
    scores, baseline = score_tracks(found, truth), score_tracks(standing_still(truth), truth)
    return [_row(truth.name, *pair) for pair in zip(scores, baseline, strict=True)]


def _row(video: str, score: ObjectScore, still: ObjectScore) -> dict[str, Any]:
    return {
        "video": video,
        "track_id": score.track_id,
        "frames": score.frames,
        "J&F": score.mean,
        "J": score.region,
        "F": score.boundary,
        "J&F standing still": still.mean,
    }
