"""Few-shot segmentation: mean over categories of the IoU of all found regions with the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dinov.evaluation.episodes import Episode
from dinov.evaluation.methods import Method
from dinov.evaluation.metrics import Coverage, Curve, mean_over_categories
from dinov.types import PromptType

_TOLERANCE = 0.005

Chosen = Callable[[Episode], bool]
"""Which episodes count."""


def all_episodes(_: Episode) -> bool:
    """Leave none out."""
    return True


@dataclass
class MethodResult:
    """Coverages of one method: per prompt type, in the order of the episodes."""

    name: str
    thresholds: Curve
    episodes: list[Episode] = field(default_factory=list)
    coverages: dict[PromptType, list[Coverage]] = field(default_factory=dict)

    def best_threshold(self) -> int:
        """Number of the highest threshold whose mean IoU over prompt types is nearly the best.

        The curves are flat: of equally good thresholds the highest finds least where nothing is.
        """
        mean = self.iou_curve()
        return int(np.flatnonzero(mean >= mean.max() - _TOLERANCE)[-1])

    def iou_curve(self) -> Curve:
        """Mean IoU over prompt types and categories at every threshold."""
        curves = [self._mean_iou(kind, self._rows()) for kind in self.coverages]
        curve: Curve = np.mean(curves, axis=0)
        return curve

    def iou(self, kind: PromptType, threshold: int, chosen: Chosen = all_episodes) -> float | None:
        """Mean over categories of the IoU, of all episodes or the chosen; None if there is none."""
        rows = self._rows(chosen)
        return float(self._mean_iou(kind, rows)[threshold]) if rows else None

    def false_positive_curve(self) -> Curve | None:
        """Mean share of the image found where the category is absent; None without such images."""
        shares = [
            coverage.area
            for coverages in self.coverages.values()
            for episode, coverage in zip(self.episodes, coverages, strict=True)
            if episode.absent
        ]
        return np.asarray(np.mean(shares, axis=0)) if shares else None

    def false_positive_area(self, threshold: int) -> float | None:
        """Its value at one threshold."""
        curve = self.false_positive_curve()
        return None if curve is None else float(curve[threshold])

    def by_category(self, kind: PromptType, threshold: int) -> dict[tuple[str, str], float]:
        """Mean IoU of every (folder, category)."""
        keys = {episode.key for episode in self.episodes if not episode.absent}

        def curve(key: tuple[str, str]) -> Curve:
            return self._mean_iou(kind, self._rows(lambda episode: episode.key == key))

        return {key: float(curve(key)[threshold]) for key in sorted(keys)}

    def _rows(self, chosen: Chosen = all_episodes) -> list[int]:
        return [
            row
            for row, episode in enumerate(self.episodes)
            if not episode.absent and chosen(episode)
        ]

    def _mean_iou(self, kind: PromptType, rows: Sequence[int]) -> NDArray[np.float64]:
        values = np.stack([self.coverages[kind][row].iou for row in rows])
        return mean_over_categories([self.episodes[row].key for row in rows], values)


def evaluate(
    methods: Sequence[Method], episodes: Iterable[Episode], kinds: Sequence[PromptType]
) -> list[MethodResult]:
    """Solve every episode with every method and prompt type; one result per method."""
    results = [
        MethodResult(method.name, method.thresholds, coverages={kind: [] for kind in kinds})
        for method in methods
    ]
    for episode in episodes:
        for method, result in zip(methods, results, strict=True):
            result.episodes.append(episode)
            for kind in kinds:
                result.coverages[kind].append(method.cover(episode, kind))
    return results
