"""The commands as a user types them, with a small model of random weights."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from pycocotools.coco import COCO

from dinov import cli, work
from dinov.arguments import LOSS
from dinov.checkpoints import save_model
from dinov.config import VARIANTS
from dinov.download import CHECKPOINTS, CheckpointEntry
from dinov.features import AnyImage, ImageFeatures, raw
from dinov.masks import instance_of, rle_iou
from dinov.model.build import build_model
from dinov.predictor import Predictor
from dinov.refer import ReferOptions
from dinov.types import Segmentation

Segment = Callable[..., int]


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    return save_model(build_model(VARIANTS["tiny"]), path, {"score_threshold": "0.5"})


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A reference with two categories; three targets of different sizes, one rotated by EXIF."""
    generator = np.random.default_rng(0)
    for name, (height, width) in {
        "ref.png": (60, 80),
        "t/1.jpg": (50, 70),
        "t/a/2.png": (90, 40),
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(generator.integers(0, 256, (height, width, 3), np.uint8)).save(path)
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    PIL.Image.new("RGB", (64, 48), "blue").save(tmp_path / "t/10.jpg", exif=exif)
    marks: list[dict[str, Any]] = [
        {"id": 1, "image_id": 1, "category_id": 3, "bbox": [5, 5, 20, 20]},
        {"id": 2, "image_id": 1, "category_id": 8, "prompt": {"type": "point", "points": [50, 30]}},
    ]
    document = {
        "images": [{"id": 1, "file_name": "ref.png", "width": 80, "height": 60}],
        "categories": [{"id": 8, "name": "stone"}, {"id": 3, "name": "leaf"}],
        "annotations": marks,
    }
    (tmp_path / "ref.json").write_text(json.dumps(document))
    return tmp_path


@pytest.fixture
def segment(photos: Path, checkpoint: Path) -> Segment:
    def run(*extra: object, targets: tuple[object, ...] = (photos / "t",)) -> int:
        arguments = ["segment", "--references", photos / "ref.json", "--targets", *targets]
        arguments += ["--output", photos / "out.json", "--checkpoint", checkpoint]
        arguments += ["--input-size", 64, "--device", "cpu", *extra]
        return cli.main([str(argument) for argument in arguments])

    return run


def test_segment_writes_coco_over_all_targets(
    segment: Segment, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert segment("--score-threshold", 0) == 0
    told = capsys.readouterr()
    api = COCO(str(photos / "out.json"))
    images = [(image["file_name"], image["height"], image["width"]) for image in api.imgs.values()]
    assert images == [("1.jpg", 50, 70), ("10.jpg", 64, 48), ("a/2.png", 90, 40)]
    assert [(c["id"], c["name"]) for c in api.cats.values()] == [(1, "leaf"), (2, "stone")]
    assert api.anns
    for annotation in api.anns.values():
        image = api.imgs[annotation["image_id"]]
        assert api.annToMask(annotation).shape == (image["height"], image["width"])
        assert api.annToMask(annotation).sum() == annotation["area"] > 0
        assert 0 <= annotation["score"] <= 1
    info = api.dataset["info"]
    assert info["score_threshold"] == 0
    assert info["input_size"] == 64
    assert len(info["checkpoint_sha256"]) == 64
    assert f"{len(api.anns)} instances on 3 targets" in told.out
    assert "'leaf' has the id 1 in the result (it was 3)" in told.err


def test_the_same_command_gives_the_same_file(segment: Segment, photos: Path) -> None:
    segment("--score-threshold", 0)
    first = (photos / "out.json").read_bytes()
    segment("--score-threshold", 0)
    assert (photos / "out.json").read_bytes() == first


def test_nothing_found_is_an_answer(
    segment: Segment, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert segment("--score-threshold", 1) == 0
    document = json.loads((photos / "out.json").read_text())
    assert document["annotations"] == []
    assert len(document["images"]) == 3
    assert "nothing found on 3" in capsys.readouterr().out


def test_the_checkpoint_s_threshold_is_the_default(segment: Segment, photos: Path) -> None:
    assert segment() == 0
    document = json.loads((photos / "out.json").read_text())
    assert document["info"]["score_threshold"] == 0.5
    assert all(annotation["score"] >= 0.5 for annotation in document["annotations"])


def test_what_a_reader_needs_can_be_chosen(segment: Segment, photos: Path) -> None:
    results = photos / "results.json"
    assert segment("--score-threshold", 0, "--format", "isat", "--results", results) == 0
    file = COCO(str(photos / "out.json"))
    assert all(row["iscrowd"] is False for row in file.anns.values())
    assert len(file.loadRes(str(results)).anns) == len(file.anns)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--format", "cvat", "--mask-encoding", "polygon"], "its own way to write masks"),
        (["--output-type", "panoptic", "--format", "cvat"], "are for instances"),
        (["--output-type", "semantic", "--results", "r.json"], "are for instances"),
        (["--output-type", "semantic", "--output", "found"], "Call it found.json"),
    ],
)
def test_ways_to_write_that_do_not_fit_together_are_refused(
    segment: Segment, capsys: pytest.CaptureFixture[str], words: list[str], reason: str
) -> None:
    assert segment(*words) == 1
    assert reason in capsys.readouterr().err


@pytest.mark.usefixtures("_untrained_proposals_survive")
@pytest.mark.parametrize("task", ["generic", "refer"])
def test_targets_in_batches_give_the_same_instances(
    segment: Segment, photos: Path, task: str
) -> None:
    with PIL.Image.open(photos / "t/1.jpg") as picture:
        picture.rotate(180).save(photos / "t/2.png")
    words: list[object] = ["--score-threshold", 0, "--mask-encoding", "rle", "--task", task]
    found = []
    for size in (1, 2):
        assert segment(*words, "--batch-size", size) == 0
        found.append(json.loads((photos / "out.json").read_text())["annotations"])
    assert len(found[0]) == len(found[1]) >= 4
    for one, other in zip(*found, strict=True):
        assert [one[k] for k in ("image_id", "category_id")] == [
            other[k] for k in ("image_id", "category_id")
        ]
        assert rle_iou(one["segmentation"], other["segmentation"]) > 0.99


def test_masks_can_be_written_as_rle(segment: Segment, photos: Path) -> None:
    assert segment("--score-threshold", 0, "--mask-encoding", "rle") == 0
    document = json.loads((photos / "out.json").read_text())
    assert {type(row["segmentation"]) for row in document["annotations"]} == {dict}


def test_what_is_found_and_cannot_be_written_is_said_by_the_exit_status(
    segment: Segment,
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def emptied(
        _: object, images: Sequence[AnyImage], *__: object, **___: object
    ) -> list[Segmentation]:
        nothing = [np.zeros(raw(image).shape[:2], np.bool_) for image in images]
        return [Segmentation(n.shape, (), (instance_of(n, 3, 0.9),)) for n in nothing]

    monkeypatch.setattr(Predictor, "segment_many", emptied)
    assert segment() == LOSS
    assert "Not written: 3 of 3 instances" in capsys.readouterr().err
    assert segment("--allow-loss") == 0
    (photos / "t/1.jpg").write_bytes(b"no picture")
    assert segment("--allow-loss") == 1


@pytest.fixture
def _untrained_proposals_survive(monkeypatch: pytest.MonkeyPatch) -> None:
    anything = ReferOptions(grid=3, iou_threshold=-1e9, min_area=0)
    refer = functools.partialmethod(Predictor.refer_many, options=anything)
    monkeypatch.setattr(Predictor, "refer_many", refer)


@pytest.mark.usefixtures("_untrained_proposals_survive")
def test_refer_finds_each_marked_object_at_most_once(segment: Segment, photos: Path) -> None:
    assert segment("--task", "refer") == 0
    api = COCO(str(photos / "out.json"))
    assert api.dataset["info"]["task"] == "refer"
    assert api.dataset["info"]["score_threshold"] == 0
    objects = {(a["image_id"], a["attributes"]["track_id"]): a for a in api.anns.values()}
    assert set(objects) == {(image, track) for image in (1, 2, 3) for track in (1, 2)}
    for (_, track), annotation in objects.items():
        assert api.cats[annotation["category_id"]]["name"] == {1: "leaf", 2: "stone"}[track]


def test_refer_finds_nothing_where_nothing_is_certain(segment: Segment, photos: Path) -> None:
    assert segment("--task", "refer", "--score-threshold", 1) == 0
    assert json.loads((photos / "out.json").read_text())["annotations"] == []


@pytest.mark.usefixtures("_untrained_proposals_survive")
def test_refer_takes_thresholds_by_category(segment: Segment, photos: Path) -> None:
    assert segment("--task", "refer", "--score-threshold", "stone=1") == 0
    api = COCO(str(photos / "out.json"))
    assert {api.cats[a["category_id"]]["name"] for a in api.anns.values()} == {"leaf"}


def test_a_bad_target_is_reported_and_the_rest_goes_on(
    segment: Segment, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "t/5.jpg").write_bytes(b"no picture")
    assert segment() == 1
    assert "5.jpg is empty or not an image" in capsys.readouterr().err
    document = json.loads((photos / "out.json").read_text())
    assert [image["file_name"] for image in document["images"]] == ["1.jpg", "10.jpg", "a/2.png"]


def test_without_a_usable_target_nothing_is_written(
    segment: Segment, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "bad.jpg").touch()
    assert segment(targets=(photos / "bad.jpg",)) == 1
    assert "No target could be segmented" in capsys.readouterr().err
    assert not (photos / "out.json").exists()


def test_stopping_keeps_what_is_done(
    segment: Segment, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, seen = work.read_rgb, []

    def read_then_stop(path: Path) -> Any:
        seen.append(path)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return read(path)

    monkeypatch.setattr(work, "read_rgb", read_then_stop)
    assert segment() == cli.STOPPED_BY_USER
    document = json.loads((photos / "out.json").read_text())
    assert [image["file_name"] for image in document["images"]] == ["1.jpg"]


def test_a_target_the_model_cannot_take_does_not_end_the_run(
    segment: Segment,
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    read = work.read_rgb

    def read_or_fail(path: Path) -> Any:
        if path.name == "10.jpg":
            raise RuntimeError("out of memory\nlong details")
        return read(path)

    monkeypatch.setattr(work, "read_rgb", read_or_fail)
    assert segment() == 1
    assert "10.jpg could not be segmented: out of memory\n" in capsys.readouterr().err
    assert len(json.loads((photos / "out.json").read_text())["images"]) == 2


def test_it_is_said_that_memory_suffices_for_fewer_images_at_once(
    segment: Segment,
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    encode = ImageFeatures.encode

    def encode_one(self: ImageFeatures, images: Sequence[AnyImage]) -> Any:
        if len(images) > 1:
            raise torch.OutOfMemoryError
        return encode(self, images)

    monkeypatch.setattr(ImageFeatures, "encode", encode_one)
    (photos / "t/2.jpg").write_bytes((photos / "t/1.jpg").read_bytes())
    assert segment("--batch-size", 4) == 0
    told = capsys.readouterr().err
    assert told.count("images together: from here on 1 at a time.") == 1


@pytest.mark.parametrize("output", [".", "ref.json/out.json"])
def test_an_output_that_cannot_be_written_is_told_before_the_work(
    segment: Segment, photos: Path, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    monkeypatch.setattr(cli, "read_references", lambda *_: pytest.fail("the work has begun"))
    assert segment("--output", photos / output) == 1


@pytest.mark.parametrize(
    ("extra", "targets", "message"),
    [
        (["--references", "absent.json"], None, "absent.json cannot be read"),
        (["--checkpoint", "absent.pth"], None, "no checkpoint file absent.pth"),
        (["--device", "abacus"], None, "Unknown device 'abacus'"),
        (["--input-size", "3"], None, "Input size 3"),
        ([], ["nowhere/*.jpg"], "There is no image at nowhere"),
        (["--output", "/proc/out.json"], None, "/proc"),
    ],
)
def test_bad_input_ends_with_a_message(
    segment: Segment,
    capsys: pytest.CaptureFixture[str],
    photos: Path,
    extra: list[str],
    targets: list[str] | None,
    message: str,
) -> None:
    assert segment(*extra, targets=tuple(targets or [photos / "t"])) == 1
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


@pytest.mark.parametrize("threshold", ["-0.1", "1.5", "nan", "high"])
def test_a_threshold_is_between_0_and_1(segment: Segment, threshold: str) -> None:
    with pytest.raises(SystemExit) as caught:
        segment("--score-threshold", threshold)
    assert caught.value.code == 2


def test_download_fetches_and_verifies(
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handler = functools.partial(QuietHandler, directory=checkpoint.parent)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/{checkpoint.name}"
        monkeypatch.setitem(CHECKPOINTS, "swin-t", CheckpointEntry("got.safetensors", "tiny", url))
        status = cli.main(["download", "swin-t", "--directory", str(tmp_path)])
        server.shutdown()
    assert status == 0
    assert (tmp_path / "got.safetensors").read_bytes() == checkpoint.read_bytes()
    assert "got.safetensors is complete: tiny" in capsys.readouterr().out


def test_download_verifies_what_is_there(
    checkpoint: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = CheckpointEntry(checkpoint.name, "tiny")
    monkeypatch.setitem(CHECKPOINTS, "lite", there)
    arguments = ["download", "lite", "--directory", str(checkpoint.parent)]
    assert cli.main(arguments) == 0
    assert f"{checkpoint} is complete: tiny" in capsys.readouterr().out
    monkeypatch.setitem(CHECKPOINTS, "lite", CheckpointEntry(checkpoint.name, "swin-t"))
    assert cli.main(arguments) == 1
    assert "holds 'tiny', not 'swin-t'" in capsys.readouterr().err


def test_convert_writes_safetensors(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new.safetensors"
    assert cli.main(["convert", str(checkpoint), "--output", str(output)]) == 0
    assert "new.safetensors: tiny" in capsys.readouterr().out
    assert output.is_file()


def test_help_comes_without_loading_torch() -> None:
    probe = (
        "import sys, dinov.cli\n"
        "for words in (['--help'], ['segment', '--help'], ['download', '--help']):\n"
        "    try: dinov.cli.main(words)\n"
        "    except SystemExit as end: assert end.code == 0\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in cli.COMMANDS:
        assert name in done.stdout


def test_the_module_runs_as_a_program() -> None:
    done = subprocess.run([sys.executable, "-m", "dinov"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "COMMAND" in done.stderr
