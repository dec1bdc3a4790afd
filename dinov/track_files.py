"""What tracking leaves: indexed PNGs as DAVIS has them, and COCO JSON with ``track_id``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from dinov import coco
from dinov.files import written_whole
from dinov.masks import decode_rle
from dinov.types import Category, Segmentation

MAX_TRACK_ID = 255
"""The largest number that an indexed PNG can hold; 0 is the background."""


@dataclass(frozen=True)
class TrackedFrame:
    """The objects on one frame; their ``category_id`` is their track id, and none overlap."""

    index: int
    name: str
    objects: Segmentation


def palette() -> list[int]:
    """Red, green and blue of 256 colours that differ well from their neighbours.

    Source: the colour map of PASCAL VOC and DAVIS, which spreads the bits of the number over the
    high bits of the three colours.
    """
    numbers = np.arange(256)
    colors = np.zeros((256, 3), np.int64)
    for bit in range(8):
        for channel in range(3):
            colors[:, channel] |= (numbers >> (3 * bit + channel) & 1) << (7 - bit)
    flat: list[int] = colors.ravel().tolist()
    return flat


def index_map(objects: Segmentation) -> NDArray[np.uint8]:
    """[H, W] with each object's number inside its mask and 0 elsewhere.

    Raises:
        ValueError: if a number is not 1 to 255.
    """
    result = np.zeros(objects.size_hw, np.uint8)
    for instance in objects.instances:
        if not 1 <= instance.category_id <= MAX_TRACK_ID:
            raise ValueError(f"Expected numbers 1 to {MAX_TRACK_ID}, got {instance.category_id}.")
        result[decode_rle(instance.rle)] = instance.category_id
    return result


def write_mask_png(frame: TrackedFrame, directory: Path) -> Path:
    """Write a frame's objects as an indexed PNG of the frame's name.

    The path holds either the old file or the whole new one.
    """
    path = directory / PurePosixPath(frame.name).with_suffix(".png")
    picture = PIL.Image.fromarray(index_map(frame.objects))
    picture.putpalette(palette())
    with written_whole(path) as partial:
        picture.save(partial, format="PNG")
    return path


def video_document(
    video_name: str,
    frames: Sequence[TrackedFrame],
    categories: Sequence[Category],
    category_of: Mapping[int, int],
    *,
    info: Mapping[str, coco.Scalar],
    encoding: coco.Encoding = "auto",
) -> coco.CocoExport:
    """A COCO document of one video.

    Args:
        video_name: stands under ``videos``.
        frames: in order.
        categories: all of them.
        category_of: the category of each object, by track id.
        info: see ``coco.build``.
        encoding: see ``coco.build``.
    """
    results = [(frame.name, frame.objects) for frame in frames]
    images, annotations = coco.number_results(results, category_of)
    video = coco.CocoVideo(1, video_name)
    images = [
        replace(image, video_id=video.id, frame_index=frame.index)
        for image, frame in zip(images, frames, strict=True)
    ]
    return coco.build(images, categories, annotations, videos=[video], info=info, encoding=encoding)
