"""The values the application works with, and the errors it raises on purpose.

    AppError
    ├── NotFound         the project, image, category, instance or job does not exist (any more)
    ├── InvalidInput     what was asked for makes no sense yet; the message says what to do
    ├── InvalidData      files of another program that cannot be read as what they are said to be
    ├── StaleRevision    prompts were changed elsewhere since they were loaded
    ├── StaleEdit        an instance, or the step to take back, was changed elsewhere meanwhile
    ├── JobStopped       the work of a job ends here, because it was asked to stop
    └── ServerError      the server cannot start, for example because the port is taken

Ids of images, categories and instances are integers from 1 and are never used again, so that they
stay the same from one export to the next. All coordinates are original-image pixels, upright.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from dinov.options import DEFAULT_INSTANCE_OPTIONS
from dinov.types import BoxXYXY, Prompt, Rle

DEFAULT_SCORE_THRESHOLD = 0.5
"""Shown until a checkpoint has been loaded and says what suits it."""

DEFAULT_OVERLAP_THRESHOLD = DEFAULT_INSTANCE_OPTIONS.nms_threshold
"""Of two found masks whose IoU is higher, the better stays, unless a project has its own."""

IMPORTED = "imported"
"""Stands for the checkpoint of runs that are no runs: instances that were read from a file."""

DRAWN = "drawn"
"""The same for instances that were drawn by hand."""

DISPLAY_LONGEST_SIDE = 2048
"""Masks sent to the browser are at most this long; the full-size ones stay for the export."""

PALETTE = (
    "#e6194b",
    "#4363d8",
    "#ffb000",
    "#3cb44b",
    "#911eb4",
    "#42d4f4",
    "#f58231",
    "#f032e6",
    "#008080",
    "#bfef45",
    "#9a6324",
    "#7b8cff",
    "#fabed4",
    "#808000",
    "#a0004b",
    "#469990",
)
"""Category colours, in the order they are given; chosen to differ in hue and in lightness."""


UNSURE_WITHIN = 0.1
"""A score this far from the threshold leaves no doubt."""


def uncertainty(score: float, threshold: float) -> float:
    """Say how unsure the model is whether a proposal counts: 1 at the threshold, 0 far from it.

    Added up over the proposals of an image it tells about how many decisions are open there.
    """
    return max(0.0, 1.0 - abs(score - threshold) / UNSURE_WITHIN)


class AppError(Exception):
    """Base of all errors raised on purpose by the application. The message is for people."""


class NotFound(AppError):
    """Something named by its id does not exist (any more)."""


class InvalidInput(AppError):
    """A request that cannot be carried out as it is."""


class InvalidData(AppError):
    """A data set cannot be read, or not be written, as the format it is said to be."""


class StaleRevision(AppError):
    """The prompts of an image were changed elsewhere since they were loaded."""

    def __init__(self, image_id: int, base_rev: int, current_rev: int) -> None:
        super().__init__(
            "The marks on this image were changed in another window "
            f"(yours: revision {base_rev}, stored: {current_rev}). Reload the page to go on."
        )
        self.image_id = image_id
        self.base_rev = base_rev
        self.current_rev = current_rev


class StaleEdit(AppError):
    """What an edit, an undo or a redo is about was changed elsewhere meanwhile."""


class JobStopped(AppError):
    """The work of a job ends before its end, because it was asked to stop."""


class ServerError(AppError):
    """The server cannot start."""


class Task(StrEnum):
    """What is looked for: every object like the marked ones, or the very object that is marked."""

    GENERIC = "generic"
    REFER = "refer"


class InstanceStatus(StrEnum):
    """What the annotator decided about an instance."""

    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class ReviewStatus(StrEnum):
    """How far the work on an image has come.

    ``UNMARKED``: never segmented, and nothing is on it. ``PROPOSED``: something waits to be looked
    at. ``REVIEWED``: marked as such, and all that is shown was decided. ``EMPTY``: reviewed, and
    there is nothing on it.
    """

    UNMARKED = "unmarked"
    PROPOSED = "proposed"
    REVIEWED = "reviewed"
    EMPTY = "empty"

    @property
    def is_done(self) -> bool:
        """Whether nothing waits for the annotator any more."""
        return self in (ReviewStatus.REVIEWED, ReviewStatus.EMPTY)


class Origin(StrEnum):
    """How the mask and category of an instance came about, at the latest."""

    FOUND = "found"
    IMPORTED = "imported"
    DRAWN = "drawn"
    EDITED = "edited"


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def is_active(self) -> bool:
        """True while there is still something to wait for."""
        return self in (JobState.QUEUED, JobState.RUNNING)


class Lane(StrEnum):
    """Beside which other jobs a job may run: in each lane one at a time.

    ``NOW`` is for what the annotator waits for; jobs in ``BATCH`` give way to it between two items.
    ``FILES`` is for what needs no model.
    """

    NOW = "now"
    BATCH = "batch"
    FILES = "files"


@dataclass(frozen=True)
class RunOptions:
    """How targets are searched. ``in_tiles`` looks into parts of large photos, too, for generic."""

    task: Task = Task.GENERIC
    in_tiles: bool = False


@dataclass(frozen=True)
class Project:
    """A workspace: images, categories, prompts and results. Times are ISO 8601, UTC.

    Every task has a score threshold of its own, because its scores mean something else. Those of
    ``generic`` say how much a mask looks like the marks; those of ``refer`` are the shares of all
    candidates on an image in being the object, so that even a low one can be the best.

    ``overlap_threshold`` is the IoU above which two masks found by ``generic`` are one object.
    ``owner`` is None where there were no accounts; such a project is everybody's.
    """

    id: str
    name: str
    created_at: str
    updated_at: str
    score_thresholds: Mapping[Task, float]
    overlap_threshold: float
    run_options: RunOptions
    last_image_id: int | None
    owner: str | None
    is_shared: bool


@dataclass(frozen=True)
class ProjectImage:
    """An uploaded image. ``width`` and ``height`` are those of the upright pixels.

    ``sha256`` is that of the uploaded bytes; ``results_rev`` grows with every change of results.
    """

    id: int
    project_id: str
    file_name: str
    width: int
    height: int
    is_reference: bool
    is_target: bool
    sha256: str
    suffix: str
    prompts_rev: int
    results_rev: int
    position: int


@dataclass(frozen=True)
class StoredPrompt:
    """A prompt with the identity the canvas gave it."""

    id: str
    image_id: int
    prompt: Prompt


@dataclass(frozen=True)
class StoredInstance:
    """An instance found by run ``run_id``, at the original size of its image.

    ``display_counts`` is the same mask at the display size, where that is smaller. Where masks lie
    over each other, the one with the higher ``z_order`` is on top, among equals the smaller one.
    ``rev`` grows with every change of the instance.
    """

    id: int
    image_id: int
    category_id: int
    run_id: int
    rle: Rle
    display_counts: str | None
    box_xyxy: BoxXYXY
    area: int
    score: float
    status: InstanceStatus
    origin: Origin = Origin.FOUND
    z_order: int = 0
    rev: int = 0


@dataclass(frozen=True)
class Run:
    """Where instances come from: the model that found them, and the prompts it was shown.

    ``prompt_ids`` names the prompts by category id; ``options`` is None for what was imported.
    ``checkpoint_sha256`` is empty for that, and for runs of versions that did not keep it.
    """

    id: int
    created_at: str
    checkpoint: str
    fingerprint: str
    prompt_ids: dict[int, list[str]]
    options: RunOptions | None
    checkpoint_sha256: str


@dataclass(frozen=True)
class ImageCounts:
    """How much is on one image, at the score thresholds for its latest run's task.

    ``is_segmented`` with ``shown == 0 and hidden == 0`` means: nothing found. Of the ``shown``,
    ``accepted`` were decided on; ``uncertainty`` is that of the proposals, see ``uncertainty``.
    ``category_ids`` names what is shown or marked on the image.
    """

    image_id: int
    prompts: int
    run_id: int | None
    is_segmented: bool
    shown: int
    hidden: int
    accepted: int
    rejected: int
    results_rev: int
    is_marked_reviewed: bool
    uncertainty: float
    category_ids: frozenset[int]

    @property
    def status(self) -> ReviewStatus:
        """How far the work on the image has come.

        New proposals on a reviewed image make it one to review again, until they are decided on.
        """
        if self.is_marked_reviewed and self.shown == self.accepted:
            return ReviewStatus.REVIEWED if self.shown else ReviewStatus.EMPTY
        if self.is_segmented or self.is_marked_reviewed or self.shown or self.prompts:
            return ReviewStatus.PROPOSED
        return ReviewStatus.UNMARKED


@dataclass(frozen=True)
class AddReport:
    """What became of an upload: the new images, and one line for each file that was left out."""

    added: tuple[ProjectImage, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class JobView:
    """A job as the page shows it. ``found`` counts instances at the project's score threshold.

    ``title`` says what it is, ``result`` what came of it where that is more than the message, and
    ``attempts`` how often it was begun. Times are ISO 8601, UTC; ``total`` is 0 while not known.
    """

    id: str
    project_id: str
    kind: str
    title: str
    lane: Lane
    attempts: int
    created_at: str
    ended_at: str | None
    result: Mapping[str, Any] | None
    state: JobState
    done: int
    total: int
    found: int
    message: str
    problems: tuple[str, ...]
    seconds_left: float | None = None
    images_per_second: float | None = None


@dataclass(frozen=True)
class ExportReport:
    """What an export wrote, and in words what became of the rest.

    ``annotations`` of the ``total`` that are shown were written. ``dropped`` are not in the file,
    ``changed`` do not come back as they were; ``renamed`` and ``notes`` lose nothing.
    """

    path: Path
    images: int
    empty_images: int
    annotations: int
    total: int
    dropped: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    renamed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_lossless(self) -> bool:
        """Whether everything that is shown can be read back as it was."""
        return not self.dropped and not self.changed

    @property
    def lines(self) -> tuple[str, ...]:
        """The report in words."""
        count = f"{self.annotations:,} of {_number(self.total, 'annotation')} written"
        none = f"; {_number(self.empty_images, 'image')} {_has(self.empty_images)} none"
        first = f"{count}{none if self.empty_images else ''}."
        dropped = (f"Not written: {line}" for line in self.dropped)
        changed = (f"Changed: {line}" for line in self.changed)
        return (first, *dropped, *changed, *self.renamed, *self.notes)


@dataclass(frozen=True)
class ImportReport:
    """What an import added to a project, and in words what it left out or took otherwise.

    ``annotations`` of the ``total`` in the file were added; ``present`` were there already.
    """

    project_id: str
    format_title: str
    annotations: int
    present: int
    total: int
    added_images: int
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def is_lossless(self) -> bool:
        """Whether all of the file is in the project now."""
        return not self.problems

    @property
    def lines(self) -> tuple[str, ...]:
        """The report in words."""
        first = f"{self.annotations:,} of {_number(self.total, 'annotation')} imported"
        if self.present:
            first += f"; {self.present:,} {_has(self.present, 'is', 'are')} here already"
        if self.added_images:
            first += f"; {_number(self.added_images, 'image')} added"
        problems = (f"Left out: {line}" for line in self.problems)
        return (f"{first} ({self.format_title}).", *problems, *self.notes)


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _has(count: int, one: str = "has", more: str = "have") -> str:
    return one if count == 1 else more


@dataclass(frozen=True)
class StatusView:
    """Which checkpoint runs where. ``variant`` and ``input_size`` are None until it is loaded.

    ``hint`` says how to get a better checkpoint, or is empty.
    """

    checkpoint: str
    variant: str | None
    device: str
    precision: str
    input_size: int | None
    loaded: bool
    message: str
    hint: str
