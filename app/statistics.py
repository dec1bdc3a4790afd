"""What is in a project, in figures: instances by category, image, size and score; time spent."""

from __future__ import annotations

import csv
import io
import math
import statistics
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.overview import CountedInstance
from app.project import InstanceStatus, Origin, Task
from app.store import Store
from dinov.types import Category

SCORE_BINS = 20
"""The histogram of scores has so many equal bins from 0 to 1."""

TIME_EDGES = (0, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
"""The histogram of the time spent has bins between these, in seconds, and one above."""


@dataclass(frozen=True)
class Counts:
    """How many instances there are, and how the annotator decided on what was found.

    ``corrected`` are those of ``instances`` whose mask or category was changed by hand;
    ``by_hand`` were drawn or imported. ``acceptance`` is the share of what was accepted among
    what runs found and was decided on, None before the first decision.
    """

    instances: int
    accepted: int
    corrected: int
    by_hand: int
    rejected: int
    acceptance: float | None


@dataclass(frozen=True)
class CategoryFigures:
    """The instances of one category, on so many images.

    Areas are in pixels. The mean score is that of what runs of the task generic found; the scores
    of refer are shares, which cannot be compared.
    """

    id: int
    name: str
    color: str
    counts: Counts
    images: int
    median_area: float | None
    mean_score: float | None


@dataclass(frozen=True)
class Bin:
    """A bar of a histogram: what lies from ``low`` up to, but not at, ``high``."""

    low: float
    high: float
    accepted: int
    proposed: int


@dataclass(frozen=True)
class TimeBin:
    """So many images took from ``low`` seconds up to, but not at, ``high``; None: or more."""

    low: float
    high: float | None
    reviewed: int
    to_review: int


@dataclass(frozen=True)
class TimeFigures:
    """How long annotators have worked, in seconds, on images that were worked on at all.

    ``per_accepted`` is the total by accepted instance, imported ones left out; None without one,
    as is the median without an image.
    """

    total: float
    images: int
    median: float | None
    per_accepted: float | None
    per_image: tuple[TimeBin, ...]


@dataclass(frozen=True)
class ProjectFigures:
    """A project in figures; instances are those that are shown at its score thresholds.

    ``per_image`` counts images by their number of instances; ``sizes`` are sides of squares of the
    same area, in pixels, in bins that double; ``scores`` are those that runs gave, by task.
    """

    images: int
    segmented: int
    reviewed: int
    counts: Counts
    categories: tuple[CategoryFigures, ...]
    per_image: tuple[tuple[int, int], ...]
    sizes: tuple[Bin, ...]
    scores: dict[Task, tuple[Bin, ...]]
    time: TimeFigures


class Rows(StrEnum):
    """What has a row each in a table."""

    CATEGORIES = "categories"
    IMAGES = "images"
    INSTANCES = "instances"


class Statistics:
    """The use cases of the statistics."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def figures(self, project_id: str) -> ProjectFigures:
        """Count everything in a project."""
        with self._store.transaction():
            thresholds = self._store.project(project_id).score_thresholds
            images = self._store.counts(project_id, thresholds).values()
            counted = self._store.counted(project_id, thresholds)
            categories = self._store.categories(project_id)
            seconds = self._store.seconds_spent(project_id)
        shown = _shown(counted)
        by_category: dict[int, list[CountedInstance]] = {one.id: [] for one in categories}
        for one in counted:
            by_category[one.category_id].append(one)
        return ProjectFigures(
            images=len(images),
            segmented=sum(one.is_segmented for one in images),
            reviewed=sum(one.status.is_done for one in images),
            counts=_counts(counted),
            categories=tuple(_of_category(one, by_category[one.id]) for one in categories),
            per_image=tuple(sorted(Counter(one.shown for one in images).items())),
            sizes=_histogram([(_side(one), one) for one in shown], _doubling_edges(shown)),
            scores=_scores(shown),
            time=_time([(seconds[one.image_id], one.status.is_done) for one in images], shown),
        )

    def table(self, project_id: str, rows: Rows) -> str:
        """Write the figures as CSV, one row per category, image or instance."""
        if rows is Rows.CATEGORIES:
            return _category_table(self.figures(project_id).categories)
        with self._store.transaction():
            thresholds = self._store.project(project_id).score_thresholds
            images = self._store.counts(project_id, thresholds).values()
            counted = self._store.counted(project_id, thresholds)
            files = {one.id: one.file_name for one in self._store.images(project_id)}
            categories = {one.id: one.name for one in self._store.categories(project_id)}
            seconds = self._store.seconds_spent(project_id)
        if rows is Rows.IMAGES:
            return _csv(
                "image,status,marks,instances,accepted,rejected,seconds",
                (
                    (
                        *(files[one.image_id], one.status.value, one.prompts),
                        *(one.shown, one.accepted, one.rejected, round(seconds[one.image_id], 1)),
                    )
                    for one in images
                ),
            )
        return _csv(
            "image,category,status,origin,task,score,area",
            (
                (
                    *(files[one.image_id], categories[one.category_id], one.status.value),
                    *(one.origin.value, one.task.value if one.task else "", one.score, one.area),
                )
                for one in counted
            ),
        )


def _shown(counted: Iterable[CountedInstance]) -> list[CountedInstance]:
    return [one for one in counted if one.status is not InstanceStatus.REJECTED]


def _counts(counted: Sequence[CountedInstance]) -> Counts:
    shown = _shown(counted)
    found = Counter(one.status for one in counted if one.task)
    accepted, rejected = found[InstanceStatus.ACCEPTED], found[InstanceStatus.REJECTED]
    return Counts(
        instances=len(shown),
        accepted=sum(one.status is InstanceStatus.ACCEPTED for one in shown),
        corrected=sum(one.origin is Origin.EDITED for one in shown),
        by_hand=sum(one.origin in (Origin.DRAWN, Origin.IMPORTED) for one in shown),
        rejected=len(counted) - len(shown),
        acceptance=accepted / (accepted + rejected) if accepted + rejected else None,
    )


def _of_category(category: Category, counted: Sequence[CountedInstance]) -> CategoryFigures:
    shown = _shown(counted)
    scores = [one.score for one in shown if one.task is Task.GENERIC]
    return CategoryFigures(
        id=category.id,
        name=category.name,
        color=category.color,
        counts=_counts(counted),
        images=len({one.image_id for one in shown}),
        median_area=statistics.median(one.area for one in shown) if shown else None,
        mean_score=statistics.fmean(scores) if scores else None,
    )


def _scores(shown: Sequence[CountedInstance]) -> dict[Task, tuple[Bin, ...]]:
    edges = [number / SCORE_BINS for number in range(SCORE_BINS + 1)]
    by_task = {task: [(one.score, one) for one in shown if one.task is task] for task in Task}
    return {task: _histogram(scored, edges) for task, scored in by_task.items() if scored}


def _time(spent: Sequence[tuple[float, bool]], shown: Iterable[CountedInstance]) -> TimeFigures:
    """Sum up the seconds spent on each image, told with whether it was reviewed."""
    worked = [(seconds, is_reviewed) for seconds, is_reviewed in spent if seconds > 0]
    accepted = sum(
        one.status is InstanceStatus.ACCEPTED and one.origin is not Origin.IMPORTED for one in shown
    )
    total = sum(seconds for seconds, _ in worked)
    return TimeFigures(
        total=total,
        images=len(worked),
        median=statistics.median(seconds for seconds, _ in worked) if worked else None,
        per_accepted=total / accepted if accepted and worked else None,
        per_image=_time_bins(worked),
    )


def _time_bins(worked: Sequence[tuple[float, bool]]) -> tuple[TimeBin, ...]:
    """Count images by the seconds spent, up to the bin of the slowest."""
    counts = Counter((bisect_right(TIME_EDGES, one) - 1, is_done) for one, is_done in worked)
    highs = (*TIME_EDGES[1:], None)
    last = max((number for number, _ in counts), default=-1)
    return tuple(
        TimeBin(low, high, counts[number, True], counts[number, False])
        for number, (low, high) in enumerate(zip(TIME_EDGES, highs, strict=True))
        if number <= last
    )


def _side(one: CountedInstance) -> float:
    return max(1.0, math.sqrt(one.area))


def _doubling_edges(shown: Sequence[CountedInstance]) -> list[float]:
    """Powers of 2 around the sides of all instances."""
    sides = [_side(one) for one in shown]
    if not sides:
        return []
    first, last = math.floor(math.log2(min(sides))), math.floor(math.log2(max(sides))) + 1
    return [2.0**power for power in range(first, last + 1)]


def _histogram(
    valued: Iterable[tuple[float, CountedInstance]], edges: Sequence[float]
) -> tuple[Bin, ...]:
    """Count instances by their values; what lies outside counts in the bin beside it."""
    counts = [[0, 0] for _ in edges[1:]]
    for value, one in valued:
        number = bisect_right(edges, value, 1, len(edges) - 1) - 1
        counts[number][one.status is not InstanceStatus.ACCEPTED] += 1
    pairs = zip(edges, edges[1:], counts, strict=False)
    return tuple(Bin(low, high, accepted, proposed) for low, high, (accepted, proposed) in pairs)


def _category_table(categories: Iterable[CategoryFigures]) -> str:
    return _csv(
        "category,instances,images,accepted,corrected,by_hand,rejected,acceptance,median_area,"
        "mean_score",
        (
            (
                *(one.name, one.counts.instances, one.images, one.counts.accepted),
                *(one.counts.corrected, one.counts.by_hand, one.counts.rejected),
                *(one.counts.acceptance, one.median_area, one.mean_score),
            )
            for one in categories
        ),
    )


def _csv(header: str, rows: Iterable[Sequence[object]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header.split(","))
    writer.writerows([_plain(cell) for cell in row] for row in rows)
    return buffer.getvalue()


def _plain(cell: object) -> object:
    """A name that a spreadsheet would take for a formula is told to be text."""
    if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@")):
        return f"'{cell}"
    return round(cell, 4) if isinstance(cell, float) else cell
