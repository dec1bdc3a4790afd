"""``python -m dinov track`` as a user types it, with a small model of random weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest
import torch
from pycocotools.coco import COCO

from dinov import cli, track_command
from dinov.arguments import LOSS
from dinov.checkpoints import save_model
from dinov.coco import CocoExport
from dinov.config import VARIANTS
from dinov.model.build import build_model
from dinov.predictor import Predictor
from dinov.refer import ReferOptions
from dinov.track_files import video_document

HEIGHT, WIDTH = 48, 64
COUNT = 5
BOX = {"id": 1, "image_id": 1, "category_id": 3, "bbox": [5, 5, 20, 20], "track_id": 2}
POINT = {
    "id": 2,
    "image_id": 1,
    "category_id": 8,
    "prompt": {"type": "point", "points": [50, 30]},
}
OUTLINE = {
    "id": 3,
    "image_id": 1,
    "category_id": 3,
    "segmentation": [[2, 3, 12, 3, 12, 23, 2, 23]],
    "track_id": 7,
}
Track = Callable[..., int]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    return save_model(build_model(VARIANTS["tiny"]), path, {})


@pytest.fixture(autouse=True)
def _untrained_proposals_survive(monkeypatch: pytest.MonkeyPatch) -> None:
    options = ReferOptions(iou_threshold=-1e9, nms_threshold=0.9, min_area=0)
    monkeypatch.setattr(track_command, "VIDEO_OPTIONS", options)


def pictures() -> list[np.ndarray[Any, Any]]:
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8) for _ in range(COUNT)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "clip").mkdir()
    for number, picture in enumerate(pictures(), start=8):
        PIL.Image.fromarray(picture).save(tmp_path / f"clip/{number}.png")
    return tmp_path / "clip"


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 5, (WIDTH, HEIGHT))
    for picture in pictures():
        writer.write(picture)
    writer.release()
    return path


@pytest.fixture
def track(tmp_path: Path, checkpoint: Path) -> Track:
    def run(
        *source: object,
        marks: list[dict[str, Any]],
        images: list[dict[str, Any]] | None = None,
        extra: tuple[object, ...] = (),
    ) -> int:
        document = {
            "images": images or [{"id": 1, "file_name": "clip/8.png", "frame_index": 0}],
            "categories": [{"id": 8, "name": "stone"}, {"id": 3, "name": "leaf"}],
            "annotations": marks,
        }
        (tmp_path / "ref.json").write_text(json.dumps(document))
        arguments = ["track", "--references", tmp_path / "ref.json", *source]
        arguments += ["--output", tmp_path / "out", "--checkpoint", checkpoint, "--grid", 3]
        arguments += ["--input-size", 64, "--device", "cpu", *extra]
        return cli.main([str(argument) for argument in arguments])

    return run


def read_masks(tmp_path: Path) -> dict[str, np.ndarray[Any, Any]]:
    folder = tmp_path / "out/masks"
    return {p.name: np.asarray(PIL.Image.open(p)) for p in sorted(folder.iterdir())}


def test_what_is_not_in_the_file_is_said_by_the_exit_status(
    track: Track, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def lossy(*args: Any, **options: Any) -> CocoExport:
        return replace(video_document(*args, **options), dropped=("its mask is empty",))

    monkeypatch.setattr(track_command, "video_document", lossy)
    with caplog.at_level("INFO"):
        assert track("--frames", folder, marks=[BOX]) == LOSS
    assert "Not written: its mask is empty" in caplog.text
    assert track("--frames", folder, marks=[BOX], extra=("--allow-loss",)) == 0


def test_a_video_file_becomes_masks_and_coco(track: Track, video: Path, tmp_path: Path) -> None:
    assert track("--video", video, marks=[BOX, POINT]) == 0
    masks = read_masks(tmp_path)
    assert list(masks) == [f"0000{i}.png" for i in range(COUNT)]
    api = COCO(str(tmp_path / "out/tracks.json"))
    (clip,) = api.dataset["videos"]
    assert (clip["name"], clip["width"], clip["height"]) == ("clip", WIDTH, HEIGHT)
    assert clip["file_names"] == [f"0000{i}.jpg" for i in range(COUNT)]
    assert [i["file_name"] for i in api.imgs.values()] == [f"0000{i}.jpg" for i in range(COUNT)]
    assert [i["frame_index"] for i in api.imgs.values()] == list(range(COUNT))
    assert api.anns
    # The point has no track_id, so it gets a free one: 1.
    categories = {2: "leaf", 1: "stone"}
    drawn = {name: np.zeros((HEIGHT, WIDTH), np.uint8) for name in masks}
    for row in api.anns.values():
        name = api.imgs[row["image_id"]]["file_name"].replace(".jpg", ".png")
        assert api.cats[row["category_id"]]["name"] == categories[row["track_id"]]
        drawn[name][api.annToMask(row) > 0] = row["track_id"]
    for name, mask in masks.items():
        assert np.array_equal(mask, drawn[name])
    assert api.dataset["info"]["task"] == "refer"


def test_a_folder_of_frames_with_an_outline_and_a_later_mark(
    track: Track, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    images = [{"id": 1, "file_name": "clip/8.png"}, {"id": 2, "file_name": "clip/10.png"}]
    later = POINT | {"image_id": 2, "track_id": 9}
    assert track("--frames", folder, marks=[OUTLINE, later], images=images) == 0
    masks = read_masks(tmp_path)
    assert sorted(masks, key=lambda name: int(Path(name).stem)) == [
        f"{i}.png" for i in range(8, 13)
    ]
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[3:23, 2:12] = 7
    assert np.array_equal(masks["8.png"], expected)
    assert 9 not in masks["9.png"]
    api = COCO(str(tmp_path / "out/tracks.json"))
    first = next(row for row in api.anns.values() if row["track_id"] == 7)
    assert first["score"] == 1.0
    assert "Object 7 is on" in caplog.text


@pytest.mark.parametrize("damaged", [False, True])
def test_backward_an_object_is_also_before_its_first_mark(
    track: Track, folder: Path, tmp_path: Path, damaged: bool
) -> None:
    images = [{"id": 1, "file_name": "9.png"}, {"id": 2, "file_name": "11.png"}]
    marks = [BOX, POINT | {"image_id": 2, "track_id": 9}]
    assert track("--frames", folder, marks=marks, images=images) == 0
    there = read_masks(tmp_path)
    if damaged:
        (folder / "8.png").write_bytes(b"no picture")
        (tmp_path / "out/masks/8.png").unlink()
    extra = ("--backward",)
    assert track("--frames", folder, marks=marks, images=images, extra=extra) == int(damaged)
    both = read_masks(tmp_path)
    assert both.keys() == there.keys() - ({"8.png"} if damaged else set())
    for name, mask in both.items():
        number = int(Path(name).stem)
        if number >= 11:  # all objects had begun
            assert np.array_equal(mask, there[name])
        assert 9 in mask
        assert 9 in there[name] or number < 11
        assert 2 in mask or number == 9
    api = COCO(str(tmp_path / "out/tracks.json"))
    assert [i["frame_index"] for i in api.imgs.values()] == [0, 1, 2, 3, 4][int(damaged) :]


def test_a_damaged_frame_is_told_and_the_rest_goes_on(
    track: Track, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "10.png").write_bytes(b"no picture")
    assert track("--frames", folder, marks=[BOX]) == 1
    assert "10.png is empty or not an image" in caplog.text
    document = json.loads((tmp_path / "out/tracks.json").read_text())
    assert [i["frame_index"] for i in document["images"]] == [0, 1, 3, 4]
    assert len(read_masks(tmp_path)) == COUNT - 1


def test_stopping_keeps_what_is_done(
    track: Track, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = track_command.write_mask_png, []

    def write_then_stop(frame: Any, directory: Path) -> Path:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(frame)
        return write(frame, directory)

    monkeypatch.setattr(track_command, "write_mask_png", write_then_stop)
    assert track("--frames", folder, marks=[BOX]) == cli.STOPPED_BY_USER
    document = json.loads((tmp_path / "out/tracks.json").read_text())
    assert [image["file_name"] for image in document["images"]] == ["8.png", "9.png"]
    assert list(read_masks(tmp_path)) == ["8.png", "9.png"]


def test_too_little_memory_ends_the_run_with_what_is_done(
    track: Track,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    step = track_command.VideoTracker.step
    seen = []

    def step_or_fail(*arguments: Any) -> Any:
        seen.append(arguments)
        if len(seen) == 3:
            raise RuntimeError("out of memory\nlong details")
        return step(*arguments)

    monkeypatch.setattr(track_command.VideoTracker, "step", step_or_fail)
    assert track("--frames", folder, marks=[BOX]) == 1
    assert "Stopped at frame 10.png: out of memory\n" in caplog.text
    assert len(json.loads((tmp_path / "out/tracks.json").read_text())["images"]) == 2


def test_a_video_cut_off_is_told(
    track: Track, video: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = video.read_bytes()
    video.write_bytes(content[: len(content) // 2])
    images = [{"id": 1, "file_name": "0.jpg"}, {"id": 2, "file_name": "4.jpg"}]
    later = POINT | {"image_id": 2}
    assert track("--video", video, marks=[BOX, later], images=images) == 1
    told = caplog.text
    assert "says that it has 5 frames, and" in told
    assert "Frame 4 was never reached" in told
    assert (tmp_path / "out/tracks.json").exists()


@pytest.mark.parametrize(
    ("images", "marks", "message"),
    [
        ([{"id": 1, "file_name": "99.png"}], [BOX], "names the frame 99.png"),
        (
            [{"id": 1, "file_name": "8.png", "width": 640, "height": 480}],
            [BOX],
            "8.png is 64x48 when upright, but the references file says 640x480",
        ),
        (None, [BOX | {"bbox": [900, 5, 9, 9]}], "Annotation 1 on clip/8.png"),
        (None, [BOX | {"track_id": 256}], "numbered 256"),
        (None, [BOX, OUTLINE | {"track_id": 2, "category_id": 8}], "another category"),
    ],
)
def test_what_is_wrong_with_the_marks_is_told_before_the_work(
    track: Track,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    images: list[dict[str, Any]] | None,
    marks: list[dict[str, Any]],
    message: str,
) -> None:
    assert track("--frames", folder, marks=marks, images=images) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out/tracks.json").exists()


def test_an_output_that_cannot_be_written_is_told(
    track: Track, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").touch()
    assert track("--frames", folder, marks=[BOX]) == 1
    assert str(tmp_path / "out") in capsys.readouterr().err


def test_masks_do_not_land_among_the_frames(
    track: Track, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert track("--frames", folder, marks=[BOX], extra=("--output", folder / "out")) == 1
    assert "Choose another --output" in capsys.readouterr().err
    assert not (folder / "out").exists()


def test_numbers_out_of_range_are_refused(track: Track, folder: Path) -> None:
    for extra in (("--grid", 0), ("--memory", -1), ("--score-threshold", 1.1)):
        with pytest.raises(SystemExit):
            track("--frames", folder, marks=[BOX], extra=extra)


@pytest.mark.weights
def test_real_frames_with_the_shipped_checkpoint(
    shared_dir: Path, lite_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written, not how well: that is measured by an evaluation."""
    source = shared_dir / "data/video_samples"
    (tmp_path / "car").mkdir()
    for number in range(3):
        name = f"{number:05d}.jpg"
        (tmp_path / "car" / name).symlink_to(source / "images/car-shadow" / name)
    document = json.loads((source / "train.json").read_text())
    document["images"] = document["images"][:1]
    document["annotations"] = [a for a in document["annotations"] if a["image_id"] == 1]
    (tmp_path / "ref.json").write_text(json.dumps(document))
    arguments = ["track", "--references", tmp_path / "ref.json", "--frames", tmp_path / "car"]
    arguments += ["--output", tmp_path / "out", "--checkpoint", lite_checkpoint]
    assert cli.main([str(argument) for argument in arguments]) == 0
    api = COCO(str(tmp_path / "out/tracks.json"))
    truth = COCO(str(tmp_path / "ref.json"))
    (first,) = [row for row in api.anns.values() if row["image_id"] == 1]
    assert np.array_equal(api.annToMask(first), truth.annToMask(next(iter(truth.anns.values()))))
    masks = read_masks(tmp_path)
    assert {mask.shape for mask in masks.values()} == {(288, 512)}
    assert len(masks) == 3


def test_the_precision_reaches_the_model(
    track: Track, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, asked = Predictor.from_checkpoint, list[str]()

    def watched(*names: str, **how: Any) -> Predictor:
        asked.append(how["precision"])
        return load(*names, **how)

    monkeypatch.setattr(Predictor, "from_checkpoint", watched)
    assert track("--frames", folder, marks=[BOX], extra=("--precision", "bfloat16")) == 0
    assert track("--frames", folder, marks=[BOX]) == 0
    assert asked == ["bfloat16", "float32"]
