"""The frames of a video, from a video file or a folder of pictures: upright RGB, one at a time."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import count, islice
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import cv2
import numpy as np

from dinov.errors import DinovError, InvalidVideo
from dinov.images import find_images, read_rgb
from dinov.types import Image, SizeHW

_BYTES_AT_ONCE = 1 << 29
"""Decoded frames that are held on the way back."""


@dataclass(frozen=True)
class Frame:
    """One frame: its number from 0, its file name, and how to get its [H, W, 3] picture."""

    index: int
    name: str
    load: Callable[[], Image]


class FrameSource(Protocol):
    """A video, wherever its frames lie. Iterating reads one frame after the other."""

    @property
    def name(self) -> str:
        """What the video is called."""

    def __len__(self) -> int:
        """How many frames there are; of a video file, as far as it says."""

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in order."""

    def find(self, file_name: str, frame_index: int | None) -> int | None:
        """Return the number of the frame that a references file names, None if there is none."""

    def size_hw(self, index: int) -> SizeHW:
        """Return the size of a frame."""


class VideoFile:
    """The frames of a video file, turned as its metadata says.

    They are called 00000.jpg, 00001.jpg and so on, as if they had been extracted.
    """

    def __init__(self, path: Path) -> None:
        """Open the file and read its first frame.

        Raises:
            InvalidVideo: if the file is missing or holds no frame that can be read.
        """
        if not path.is_file():
            raise InvalidVideo(f"There is no video file {path}. Check the path.")
        self.path = path
        capture = self._open()
        self._count = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        capture.release()
        first = next(iter(self), None)
        if first is None:
            raise InvalidVideo(
                f"{path} is damaged or not a video this program reads. Convert it, for example "
                f"with: ffmpeg -i {path.name} video.mp4. Or extract its frames and use --frames."
            )
        height, width = first.load().shape[:2]
        self._size_hw = (height, width)

    @property
    def name(self) -> str:
        """The file name without suffix."""
        return self.path.stem

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in order, up to the end or to where the file is damaged."""
        capture = self._open()
        try:
            for index in count():
                good, bgr = capture.read()
                if not good:
                    return
                yield Frame(index, f"{index:05d}.jpg", partial(_to_rgb, bgr))
        finally:
            capture.release()

    def find(self, file_name: str, frame_index: int | None) -> int | None:
        """By ``frame_index``; without it by the number at the end of the file name."""
        number = re.search(r"\d+$", PurePosixPath(file_name).stem)
        if frame_index is None and number:
            frame_index = int(number[0])
        # Some formats do not say how many frames they hold.
        known = frame_index is not None and (frame_index < self._count or not self._count)
        return frame_index if known else None

    def size_hw(self, index: int) -> SizeHW:  # noqa: ARG002 - folders need it
        """The size of the first frame, which is that of all."""
        return self._size_hw

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(str(self.path))
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        return capture


class FrameFolder:
    """The pictures of a folder as frames, in natural order ("2.jpg" before "10.jpg")."""

    def __init__(self, directory: Path) -> None:
        """List the pictures of the folder, at any depth.

        Raises:
            InvalidImage: if there is no picture.
            InvalidVideo: if this is no folder, or two pictures differ in their suffix only.
        """
        if not directory.is_dir():
            raise InvalidVideo(f"{directory} is no folder. Give the folder of the frames.")
        self.directory = directory
        self._paths = find_images([directory])
        self._names = [path.relative_to(directory).as_posix() for path in self._paths]
        stems = Counter(str(PurePosixPath(name).with_suffix("")) for name in self._names)
        twice = [stem for stem, times in stems.items() if times > 1]
        if twice:
            raise InvalidVideo(
                f"{directory} holds several frames called {twice[0]}. Keep one of each name."
            )

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.directory.resolve().name

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in order; a damaged picture tells when it is loaded."""
        for index, (path, name) in enumerate(zip(self._paths, self._names, strict=True)):
            yield Frame(index, name, partial(read_rgb, path))

    def find(self, file_name: str, frame_index: int | None) -> int | None:
        """By the path below the folder, or its last part alone; failing that by ``frame_index``."""
        if file_name in self._names:
            return self._names.index(file_name)
        last = PurePosixPath(file_name).name
        alike = [i for i, name in enumerate(self._names) if PurePosixPath(name).name == last]
        if len(alike) == 1:
            return alike[0]
        return frame_index if frame_index in range(len(self)) else None

    def size_hw(self, index: int) -> SizeHW:
        """The size of one picture, upright."""
        height, width = read_rgb(self._paths[index]).shape[:2]
        return height, width


def backward(frames: FrameSource, start: int, size_hw: SizeHW) -> Iterator[Frame]:
    """Yield frame ``start`` and all before it, the last first; frames are so large.

    Every codec can be decoded forward, and not every one lands where it is sent: the video is read
    again for each part of it that fits into memory, which takes little beside tracking.
    """
    height, width = size_hw
    at_once = max(1, _BYTES_AT_ONCE // (height * width * 3))
    for first in range(start // at_once * at_once, -1, -at_once):
        yield from reversed(list(islice(frames, first, min(first + at_once, start + 1))))


def decoded_ahead(frames: Iterable[Frame]) -> Iterator[Frame]:
    """Yield the same frames; while one is worked on, the next is read in a thread.

    What cannot be loaded still tells so when it is.
    """
    iterator = iter(frames)
    with ThreadPoolExecutor(1, thread_name_prefix="frames") as pool:
        coming = pool.submit(_next_decoded, iterator)
        while (frame := coming.result()) is not None:
            coming = pool.submit(_next_decoded, iterator)
            yield frame


def _next_decoded(frames: Iterator[Frame]) -> Frame | None:
    frame = next(frames, None)
    if frame is None:
        return None
    try:
        image = frame.load()
    except (DinovError, MemoryError):
        return frame
    return replace(frame, load=lambda: image)


def _to_rgb(bgr: Any) -> Image:
    return np.ascontiguousarray(bgr[..., ::-1], np.uint8)
