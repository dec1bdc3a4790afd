"""Segment many small images, kill the program half-way, go on: memory, speed, and what was redone.

    python -m tests.batch_at_scale --images 20000 --folder /tmp/many --unbroken
    python -m tests.batch_at_scale --images 2000 --folder /tmp/many --cluster-workers 1 2
    python -m tests.batch_at_scale --photos PHOTOS --folder /tmp/lite --cluster-workers 1 2

Uses a small model of random weights, because what is measured is the batch and not the model.
With ``--cluster-workers`` the same batch is done in one process and on Ray with so many workers;
with ``--photos``, of a folder, by `lite` and the marks of the example.
Prints JSON. Linux only: memory is read from /proc.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch

from dinov.checkpoints import save_model
from dinov.config import VARIANTS
from dinov.model.build import build_model

ROOT = Path(__file__).resolve().parents[1]
LITE = ROOT / "checkpoints/lite.safetensors"
SIDE = 48


@dataclass(frozen=True)
class Watched:
    """One run of the program: its end, and what was seen of it over time.

    ``memory`` is (targets done, resident MB), ``clock`` (seconds, targets done, processor seconds
    of all its processes).
    """

    status: int
    seconds: float
    memory: list[tuple[int, float]]
    clock: list[tuple[float, int, float]]

    @property
    def start_seconds(self) -> float:
        """Until the first target was done."""
        return next((seconds for seconds, done, _ in self.clock if done), self.seconds)

    def milliseconds(self) -> tuple[float, float]:
        """From then on, for each target: on the clock, and of processors."""
        started, first, used = next(seen for seen in self.clock if seen[1])
        ended, last, all_used = self.clock[-1]
        per_target = 1000 / max(last - first, 1)
        return (ended - started) * per_target, (all_used - used) * per_target


def build(folder: Path, images: int) -> None:
    """Write the photos in folders of a thousand, the references and the checkpoint."""
    generator = np.random.default_rng(0)
    for number in range(images):
        path = folder / f"photos/{number // 1000:04}/{number}.png"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = generator.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
            PIL.Image.fromarray(pixels).save(path, compress_level=1)
    PIL.Image.fromarray(np.full((SIDE, SIDE, 3), 90, np.uint8)).save(folder / "ref.png")
    document = {
        "images": [{"id": 1, "file_name": "ref.png", "width": SIDE, "height": SIDE}],
        "categories": [{"id": 1, "name": "noise"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [8, 8, 30, 30]}],
    }
    (folder / "ref.json").write_text(json.dumps(document))
    torch.manual_seed(0)
    save_model(build_model(VARIANTS["tiny"]), folder / "tiny.safetensors", {})


def words(output: str, photos: Path | None = None) -> list[str]:
    """Ask for one instance on each of the photos that were built; or for all on real ones."""
    if photos is None:
        asked = ["--references", "ref.json", "--targets", "photos", "--score-threshold", "0"]
        asked += ["--checkpoint", "tiny.safetensors", "--input-size", "32", "--max-instances", "1"]
    else:
        asked = ["--references", str(ROOT / "assets/example/references.json")]
        asked += ["--targets", str(photos.resolve()), "--checkpoint", str(LITE)]
    return ["segment", *asked, "--output", output, "--device", "cpu"]


def watch(
    folder: Path,
    output: str,
    kill_after: int | None = None,
    *,
    photos: Path | None = None,
    more: Sequence[str] = (),
) -> Watched:
    """Run the program, and kill it once so many targets are done."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    program = [sys.executable, "-m", "dinov", *words(output, photos), *more]
    started = time.monotonic()
    with (folder / "log.txt").open("ab") as log:
        process = subprocess.Popen(program, cwd=folder, env=environment, stdout=log, stderr=log)
        memory: list[tuple[int, float]] = []
        clock: list[tuple[float, int, float]] = []
        used: dict[int, float] = {}  # also by processes that have ended
        while process.poll() is None:
            done = lines_done(folder, output)
            if megabytes := resident_megabytes(process.pid):
                memory.append((done, megabytes))
            # At the end the shards are merged and gone.
            if done >= (clock[-1][1] if clock else 0):
                used |= processor_seconds(process.pid)
                clock.append((time.monotonic() - started, done, sum(used.values())))
            if kill_after is not None and done >= kill_after:
                process.send_signal(signal.SIGKILL)
            time.sleep(0.05 if kill_after is not None else 0.2)
    return Watched(process.returncode, time.monotonic() - started, memory, clock)


def lines_done(folder: Path, output: str) -> int:
    """Targets noted so far: whole shards by their number, the last one by its lines."""
    shards = sorted((folder / f"{output}.unfinished").glob("[0-9]*.jsonl"))
    try:
        last = shards[-1].read_bytes().count(b"\n") if shards else 0
    except FileNotFoundError:
        return 0
    return 1000 * max(0, len(shards) - 1) + last


def resident_megabytes(pid: int) -> float:
    """Memory of a process, 0 once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0.0)


def processor_seconds(pid: int) -> dict[int, float]:
    """What a process and each that it started have used so far."""
    used: dict[int, float] = {}
    below: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        number = int(path.parent.name)
        used[number] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        below.setdefault(int(fields[1]), []).append(number)
    tree = [pid]
    for number in tree:
        tree += below.get(number, [])
    return {number: used[number] for number in tree if number in used}


def measure(folder: Path, images: int, *, unbroken: bool) -> dict[str, Any]:
    """Kill one run half-way, let another finish it; ``unbroken``: compare with one in one go."""
    build(folder, images)
    (folder / "killed.json").unlink(missing_ok=True)
    first = watch(folder, "killed.json", kill_after=images // 2)
    kept = lines_done(folder, "killed.json")
    second = watch(folder, "killed.json")
    # While the model is loaded memory only grows; a tenth of the images is past that.
    levels = [
        max((m for done, m in second.memory if low <= done < high), default=0.0)
        for low, high in ((kept + images // 50, kept + images // 10), (images * 9 // 10, images))
    ]
    found = json.loads((folder / "killed.json").read_bytes())
    result: dict[str, Any] = {
        "images": images,
        "first_status": first.status,
        "kept_after_kill": kept,
        "second_status": second.status,
        "images_in_file": len(found["images"]),
        "distinct_images_in_file": len({image["file_name"] for image in found["images"]}),
        "annotations": len(found["annotations"]),
        "memory_early_mb": round(levels[0], 1),
        "memory_late_mb": round(levels[1], 1),
        "memory_with_merge_mb": round(max(m for _, m in second.memory), 1),
        "images_per_second": round((images - kept) / second.seconds, 1),
    }
    if unbroken:
        watch(folder, "unbroken.json")
        whole = (folder / "unbroken.json").read_bytes()
        result["same_file"] = whole == (folder / "killed.json").read_bytes()
    return result


def compare(folder: Path, workers: Sequence[int], photos: Path | None) -> dict[str, Any]:
    """Do the batch in one process, then on Ray with each number of workers."""
    runs: dict[str, Sequence[str]] = {"one process": ()}
    for number in workers:
        runs[f"ray, {number}"] = ("--cluster", "ray", "--cluster-workers", str(number))
    found: dict[str, Any] = {}
    for name, more in runs.items():
        file = folder / f"{name}.json"
        file.unlink(missing_ok=True)
        run = watch(folder, file.name, photos=photos, more=more)
        found[name] = {
            "status": run.status,
            "start_seconds": round(run.start_seconds, 1),
            "milliseconds_per_image": round(run.milliseconds()[0], 1),
            "processor_milliseconds_per_image": round(run.milliseconds()[1], 1),
            "seconds": round(run.seconds, 1),
            "processor_seconds": round(run.clock[-1][2], 1),
            "same_file": file.read_bytes() == (folder / "one process.json").read_bytes(),
        }
    return found


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--unbroken", action="store_true")
    parser.add_argument("--cluster-workers", type=int, nargs="+", default=[])
    parser.add_argument("--photos", type=Path, help="of the comparison, instead of small images")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    folder, images = arguments.folder, arguments.images
    if arguments.cluster_workers:
        if arguments.photos is None:
            build(folder, images)
        result = compare(folder, arguments.cluster_workers, arguments.photos)
    else:
        result = measure(folder, images, unbroken=arguments.unbroken)
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
