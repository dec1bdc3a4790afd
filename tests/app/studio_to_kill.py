"""A studio in a process of its own, to be killed: goes on with what its data folder holds.

Usage: python -m tests.app.studio_to_kill DATA_DIR LOG IMAGES. Every image that the model is asked
about adds a line to the log; at the last of so many it does not come to an end.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from app.segmentation import Studio
from app.settings import Settings
from tests.app.conftest import ColorPredictor


def noting_predictor(log: Path, images: int | None = None) -> ColorPredictor:
    predictor = ColorPredictor()

    def note() -> None:
        with log.open("a") as file:
            file.write("an image\n")
        if predictor.segmented + 1 == images:
            threading.Event().wait()

    predictor.before_segment = note
    return predictor


if __name__ == "__main__":
    data_dir, log = map(Path, sys.argv[1:3])
    predictor = noting_predictor(log, int(sys.argv[3]))
    studio = Studio.open(Settings(data_dir=data_dir), load_predictor=lambda _: predictor)
    threading.Event().wait()
