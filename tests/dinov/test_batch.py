"""Batches: what is written, what is kept when they end early, and that nothing is done twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from pycocotools.coco import COCO

from dinov import cli, coco, ledger
from dinov.batch import BatchOptions, BatchReport, ledger_folder, run_batch
from dinov.coco_presets import PRESETS
from dinov.errors import FingerprintMismatch, InvalidLedger, LedgerInUse
from dinov.masks import encode_rle, instance_of
from dinov.types import Category, Image, Instance, Segmentation
from dinov.work import Segment, Together
from tests.batch_at_scale import build, lines_done, words

CATEGORIES = [Category(3, "dark"), Category(8, "light")]


class Segmenter:
    """Finds what is dark and what is light; notes which pictures it saw, by their first pixel."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.seen: list[int] = []
        self.stop_at = stop_at

    def __call__(self, image: Image) -> Segmentation:
        if self.stop_at is not None and len(self.seen) == self.stop_at:
            raise KeyboardInterrupt
        self.seen.append(int(image[0, 0, 0]))
        found = []
        for category_id, mask in ((3, image[..., 1] < 100), (8, image[..., 1] > 200)):
            if mask.any():
                rle = encode_rle(mask)
                y, x = np.nonzero(mask)
                box = (int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1)
                found.append(Instance(category_id, 0.5, rle, box, int(mask.sum())))
        return Segmentation((image.shape[0], image.shape[1]), tuple(found))


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "SHARD_SIZE", 3)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Eight photos of different sizes, two of which are no pictures."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(8):
        pixels = np.full((20 + number, 30, 3), 150, np.uint8)
        pixels[4 : 5 + number, 3:9, 1] = 50
        pixels[10:14, 20:25, 1] = 250
        pixels[0, 0] = number
        PIL.Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / "4.png").write_bytes(b"no picture")
    (folder / "5.png").write_bytes(b"")
    return folder


def batch(photos: Path, segment: Segment, name: str = "out.json", **more: Any) -> BatchReport:
    targets = more.pop("targets", [photos])
    return run_batch(targets, segment, CATEGORIES, photos.parent / name, **more)


def test_the_file_is_what_coco_build_makes(photos: Path) -> None:
    segment, steps = Segmenter(), list[tuple[int, int]]()
    report = batch(photos, segment, info={"task": "test"}, progress=lambda *s: steps.append(s))
    results = []
    for number in segment.seen:
        name = f"{number}.png"
        results.append((name, Segmenter()(np.array(PIL.Image.open(photos / name)))))
    images, annotations = coco.number_results(results)
    expected = coco.build(images, CATEGORIES, annotations, info={"task": "test"})
    written = (photos.parent / "out.json").read_bytes()
    assert written == coco.write(expected.document, photos.parent / "plain.json").read_bytes()
    assert segment.seen == [0, 1, 2, 3, 6, 7]
    assert (report.total, report.images, report.annotations) == (8, 6, len(annotations))
    assert ["4.png" in report.problems[0], "5.png" in report.problems[1]] == [True, True]
    assert steps == [(done, 8) for done in range(9)]
    assert not ledger_folder(photos.parent / "out.json").exists()


class Several(Segmenter):
    """Takes several pictures at once, and none of them if one is too bright."""

    def __init__(self, batch_size: int, stop_at: int | None = None, bad: int | None = None) -> None:
        super().__init__(stop_at)
        self.batch_size = batch_size
        self.bad = bad
        self.asked: list[int] = []

    def prepare(self, image: Image) -> dict[str, Image]:
        return {"prepared": image}

    def segment_many(self, images: Sequence[dict[str, Image]]) -> list[Segmentation]:
        self.asked.append(len(images))
        if self.bad in [image["prepared"][0, 0, 0] for image in images]:
            raise RuntimeError("CUDA error: too bright\nand more")
        return [self(image["prepared"]) for image in images]


@pytest.mark.parametrize(("batch_size", "most"), [(2, 2), (3, 3), (5, 4), (100, 6)])
def test_pictures_together_give_the_same_file(photos: Path, batch_size: int, most: int) -> None:
    batch(photos, Segmenter())
    segment = Several(batch_size)
    report = batch(photos, segment, "other.json")
    assert segment.seen == [0, 1, 2, 3, 6, 7]
    assert max(segment.asked) == most
    assert ["4.png" in report.problems[0], "5.png" in report.problems[1]] == [True, True]
    other = (photos.parent / "other.json").read_bytes()
    assert other == (photos.parent / "out.json").read_bytes()
    by_function = Together(lambda images: [Segmenter()(image) for image in images], batch_size)
    batch(photos, by_function, "third.json")
    assert (photos.parent / "third.json").read_bytes() == other


def test_a_picture_that_fails_costs_none_of_its_batch(photos: Path) -> None:
    segment = Several(4, bad=2)
    report = batch(photos, segment)
    assert segment.asked == [4, 1, 1, 1, 1, 2]
    assert segment.seen == [0, 1, 3, 6, 7]
    assert report.images == 5
    (line,) = (line for line in report.problems if "2.png" in line)
    assert line.endswith("2.png could not be segmented: CUDA error: too bright")


@pytest.mark.parametrize("stop_at", [0, 1, 4, 5])
def test_a_batch_stopped_among_pictures_goes_on_with_none_twice(photos: Path, stop_at: int) -> None:
    batch(photos, Segmenter(), "whole.json")
    first, second = Several(2, stop_at), Several(3)
    assert batch(photos, first).stopped
    assert not batch(photos, second).stopped
    # What was found of a batch that was never finished is written down nowhere.
    assert second.seen == [0, 1, 2, 3, 6, 7][stop_at // 2 * 2 :]
    whole = (photos.parent / "whole.json").read_bytes()
    assert (photos.parent / "out.json").read_bytes() == whole


@pytest.mark.parametrize("workers", [1, 5])
def test_workers_change_nothing(photos: Path, workers: int) -> None:
    batch(photos, Segmenter())
    batch(photos, Segmenter(), "other.json", options=BatchOptions(workers=workers))
    other = (photos.parent / "other.json").read_bytes()
    assert other == (photos.parent / "out.json").read_bytes()


@pytest.mark.parametrize("stop_at", [0, 1, 3, 4, 5])
@pytest.mark.parametrize("kind", ["instances", "panoptic"])
def test_a_stopped_batch_goes_on_where_it_was(photos: Path, stop_at: int, kind: Any) -> None:
    options = BatchOptions(output_type=kind)
    batch(photos, Segmenter(), "whole.json", options=options)
    first, second = Segmenter(stop_at), Segmenter()
    report = batch(photos, first, options=options)
    assert report.stopped
    assert report.images == stop_at
    if stop_at:
        document = json.loads((photos.parent / "out.json").read_bytes())
        assert len(document["images"]) == stop_at
    else:
        assert report.output is None
    report = batch(photos, second, options=options)
    assert not report.stopped
    assert first.seen + second.seen == [0, 1, 2, 3, 6, 7]
    assert len(report.problems) == 2
    whole = (photos.parent / "whole.json").read_bytes()
    assert (photos.parent / "out.json").read_bytes() == whole


def test_a_line_that_was_cut_off_is_done_again(photos: Path) -> None:
    batch(photos, Segmenter(), "whole.json")
    batch(photos, Segmenter(2))
    shard = ledger_folder(photos.parent / "out.json") / "00000.jsonl"
    shard.write_bytes(shard.read_bytes()[:-7])
    second = Segmenter()
    batch(photos, second)
    assert second.seen == [1, 2, 3, 6, 7]
    whole = (photos.parent / "whole.json").read_bytes()
    assert (photos.parent / "out.json").read_bytes() == whole


def test_new_photos_wait_for_the_next_batch(photos: Path) -> None:
    batch(photos, Segmenter(2))
    (photos / "00.png").write_bytes((photos / "0.png").read_bytes())
    assert batch(photos, Segmenter()).total == 8
    assert batch(photos, Segmenter()).total == 9


def test_an_unfinished_batch_is_not_mixed_with_another(photos: Path) -> None:
    batch(photos, Segmenter(2), made_with={"prompts": "a"})
    with pytest.raises(FingerprintMismatch, match=r"prompts \(was a, is b\).*--restart"):
        batch(photos, Segmenter(), made_with={"prompts": "b"})
    with pytest.raises(FingerprintMismatch, match="targets"):
        batch(photos, Segmenter(), made_with={"prompts": "a"}, targets=[photos / "1.png"])
    anew = Segmenter()
    batch(photos, anew, made_with={"prompts": "b"}, restart=True)
    assert len(anew.seen) == 6


@pytest.mark.parametrize("name", ["run.json", "00000.jsonl", "00002.jsonl"])
def test_a_damaged_ledger_is_named(photos: Path, name: str) -> None:
    batch(photos, Segmenter(2))
    (ledger_folder(photos.parent / "out.json") / name).write_text("{broken\n")
    with pytest.raises(InvalidLedger, match="--restart"):
        batch(photos, Segmenter())


def test_a_list_that_was_never_finished_is_made_again(photos: Path) -> None:
    folder = ledger_folder(photos.parent / "out.json")
    folder.mkdir()
    (folder / "targets.jsonl").write_text('["/x.png", null, 0, 0]\n')
    assert batch(photos, Segmenter()).images == 6


def test_an_archive_counts_as_a_folder(photos: Path) -> None:
    with zipfile.ZipFile(photos.parent / "photos.zip", "w") as file:
        for path in sorted(photos.iterdir()):
            file.write(path, path.name)
    batch(photos, Segmenter())
    report = batch(photos, Segmenter(), "zip.json", targets=[photos.parent / "photos.zip"])
    assert "photos.zip/4.png is damaged" in report.problems[0] or "4.png" in report.problems[0]
    zipped = (photos.parent / "zip.json").read_bytes()
    assert zipped == (photos.parent / "out.json").read_bytes()


def test_objects_carry_their_track(photos: Path) -> None:
    options = BatchOptions(category_of={3: 8, 8: 8})
    batch(photos, Segmenter(), options=options, targets=[photos / "1.png"])
    document = json.loads((photos.parent / "out.json").read_bytes())
    shown = [(row["category_id"], row["attributes"]["track_id"]) for row in document["annotations"]]
    assert shown == [(2, 3), (2, 8)]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_and_a_results_file_hold_the_same_masks(photos: Path, name: str) -> None:
    results = photos.parent / "results.json"
    options = BatchOptions(preset=PRESETS[name], results=results)
    batch(photos, Segmenter(3), options=options)
    report = batch(photos, Segmenter(), options=options)
    assert report.dropped == ()
    file = COCO(str(photos.parent / "out.json"))
    batch(photos, Segmenter(), "plain.json")
    plain = COCO(str(photos.parent / "plain.json"))
    scored = file.loadRes(str(results))
    assert len(file.anns) == len(plain.anns) == len(scored.anns) == 12
    for number, row in plain.anns.items():
        for other in (file.anns[number], scored.anns[number]):
            np.testing.assert_array_equal(file.annToMask(other), plain.annToMask(row))
            assert (other["category_id"], other["score"]) == (row["category_id"], row["score"])
    row = json.loads((photos.parent / "out.json").read_bytes())["annotations"][0]
    assert ("bbox" in row) == (name != "label-studio")
    assert row["iscrowd"] is (False if name == "isat" else 0)
    assert isinstance(row["segmentation"], dict if name == "cvat" else list)
    classes = photos.parent / "classes.txt"
    assert classes.is_file() == (name == "x-anylabeling")


def test_a_batch_goes_on_only_in_the_way_that_it_was_begun_to_be_written(photos: Path) -> None:
    batch(photos, Segmenter(1))
    with pytest.raises(FingerprintMismatch, match="preset"):
        batch(photos, Segmenter(), options=BatchOptions(preset=PRESETS["cvat"]))


def test_objects_of_several_parts_are_no_loss_but_where_each_becomes_one(photos: Path) -> None:
    def segment(image: Image) -> Segmentation:
        parts = np.zeros(image.shape[:2], np.bool_)
        parts[2:4, 2:4] = parts[8:12, 8:12] = True
        return Segmentation(parts.shape, (instance_of(parts, 3, 0.5),))

    def lost(name: str) -> tuple[str, ...]:
        options = BatchOptions(preset=PRESETS[name])
        return run_batch(
            [photos], segment, CATEGORIES, photos.parent / name, options=options
        ).changed

    assert lost("coco") == ()
    assert lost("label-studio") == (
        "Changed: 6 instances have several parts, and each becomes a region.",
    )


def test_what_flat_maps_do_not_show_is_counted(photos: Path) -> None:
    def segment(image: Image) -> Segmentation:
        block = np.ones(image.shape[:2], np.bool_)
        return Segmentation(block.shape, tuple(instance_of(block, 3, s) for s in (0.9, 0.5)))

    output = photos.parent / "out.json"
    report = run_batch([photos], segment, CATEGORIES, output, options=BatchOptions("panoptic"))
    assert report.annotations == 6
    assert report.notes[0] == "6 instances are not shown: better ones cover them."


KILLED = """
import itertools, os, signal, sys
from dinov import cli
from dinov.predictor import Predictor

segment, count = Predictor.segment_many, itertools.count(1)

def segment_or_die(*asked, **how):
    if next(count) == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    return segment(*asked, **how)

Predictor.segment_many = segment_or_die
cli.main(sys.argv[2:])
"""


@pytest.mark.slow
@pytest.mark.parametrize(("batch_size", "last"), [(1, 20), (4, 5)])
def test_a_program_that_is_killed_goes_on(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_size: int, last: int
) -> None:
    """It is killed in the midst of a batch, the fifth of four or the twentieth of one."""
    monkeypatch.setattr(ledger, "SHARD_SIZE", 1000)  # as in the program
    build(tmp_path, 30)
    killed, whole = tmp_path / "killed.json", tmp_path / "whole.json"
    size = ["--batch-size", str(batch_size)]
    program = [sys.executable, "-c", KILLED, str(last), *words(killed.name), *size]
    environment = {**os.environ, "PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(program, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    # Its threads may not have come to writing the last ones down.
    assert 4 <= lines_done(tmp_path, killed.name) <= (last - 1) * batch_size
    monkeypatch.chdir(tmp_path)
    assert cli.main([*words(killed.name), *size]) == cli.main(words(whole.name)) == 0
    one, other = (json.loads(path.read_text()) for path in (killed, whole))
    assert one["images"] == other["images"]
    assert len({image["file_name"] for image in one["images"]}) == 30
    if batch_size == 1:
        assert killed.read_bytes() == whole.read_bytes()
    for row, same in zip(one["annotations"], other["annotations"], strict=True):
        assert row["image_id"] == same["image_id"]
        assert row["score"] == pytest.approx(same["score"], abs=1e-5)


def test_two_batches_never_work_on_one_output(photos: Path) -> None:
    """The other program is named; what it has done stays, and once it is gone all goes on."""
    batch(photos, Segmenter(2))
    folder = ledger_folder(photos.parent / "out.json")
    before = sorted(path.name for path in folder.iterdir())
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from dinov.ledger import locked\n"
        "with locked(Path(sys.argv[1])):\n"
        "    print('locked', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        for restart in (False, True):
            with pytest.raises(LedgerInUse, match=rf"worked on by process {other.pid} on "):
                batch(photos, Segmenter(), restart=restart)
        other.kill()
    assert sorted(path.name for path in folder.iterdir()) == before
    second = Segmenter()
    assert not batch(photos, second).stopped
    assert second.seen == [2, 3, 6, 7]
    assert not folder.exists()


def test_photos_behind_urls_keep_their_names(photos: Path) -> None:
    batch(photos, Segmenter())
    batch(photos, Segmenter(), "other.json", targets=[photos.as_uri()])
    other = (photos.parent / "other.json").read_bytes()
    assert other == (photos.parent / "out.json").read_bytes()


@pytest.mark.parametrize("kind", ["instances", "panoptic"])
def test_empty_masks_are_left_out_and_counted(photos: Path, kind: Any) -> None:
    def segment(image: Image) -> Segmentation:
        size_hw = (image.shape[0], image.shape[1])
        empty = instance_of(np.zeros(size_hw, np.bool_), 3, 0.5)
        block = instance_of(np.ones(size_hw, np.bool_), 3, 0.5)
        return Segmentation(size_hw, (empty, block), (empty, empty))

    output = photos.parent / "out.json"
    report = run_batch([photos], segment, CATEGORIES, output, options=BatchOptions(kind))
    assert (report.annotations, report.empty_images) == (6, 0)
    assert report.dropped == ("Not written: 18 of 24 instances, whose masks have no pixel.",)
    assert not report.is_lossless
