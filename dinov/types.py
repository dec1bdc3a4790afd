"""The values that pass between the parts, all in original-image pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""[H, W, 3] RGB, upright (EXIF orientation applied)."""

Mask = NDArray[np.bool_]
"""[H, W], true inside."""

SizeHW = tuple[int, int]
BoxXYXY = tuple[float, float, float, float]


class Rle(TypedDict):
    """COCO compressed run-length encoding: ``size`` is [height, width], ``counts`` ASCII text."""

    size: list[int]
    counts: str


class PromptType(StrEnum):
    """How the annotator marked an object."""

    POINT = "point"
    BOX = "box"
    SCRIBBLE = "scribble"
    POLYGON = "polygon"
    MASK = "mask"


@dataclass(frozen=True)
class Prompt:
    """One mark on a reference.

    ``points`` is flat [x0, y0, x1, y1, ...] in original-image pixels: one point, two box corners,
    the path of a scribble, or the vertices of a polygon. A mask prompt carries ``rle`` instead.
    """

    category_id: int
    type: PromptType
    points: tuple[float, ...] = ()
    width: float | None = None
    rle: Rle | None = None
    positive: bool = True


@dataclass(frozen=True)
class Category:
    """A concept to be found. ``color`` is "#rrggbb"; ``is_thing`` is false for amorphous stuff."""

    id: int
    name: str
    color: str = "#e6194b"
    supercategory: str = "object"
    is_thing: bool = True


@dataclass(frozen=True)
class Reference:
    """An image that carries prompts."""

    image: Image
    prompts: Sequence[Prompt]
    name: str = ""


@dataclass(frozen=True)
class Instance:
    """One segmented object at the original size of its image."""

    category_id: int
    score: float
    rle: Rle
    box_xyxy: BoxXYXY
    area: int


@dataclass(frozen=True)
class Segmentation:
    """All instances found in one target, best score first. An empty one means: nothing found.

    ``emptied`` were found, too, but are so small that no pixel of the target lies in their masks.
    """

    size_hw: SizeHW
    instances: tuple[Instance, ...] = field(default=())
    emptied: tuple[Instance, ...] = field(default=())

    def __post_init__(self) -> None:
        for instance in (*self.instances, *self.emptied):
            if tuple(instance.rle["size"]) != self.size_hw:
                raise ValueError(
                    f"Expected masks of size {self.size_hw}, got one of {instance.rle['size']}."
                )

    def __len__(self) -> int:
        return len(self.instances)


@dataclass(frozen=True)
class Referral:
    """For each object looked for in one target the candidates, best first; none: not found.

    An object is known by the ``category_id`` of its prompts; its candidates carry it, too.
    """

    size_hw: SizeHW
    candidates: Mapping[int, tuple[Instance, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number, instances in self.candidates.items():
            Segmentation(self.size_hw, instances)
            scores = [instance.score for instance in instances]
            if scores != sorted(scores, reverse=True):
                raise ValueError(f"Expected the best candidate first, got the scores {scores}.")
            others = {instance.category_id for instance in instances} - {number}
            if others:
                raise ValueError(f"Expected candidates of object {number}, got some of {others}.")

    @property
    def best(self) -> Segmentation:
        """The best candidate of each object that was found, best score first."""
        found = [instances[0] for instances in self.candidates.values() if instances]
        found.sort(key=lambda instance: -instance.score)
        return Segmentation(self.size_hw, tuple(found))
