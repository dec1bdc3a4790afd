"""A job outlives the process it runs in, however that ends."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.project import JobState, ServerError
from app.segmentation import Studio
from app.settings import Settings
from tests.app.conftest import RED, ColorPredictor, as_bytes, draw
from tests.app.studio_to_kill import noting_predictor

IMAGES = 20


def asked(log: Path) -> int:
    return len(log.read_text().splitlines()) if log.exists() else 0


def run_and_kill(data_dir: Path, log: Path, *, at: int) -> None:
    """Let a process go on with the job, and kill it at this image, counted from 1, of its own."""
    before = asked(log)
    arguments = [str(data_dir), str(log), str(at)]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.app.studio_to_kill", *arguments],
        cwd=Path(__file__).parents[2],
    )
    try:
        deadline = time.monotonic() + 120
        while asked(log) < before + at:
            assert process.poll() is None, "it ended by itself"
            assert time.monotonic() < deadline, "it does not come to this image"
            time.sleep(0.02)
        with pytest.raises(ServerError, match=f"process {process.pid}.*--data-dir"):
            Studio.open(Settings(data_dir=data_dir))
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_killed_job_goes_on_twice_and_no_image_is_done_again(tmp_path: Path) -> None:
    data_dir, log = tmp_path / "data", tmp_path / "log"
    studio = Studio.open(Settings(data_dir=data_dir), load_predictor=lambda _: ColorPredictor())
    project_id = studio.create_project("Many").id
    pictures = [draw(patches=[(5 + i, 5, 25 + i, 25, RED)]) for i in range(IMAGES)]
    images = studio.add_images(
        project_id, [(f"{i}.png", as_bytes(picture)) for i, picture in enumerate(pictures)]
    ).added
    studio.add_prompt(project_id, images[0].id, "red", "point", [15, 15])
    studio.close()
    job_id = queue_without_running(data_dir, project_id)

    run_and_kill(data_dir, log, at=5)
    run_and_kill(data_dir, log, at=5)

    predictor = noting_predictor(log)
    studio = Studio.open(Settings(data_dir=data_dir), load_predictor=lambda _: predictor)
    job = studio.jobs.view(job_id)
    assert (job.state, job.attempts) == (JobState.FAILED, 2)
    assert "ended 2 times" in job.message
    assert sum(count.is_segmented for count in studio.counts(project_id).values()) == 8
    studio.jobs.go_on(job_id)
    job = studio.jobs.wait(job_id, timeout=60)
    assert (job.state, job.done, job.found) == (JobState.DONE, IMAGES, IMAGES)
    # Each time the image that was at work was asked for in vain, and no other.
    assert asked(log) == IMAGES + 2
    studio.close()


def queue_without_running(data_dir: Path, project_id: str) -> str:
    """Leave a job in the data folder as a studio does that is closed before it comes to it."""
    studio = Studio.open(Settings(data_dir=data_dir), load_predictor=lambda _: ColorPredictor())
    with studio.jobs._turns:
        job_id = studio.start_segmentation(project_id)
        studio.jobs._is_closing = True
    studio.close()
    return job_id
