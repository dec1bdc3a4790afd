"""Video object segmentation as DAVIS measures it: region (J) and boundary (F) of every object.

Source: Perazzi et al., A Benchmark Dataset and Evaluation Methodology for Video Object
Segmentation (CVPR 2016); Pont-Tuset et al., The 2017 DAVIS Challenge (arXiv 1704.00675).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dinov.coco import rle_of_segmentation
from dinov.errors import InvalidDataset, InvalidPrompt
from dinov.masks import decode_rle, mask_iou
from dinov.types import Mask, Rle, SizeHW

_BOUNDARY_TOLERANCE = 0.008  # of the diagonal


@dataclass(frozen=True)
class Tracks:
    """The masks of one video: by frame number, then by track id. Frames without any are there."""

    name: str
    sizes_hw: Mapping[int, SizeHW]
    masks: Mapping[int, Mapping[int, Rle]]

    def mask(self, frame: int, track_id: int) -> Mask:
        """[H, W], empty where the object is not seen."""
        rle = self.masks.get(frame, {}).get(track_id)
        return np.zeros(self.sizes_hw[frame], np.bool_) if rle is None else decode_rle(rle)


@dataclass(frozen=True)
class ObjectScore:
    """Means over the frames of one object, 0 to 1."""

    track_id: int
    frames: int
    region: float
    boundary: float

    @property
    def mean(self) -> float:
        """J&F."""
        return (self.region + self.boundary) / 2


def read_tracks(path: Path, video: str | None = None) -> Tracks:
    """Read one video of a COCO file with ``videos``, ``frame_index`` and ``track_id``.

    Args:
        path: as ``python -m dinov track`` writes it, or truth of the same form.
        video: the name of the video; if the file holds one only, that is taken in any case.

    Raises:
        InvalidDataset: if the file cannot be read, has another form or lacks the video.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        names = {row["id"]: str(row["name"]) for row in document["videos"]}
        ids = list(names) if len(names) == 1 else [i for i, n in names.items() if n == video]
        if len(ids) != 1:
            raise InvalidDataset(
                f"{path} holds {len(names)} videos and not exactly one called {video!r}."
            )
        return _parse(document, ids[0], names[ids[0]])
    except OSError as error:
        raise InvalidDataset(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, InvalidPrompt) as error:
        raise InvalidDataset(
            f"{path} is not COCO with videos, frame_index and track_id: {error!r}"
        ) from error


def _parse(document: Any, video_id: int, name: str) -> Tracks:
    images = {row["id"]: row for row in document["images"] if row["video_id"] == video_id}
    sizes = {int(r["frame_index"]): (int(r["height"]), int(r["width"])) for r in images.values()}
    masks: dict[int, dict[int, Rle]] = {frame: {} for frame in sizes}
    for row in document["annotations"]:
        if row["image_id"] in images:
            frame = int(images[row["image_id"]]["frame_index"])
            rle = rle_of_segmentation(row["segmentation"], sizes[frame])
            masks[frame][int(row["track_id"])] = rle
    return Tracks(name, sizes, masks)


def standing_still(truth: Tracks) -> Tracks:
    """The baseline: every object stays where it is seen first."""
    masks: dict[int, dict[int, Rle]] = {}
    seen: dict[int, Rle] = {}
    for frame in sorted(truth.masks):
        seen = {**truth.masks[frame], **seen}
        masks[frame] = dict(seen)
    return Tracks(truth.name, truth.sizes_hw, masks)


def score_tracks(found: Tracks, truth: Tracks) -> list[ObjectScore]:
    """Score every true object over its frames.

    An object's first frame is given to the tracker and does not count; neither does the last frame
    of the video, as in DAVIS. A frame that ``found`` lacks counts as if nothing were found.

    Raises:
        InvalidDataset: if frames differ in size, or no object has a frame that counts.
    """
    for frame in found.sizes_hw.keys() & truth.sizes_hw.keys():
        if found.sizes_hw[frame] != truth.sizes_hw[frame]:
            raise InvalidDataset(
                f"Frame {frame} of {truth.name} has the size {truth.sizes_hw[frame]}, what "
                f"was found {found.sizes_hw[frame]}. Track the video at the size of the truth."
            )
    complete = Tracks(found.name, truth.sizes_hw, found.masks)
    frames = sorted(truth.masks)
    scores = []
    for track_id in sorted({i for masks in truth.masks.values() for i in masks}):
        first = next(frame for frame in frames if track_id in truth.masks[frame])
        counted = [frame for frame in frames if first < frame < frames[-1]]
        if counted:
            pairs = [(complete.mask(f, track_id), truth.mask(f, track_id)) for f in counted]
            region = float(np.mean([region_similarity(*pair) for pair in pairs]))
            boundary = float(np.mean([boundary_accuracy(*pair) for pair in pairs]))
            scores.append(ObjectScore(track_id, len(counted), region, boundary))
    if not scores:
        raise InvalidDataset(f"{truth.name} has no object with frames after its first.")
    return scores


def region_similarity(found: Mask, truth: Mask) -> float:
    """J: intersection over union; 1 if both are empty."""
    return mask_iou(found, truth) if found.any() or truth.any() else 1.0


def boundary_accuracy(found: Mask, truth: Mask) -> float:
    """F: harmonic mean of precision and recall of the boundary, within 0.8 % of the diagonal."""
    radius = math.ceil(_BOUNDARY_TOLERANCE * math.hypot(*truth.shape))
    own, other = _boundary(found), _boundary(truth)
    precision = _share_near(own, other, radius)
    recall = _share_near(other, own, radius)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _boundary(mask: Mask) -> Mask:
    """Pixels that differ from the one to the right, below, or diagonally so."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    right, below, diagonal = padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    different: Mask = (mask ^ right) | (mask ^ below) | (mask ^ diagonal)
    return different


def _share_near(points: Mask, others: Mask, radius: int) -> float:
    """Share of the points within ``radius`` of one of the others; 1 if there are no points."""
    if not points.any():
        return 1.0
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    disk: NDArray[np.uint8] = (x**2 + y**2 <= radius**2).astype(np.uint8)
    near = cv2.dilate(others.astype(np.uint8), disk) > 0
    return float((points & near).sum() / points.sum())
