"""What can be chosen when a model is run and instances are made of proposals. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

PRECISIONS = ("float32", "bfloat16", "float16")
"""What a model can compute in. The lower ones are faster where the hardware knows them."""

MAX_EXAMPLES = 16
"""A category is the mean of at most so many embeddings, as in the paper's evaluation."""

MIN_TILE = 64
"""Side in pixels of the smallest parts in which a large image is searched."""


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
