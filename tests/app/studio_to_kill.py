"""A studio in a process of its own, to be killed: goes on with what its data folder holds.

Usage: python -m tests.app.studio_to_kill DATA_DIR LOG. Every image that the model is asked about
adds a line to the log; the process ends when no job is left.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from app.segmentation import Studio
from app.settings import Settings
from tests.app.conftest import ColorPredictor

SECONDS_PER_IMAGE = 0.05


def slow_predictor(log: Path) -> ColorPredictor:
    predictor = ColorPredictor()

    def note() -> None:
        with log.open("a") as file:
            file.write("an image\n")
        time.sleep(SECONDS_PER_IMAGE)

    predictor.before_segment = note
    return predictor


if __name__ == "__main__":
    data_dir, log = map(Path, sys.argv[1:])
    studio = Studio.open(Settings(data_dir=data_dir), load_predictor=lambda _: slow_predictor(log))
    ids = [project.id for project in studio.projects()]
    while any(job.state.is_active for job in studio.jobs.recent(ids)):
        time.sleep(0.05)
    studio.close()
