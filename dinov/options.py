"""What can be chosen when a model is run and instances are made of proposals. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dinov.types import SizeHW

PRECISIONS = ("float32", "bfloat16", "float16")
"""What a model can compute in. The lower ones are faster where the hardware knows them."""

PRECISION_HELP = (
    "what the model computes in; bfloat16 is faster on recent CPUs, float16 on GPUs "
    "(default: float32)"
)
"""For the help of a command's ``--precision`` option."""

COMPILE_HELP = (
    "have torch compile the transformer layers, a minute (lite) to several (Swin) at the start: "
    "for GPUs and many images; needs a C++ compiler"
)
"""For the help of a command's ``--compile`` option."""

BATCH_SIZE_HELP = (
    "targets that the model computes together, those whose sizes let it; each is found as if it "
    "were alone. Halved where memory does not suffice (default: 4 on NVIDIA GPUs, else 1, since "
    "on CPUs it gains nothing)"
)
"""For the help of a command's ``--batch-size`` option."""

LIKENESS_HELP = (
    "of the refer task: an object whose best candidate is less like its mark, -1 to 1, is not "
    "there (default: the checkpoint's own, or -1)"
)
"""For the help of a command's ``--likeness-threshold`` option."""

MAX_EXAMPLES = 16
"""A category is the mean of at most so many embeddings, as in the paper's evaluation."""

SCORE_FLOOR = 0.05
"""Which masks are one object is judged over all that score so much, whatever is shown of them, so
that a higher threshold hides instances and never changes the others."""

MIN_TILE = 64
"""Side in pixels of the smallest parts in which a large image is searched."""

_LARGE = 2
"""Times the input size: a shorter image has hardly more to show than the model sees of it."""

_TILE_SHARE = 0.4
"""Of the longest side. With overlap that makes 3 tiles along it, and at most 9 altogether."""


def tile_side(size_hw: SizeHW, input_size: int) -> int | None:
    """Choose tiles that show more of a large image than the whole does at the model's input size.

    Args:
        size_hw: of the image, in pixels.
        input_size: side in pixels to which the model resizes images.

    Returns:
        The side of the tiles in pixels of the image; None if the image is not large.
    """
    longest = max(size_hw)
    if longest <= _LARGE * input_size:
        return None
    return max(MIN_TILE, input_size, math.ceil(_TILE_SHARE * longest))


@dataclass(frozen=True)
class InstanceOptions:
    """Which found masks are one object, and how they are tidied.

    Of two masks whose IoU is above ``nms_threshold`` the better stays; masks of one category that
    lie by more than ``containment_threshold`` in each other are judged by
    ``overlaps.without_nested`` (1 turns that off). Parts and holes below ``speck_share`` of a mask
    are noise, not shape (0 keeps them). At most ``max_instances`` are reported, the best ones.
    """

    nms_threshold: float = 0.5
    containment_threshold: float = 0.8
    speck_share: float = 0.03
    max_instances: int = 300

    def __post_init__(self) -> None:
        for name in ("nms_threshold", "containment_threshold", "speck_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"Expected {name} from 0 to 1, got {getattr(self, name)}.")
        if self.max_instances < 1:
            raise ValueError(f"Expected at least one instance, got {self.max_instances}.")


DEFAULT_INSTANCE_OPTIONS = InstanceOptions()


@dataclass(frozen=True)
class Device:
    """What a model can run on: its name for PyTorch, one for people, and whether it is here."""

    name: str
    title: str
    is_here: bool


def by_category(
    given: float | Mapping[int, float], category_ids: Sequence[int], otherwise: float
) -> list[float]:
    """A threshold for each category: the one for all, or its own where it has one."""
    if isinstance(given, Mapping):
        return [given.get(i, otherwise) for i in category_ids]
    return [given] * len(category_ids)
