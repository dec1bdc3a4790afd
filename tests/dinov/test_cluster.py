"""A batch on several workers: the same file as on one, also if one of them dies."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from dinov import cli, cluster
from dinov.batch import run_batch
from dinov.checkpoints import save_model
from dinov.cluster import MAX_BLOCK, block_size, ray_cluster, share_of
from dinov.config import VARIANTS
from dinov.errors import ClusterError
from dinov.masks import encode_rle
from dinov.model.build import build_model
from dinov.targets import Target
from dinov.types import Category, Image, Instance, Segmentation
from dinov.work import Cluster, Entry, Work


def test_blocks_are_small_enough_for_all_to_end_together() -> None:
    assert block_size(10_000_000, 8) == MAX_BLOCK
    assert block_size(6400, 2) == 200
    assert block_size(10, 2) == 5
    assert block_size(3, 8) == 1
    assert block_size(0, 2) == 1


CPUS, GPUS = [{"CPU": 8.0}, {"CPU": 4.0}], [{"CPU": 16.0, "GPU": 2.0}, {"CPU": 64.0}]


@pytest.mark.parametrize(
    ("machines", "workers", "on_gpus", "expected"),
    [
        (CPUS, None, True, (2, 4, 0.0)),
        (CPUS, 3, True, (3, 4, 0.0)),
        (CPUS, 12, True, (12, 1, 0.0)),
        (GPUS, None, True, (2, 8, 1.0)),
        (GPUS, 4, True, (4, 4, 0.5)),
        (GPUS, 1, True, (1, 16, 1.0)),
        (GPUS, None, False, (2, 32, 0.0)),
    ],
)
def test_workers_share_the_machines(
    machines: Any, workers: int | None, on_gpus: bool, expected: Any
) -> None:
    assert share_of(machines, workers, on_gpus=on_gpus) == expected


def test_too_many_workers_are_refused() -> None:
    with pytest.raises(ClusterError, match=r"12 processors, too few for 13 workers"):
        share_of(CPUS, 13)


@pytest.mark.parametrize("address", ["", "dask", "ray://", "http://host:1"])
def test_an_address_of_another_form_is_refused(address: str) -> None:
    with pytest.raises(ClusterError, match=r"is no cluster\. Write ray"):
        ray_cluster(address)


def test_what_to_install_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "ray.data", raising=False)
    with pytest.raises(ClusterError, match=r"pip install -r requirements-cluster.txt"):
        ray_cluster("ray")


def test_a_cluster_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    PIL.Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ClusterError, match=rf"no Ray cluster at 127.0.0.1:{port} that this"):
        run_batch(
            [tmp_path / "a.png"],
            lambda image: Segmentation((8, 8), ()),
            [Category(1, "dark")],
            tmp_path / "out.json",
            cluster=ray_cluster(f"ray://127.0.0.1:{port}"),
        )


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twenty-four photos of different brightness, and one that is none."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(24):
        pixels = np.random.default_rng(number).integers(0, 255, (40, 48, 3), np.uint8)
        pixels[0, 0] = number
        PIL.Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / "7.jpg").write_bytes(b"no picture")
    return folder


@pytest.mark.slow
def test_a_lost_worker_costs_its_block_only(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Ray is nice to other programs; beside busy ones its workers would not even start.
    monkeypatch.setenv("RAY_worker_niceness", "0")
    log, dead = tmp_path / "log.txt", tmp_path / "dead"

    # Inside, because workers cannot import the tests.
    def segment(image: Image) -> Segmentation:
        number = int(image[0, 0, 0])
        if number == 13 and not dead.exists() and log.exists():
            dead.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        if log.exists():
            with log.open("a") as file:
                file.write(f"{number} {os.getpid()}\n")
        mask = image[..., 0] < 100
        rle = encode_rle(mask)
        return Segmentation(mask.shape, (Instance(1, 0.5, rle, (0, 0, 48, 40), int(mask.sum())),))

    targets = [photos.as_uri()]  # file://, one of the stores that fsspec knows
    run_batch(targets, segment, [Category(1, "dark")], tmp_path / "one.json")
    log.touch()
    report = run_batch(
        targets,
        segment,
        [Category(1, "dark")],
        tmp_path / "two.json",
        cluster=ray_cluster("ray", 2),
    )
    assert (tmp_path / "two.json").read_bytes() == (tmp_path / "one.json").read_bytes()
    assert (report.images, report.total) == (24, 25)
    assert "7.jpg" in report.problems[0]
    assert dead.exists()
    seen = [tuple(map(int, line.split())) for line in log.read_text().splitlines()]
    workers = {pid for _, pid in seen}
    assert os.getpid() not in workers
    assert len(workers) >= 2
    counts = Counter(number for number, _ in seen)
    assert set(counts) == set(range(24))
    again = {number for number, count in counts.items() if count > 1}
    assert len(again) < block_size(25, 2)


@pytest.fixture
def head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a cluster that runs already; it has a home, and so a token, of its own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = ["start", "--head", "--block", "--node-ip-address=127.0.0.1", f"--port={port}"]
    words += ["--num-cpus=2", "--include-dashboard=false"]
    program = Path(sys.executable).with_name("ray")
    with (tmp_path / "ray.log").open("w") as log:
        running = subprocess.Popen(
            [program, *words], stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait_for(port)
        yield f"ray://127.0.0.1:{port}"
    finally:
        # Asked nicely, it would wait half a minute for its work to move to other machines.
        os.killpg(running.pid, signal.SIGKILL)
        running.wait(timeout=30)


def _wait_for(port: int) -> None:
    for _ in range(240):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.25)
    raise AssertionError("Ray did not start")


@pytest.mark.slow
def test_a_running_cluster_is_joined(photos: Path, tmp_path: Path, head: str) -> None:
    words = segment_words(photos, tmp_path)
    for name, more in (("one", []), ("two", ["--cluster", head, "--cluster-workers", "2"])):
        ended = subprocess.run(
            [sys.executable, "-m", "dinov", *words, "--output", tmp_path / f"{name}.json", *more],
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert ended.returncode == 1, ended.stderr  # 7.jpg
    assert (tmp_path / "two.json").read_bytes() == (tmp_path / "one.json").read_bytes()


def segment_words(photos: Path, tmp_path: Path) -> list[str]:
    """A command that segments the photos with a tiny model and one prompt."""
    checkpoint = tmp_path / "tiny.safetensors"
    save_model(build_model(VARIANTS["tiny"]), checkpoint, {})
    (tmp_path / "ref.json").write_text(
        '{"images": [{"id": 1, "file_name": "photos/1.png", "width": 48, "height": 40}],'
        ' "categories": [{"id": 1, "name": "noise"}],'
        ' "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [8, 8, 30, 30]}]}'
    )
    words = ["segment", "--references", str(tmp_path / "ref.json"), "--targets", str(photos)]
    return [*words, "--checkpoint", str(checkpoint), "--device", "cpu", "--score-threshold", "0"]


def sent(work: Work, targets: Iterator[Target], count: int) -> Iterator[Entry]:
    """Another machine, in this process: what reaches it is what Ray would send."""
    from ray import cloudpickle

    return cloudpickle.loads(cloudpickle.dumps(work))(targets)


def test_the_command_sends_model_and_prompts(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def cluster_of(*named: Any, **options: Any) -> Cluster:
        asked.append((*named, *options.values()))
        return sent

    monkeypatch.setattr(cluster, "ray_cluster", cluster_of)
    words = segment_words(photos, tmp_path)
    for name, more in (("one", []), ("two", ["--cluster", "ray", "--cluster-workers", "2"])):
        assert cli.main([*words, "--output", str(tmp_path / f"{name}.json"), *more]) == 1  # 7.jpg
    assert asked == [("ray", 2, False)]
    assert (tmp_path / "two.json").read_bytes() == (tmp_path / "one.json").read_bytes()
