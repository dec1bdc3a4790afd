"""Frames come in order, upright and in the right colours, from a file or a folder."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest

from dinov import frames as frames_module
from dinov.errors import InvalidImage, InvalidVideo
from dinov.frames import Frame, FrameFolder, VideoFile, backward, decoded_ahead
from dinov.types import Image

COLORS = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0)]  # RGB, one per frame


def write_video(path: Path, size_hw: tuple[int, int] = (48, 64)) -> Path:
    """One frame of each colour; the top left quarter is black."""
    codec = cv2.VideoWriter_fourcc(*("mp4v" if path.suffix == ".mp4" else "MJPG"))
    writer = cv2.VideoWriter(str(path), codec, 5, size_hw[::-1])
    for color in COLORS:
        rgb = np.full((*size_hw, 3), color, np.uint8)
        rgb[: size_hw[0] // 2, : size_hw[1] // 2] = 0
        writer.write(rgb[..., ::-1])
    writer.release()
    return path


@pytest.mark.parametrize("file_name", ["clip.mp4", "clip.avi"])
def test_a_video_file_gives_its_frames_in_rgb(tmp_path: Path, file_name: str) -> None:
    video = VideoFile(write_video(tmp_path / file_name))
    assert (video.name, len(video), video.size_hw(2)) == ("clip", 4, (48, 64))
    for _ in range(2):  # it can be read again
        frames = list(video)
        assert [(f.index, f.name) for f in frames][-1] == (3, "00003.jpg")
        for frame, color in zip(frames, COLORS, strict=True):
            image = frame.load()
            assert image.shape == (48, 64, 3)
            assert np.abs(image[40, 50].astype(int) - color).max() < 25  # as far as codecs go


def test_a_video_taken_with_the_camera_turned_is_upright(tmp_path: Path) -> None:
    path = write_video(tmp_path / "phone.mp4")
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 4 + 20 + 16  # version 0: flags, times, then the matrix
    quarter_turn = (0, 1 << 16, 0, -(1 << 16), 0, 0, 48 << 16, 0, 1 << 30)
    content[matrix : matrix + 36] = struct.pack(">9i", *quarter_turn)
    path.write_bytes(content)
    video = VideoFile(path)
    assert video.size_hw(0) == (64, 48)
    image = next(iter(video)).load()
    assert image.shape == (64, 48, 3)
    assert image[10, 40].max() < 40  # the black quarter went from top left to top right
    assert image[10, 10, 0] > 200


def test_frames_of_a_video_are_found_by_index_or_by_the_number_in_their_name(
    tmp_path: Path,
) -> None:
    video = VideoFile(write_video(tmp_path / "clip.avi"))
    assert video.find("whatever.jpg", 2) == 2
    assert video.find("frame_000003.jpg", None) == 3
    assert video.find("clip/00001.png", None) == 1
    assert video.find("00001.jpg", 2) == 2
    assert video.find("frame.jpg", None) is None
    assert video.find("frame_000004.jpg", None) is None
    assert video.find("frame.jpg", 4) is None


def test_what_is_no_video_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(InvalidVideo, match=r"no video file .*gone.mp4. Check the path"):
        VideoFile(tmp_path / "gone.mp4")
    path = tmp_path / "text.mp4"
    path.write_text("no video")
    with pytest.raises(InvalidVideo, match=r"text.mp4 is damaged .* ffmpeg -i text.mp4"):
        VideoFile(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in (2, 10, 1):
        path = tmp_path / f"frames/a/{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("RGB", (40 + number, 30), (number, 0, 0)).save(path)
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    PIL.Image.new("RGB", (64, 48), "blue").save(tmp_path / "frames/b.jpg", exif=exif)
    return tmp_path / "frames"


def test_a_folder_gives_its_pictures_in_natural_order(folder: Path) -> None:
    frames = FrameFolder(folder)
    assert (frames.name, len(frames)) == ("frames", 4)
    assert [frame.name for frame in frames] == ["a/1.png", "a/2.png", "a/10.png", "b.jpg"]
    assert [frame.load()[0, 0, 0] for frame in frames] == [1, 2, 10, 0]
    assert frames.size_hw(2) == (30, 50)
    assert frames.size_hw(3) == (64, 48)  # turned as EXIF says


def test_frames_of_a_folder_are_found_by_name_first(folder: Path) -> None:
    frames = FrameFolder(folder)
    assert frames.find("a/10.png", 0) == 2
    assert frames.find("elsewhere/10.png", None) == 2
    assert frames.find("unknown.png", 3) == 3
    assert frames.find("unknown.png", 4) is None
    assert frames.find("unknown.png", None) is None


def test_a_damaged_picture_tells_when_it_is_loaded(folder: Path) -> None:
    (folder / "a/2.png").write_bytes(b"no picture")
    _, damaged, good, _ = FrameFolder(folder)
    with pytest.raises(InvalidImage, match=r"2.png is empty or not an image"):
        damaged.load()
    assert good.load().shape == (30, 50, 3)


def test_folders_that_cannot_be_used_are_refused(folder: Path) -> None:
    with pytest.raises(InvalidVideo, match="is no folder"):
        FrameFolder(folder / "b.jpg")
    (folder / "empty").mkdir()
    with pytest.raises(InvalidImage, match="no image"):
        FrameFolder(folder / "empty")
    PIL.Image.new("RGB", (4, 4)).save(folder / "b.png")
    with pytest.raises(InvalidVideo, match="several frames called b"):
        FrameFolder(folder)


@pytest.mark.parametrize("at_once", [1, 2, 3, 100])
@pytest.mark.parametrize("start", [-1, 0, 2, 3])
def test_the_way_back_is_the_way_there_reversed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int, start: int
) -> None:
    video = VideoFile(write_video(tmp_path / "clip.mp4"))
    monkeypatch.setattr(frames_module, "_BYTES_AT_ONCE", at_once * 48 * 64 * 3)
    there = list(video)[: start + 1]
    back = list(backward(video, start, (48, 64)))
    assert [frame.index for frame in back] == list(range(start, -1, -1))
    for frame, expected in zip(back, reversed(there), strict=True):
        assert np.array_equal(frame.load(), expected.load())


def test_the_next_frame_is_decoded_while_one_is_worked_on() -> None:
    loaded = [threading.Event() for _ in range(3)]

    def load(index: int) -> Image:
        loaded[index].set()
        return np.full((2, 2, 3), index, np.uint8)

    frames = [Frame(i, f"{i}.jpg", partial(load, i)) for i in range(3)]
    for frame in decoded_ahead(frames):
        assert all(event.wait(10) for event in loaded[: frame.index + 2])
        assert (frame.load() == frame.index).all()


def test_frames_decoded_ahead_are_those_of_the_folder(folder: Path) -> None:
    (folder / "3.jpg").write_bytes(b"no picture")
    frames = list(decoded_ahead(FrameFolder(folder)))
    assert [frame.name for frame in frames] == [frame.name for frame in FrameFolder(folder)]
    damaged = next(frame for frame in frames if frame.name == "3.jpg")
    with pytest.raises(InvalidImage):
        damaged.load()
    assert all(frame.load().ndim == 3 for frame in frames if frame is not damaged)


def test_whoever_stops_early_does_not_wait_for_the_rest() -> None:
    read: list[int] = []

    def frames() -> Iterator[Frame]:
        for i in range(100):
            read.append(i)
            yield Frame(i, f"{i}.jpg", lambda: np.zeros((1, 1, 3), np.uint8))

    ahead = decoded_ahead(frames())
    next(ahead)
    ahead.close()  # type: ignore[attr-defined]
    assert len(read) <= 2
