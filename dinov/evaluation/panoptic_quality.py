"""Panoptic quality and mean IoU of flat maps, counted image after image.

Source: Kirillov et al., Panoptic Segmentation (arXiv 1801.00868).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dinov.panoptic import FlatMap
from dinov.types import Mask

_MATCH_IOU = 0.5
_VOID_SHARE = 0.5


@dataclass
class PanopticTally:
    """Counts per category: matched segments, false ones, missed ones, IoU of the matched."""

    matched: Counter[int] = field(default_factory=Counter)
    false: Counter[int] = field(default_factory=Counter)
    missed: Counter[int] = field(default_factory=Counter)
    iou: dict[int, float] = field(default_factory=dict)

    def add(
        self, found: FlatMap, truth: FlatMap, known: Collection[int], void: Mask | None = None
    ) -> None:
        """Count an image.

        Args:
            found: segments of which each pixel has at most one.
            truth: the same of what is annotated.
            known: categories of which everything is annotated; others are never false here.
            void: pixels [H, W] of which nobody knows what they show.
        """
        void = np.zeros(truth.numbers.shape, np.bool_) if void is None else void
        count = len(truth.segments) + 1
        shared = np.bincount(
            found.numbers.ravel() * count + truth.numbers.ravel(),
            minlength=(len(found.segments) + 1) * count,
        ).reshape(-1, count)
        unknown = np.bincount(found.numbers[void], minlength=len(found.segments) + 1)
        taken: set[int] = set()
        for segment in found.segments:
            match = None
            for other in truth.segments:
                both = int(shared[segment.id, other.id])
                union = segment.area - int(unknown[segment.id]) + other.area - both
                if other.category_id == segment.category_id and both > _MATCH_IOU * union:
                    match = other.id
                    self.matched[segment.category_id] += 1
                    so_far = self.iou.get(segment.category_id, 0.0)
                    self.iou[segment.category_id] = so_far + both / union
            if match is not None:
                taken.add(match)
            elif segment.category_id in known and (
                unknown[segment.id] <= _VOID_SHARE * segment.area
            ):
                self.false[segment.category_id] += 1
        self.missed.update(o.category_id for o in truth.segments if o.id not in taken)

    def quality(self) -> dict[int, float]:
        """PQ of every category that is annotated, or was found where it is not."""
        result = {}
        for category in sorted(self.matched.keys() | self.false.keys() | self.missed.keys()):
            wrong = self.false[category] + self.missed[category]
            result[category] = self.iou.get(category, 0.0) / (self.matched[category] + wrong / 2)
        return result


@dataclass
class PixelTally:
    """Pixels per category, over all images: in both, and in either."""

    both: Counter[int] = field(default_factory=Counter)
    either: Counter[int] = field(default_factory=Counter)

    def add(
        self,
        found: FlatMap,
        truth: Mapping[int, Mask],
        known: Collection[int],
        void: Mask | None = None,
    ) -> None:
        """Count an image; ``truth`` is the region of each category, nothing where it has none."""
        categories = found.categories()
        for category in known:
            inside = categories == category
            if void is not None:
                inside &= ~void
            true = truth.get(category, np.zeros_like(inside))
            self.both[category] += int(np.count_nonzero(inside & true))
            self.either[category] += int(np.count_nonzero(inside | true))

    def iou(self, categories: Sequence[int]) -> dict[int, float]:
        """IoU of the categories that are to be seen or were found anywhere."""
        return {c: self.both[c] / self.either[c] for c in categories if self.either[c]}
