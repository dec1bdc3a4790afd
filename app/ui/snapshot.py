"""One consistent look at a project, from which all panels are drawn."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.concepts import Concept
from app.examples import Example
from app.history import NO_HISTORY, BulkView, HistoryView
from app.project import (
    DEFAULT_SCORE_THRESHOLD,
    ImageCounts,
    JobView,
    Lane,
    NotFound,
    Project,
    ProjectImage,
    RunOptions,
    Task,
)
from app.results import ResultsDocument
from app.segmentation import Studio
from app.sequences import Sequence
from dinov.types import Category

_BEGUN_NS = time.time_ns() - time.monotonic_ns()


@dataclass(frozen=True)
class Snapshot:
    """What is in a project now, or nothing where there is no project at all.

    ``taken`` orders snapshots: a greater one saw at least what a smaller one saw. ``image`` is the
    one on the canvas, None if there is none; ``job`` the one that runs, or else the last that ran;
    ``is_image_busy`` says that a single image is segmented, maybe beside it. ``concepts`` say each
    whether another model has made it; ``outdated`` are images with results of another one.
    """

    taken: int
    project: Project | None = None
    image: ProjectImage | None = None
    images: tuple[ProjectImage, ...] = ()
    counts: Mapping[int, ImageCounts] = field(default_factory=dict)
    categories: tuple[Category, ...] = ()
    prompt_counts: Mapping[int, int] = field(default_factory=dict)
    examples: tuple[Example, ...] = ()
    category_thresholds: Mapping[int, float] = field(default_factory=dict)
    concepts: tuple[tuple[Concept, bool], ...] = ()
    results: ResultsDocument | None = None
    history: HistoryView = NO_HISTORY
    bulk: BulkView | None = None
    job: JobView | None = None
    scoring: JobView | None = None
    is_image_busy: bool = False
    sequences: tuple[Sequence, ...] = ()
    video_job: JobView | None = None
    outdated: frozenset[int] = frozenset()

    @classmethod
    def take(cls, studio: Studio, project_id: str | None, image_id: int | None) -> Snapshot:
        """Look at a project.

        Without a project, or where it does not exist any more, the one last opened is taken;
        without an image, the one last looked at.
        """
        # The clock rather than a counter, which would begin again with the server. It is read once,
        # so that setting it back does not make everything that follows old.
        taken = (_BEGUN_NS + time.monotonic_ns()) // 1000
        project = _find_project(studio, project_id)
        if project is None:
            return cls(taken)
        # First the job: if it has ended, then what it has done is there for what is read below.
        job = studio.latest_job(project.id)
        scoring = studio.references.scoring(project.id)
        video_job = studio.videos.latest_job(project.id)
        foreign = studio.banks.foreign(project.id)
        images = tuple(studio.images(project.id))
        by_id = {image.id: image for image in images}
        wanted = (image_id, project.last_image_id, images[0].id if images else None)
        image = next((by_id[id_] for id_ in wanted if id_ in by_id), None)
        return cls(
            taken=taken,
            project=project,
            image=image,
            images=images,
            counts=studio.counts(project.id),
            categories=tuple(studio.categories(project.id)),
            prompt_counts=studio.prompt_counts(project.id),
            examples=tuple(studio.references.examples(project.id)),
            category_thresholds=studio.review.category_thresholds(project.id),
            concepts=tuple((one, one.id in foreign) for one in studio.banks.concepts(project.id)),
            results=studio.results(image.id) if image else None,
            history=studio.history.view(image.id) if image else NO_HISTORY,
            bulk=studio.history.latest_bulk(project.id),
            job=job,
            scoring=scoring,
            is_image_busy=studio.active_job(project.id, Lane.NOW) is not None,
            sequences=tuple(studio.videos.sequences(project.id)),
            video_job=video_job,
            outdated=frozenset(studio.outdated_images(project.id)),
        )

    @property
    def project_id(self) -> str | None:
        """The id of the open project."""
        return self.project.id if self.project else None

    @property
    def run_options(self) -> RunOptions:
        """How the next run searches."""
        return self.project.run_options if self.project else RunOptions()

    @property
    def shown_task(self) -> Task:
        """The task that the current image's results come from; before a run, the chosen one."""
        return (self.results and self.results["task"]) or self.run_options.task

    @property
    def score_threshold(self) -> float:
        """The score below which proposals on the current image are hidden."""
        if self.project is None:
            return DEFAULT_SCORE_THRESHOLD
        return self.project.score_thresholds[self.shown_task]

    @property
    def applied_thresholds(self) -> Mapping[int, float]:
        """The score thresholds of single categories, for results that they are meant for."""
        return self.category_thresholds if self.shown_task is Task.GENERIC else {}

    @property
    def image_id(self) -> int | None:
        """The id of the image on the canvas."""
        return self.image.id if self.image else None

    @property
    def results_rev(self) -> int:
        """The revision of the current image's results, which grows with every change."""
        return self.results["rev"] if self.results else 0

    @property
    def results_url(self) -> str | None:
        """Where the browser reads the current image's results, or None before a first run."""
        if self.results is None:
            return None
        if self.results["run_id"] is None and not self.results["instances"]:
            return None
        return f"results/{self.results['image_id']}?rev={self.results['rev']}"


def _find_project(studio: Studio, project_id: str | None) -> Project | None:
    if project_id is not None:
        try:
            return studio.project(project_id)
        except NotFound:
            pass
    return studio.last_project()
