"""One segmentation: the prompts of a project's references, applied to a list of targets."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from app.image_files import ImageFiles
from app.jobs import Parameters
from app.marks import Marks, Progress, embed_marks, marks_of, read_concepts
from app.model_session import ModelSession
from app.project import (
    DEFAULT_OVERLAP_THRESHOLD,
    InstanceStatus,
    ProjectImage,
    RunOptions,
    StoredInstance,
    Task,
)
from app.results import stored_instance
from app.store import Store
from dinov.errors import CheckpointError, DeviceUnavailable
from dinov.masks import rle_iou
from dinov.options import SCORE_FLOOR
from dinov.types import Instance, Segmentation

if TYPE_CHECKING:
    from dinov.prompt_bank import PromptBank

_log = logging.getLogger(__name__)

SEGMENT = "segment"
"""The kind of this job."""

# A proposal that repeats what the annotator has decided on is dropped. An accepted object needs no
# second mask; after a rejected one only much the same mask is unwanted, a better one is welcome.
_SAME_AS_DECIDED_IOU = {InstanceStatus.ACCEPTED: 0.7, InstanceStatus.REJECTED: 0.9}


@dataclass(frozen=True)
class _Question:
    """What every target is asked: the bank of the marks as they are now, in one run."""

    bank: PromptBank
    floor: float
    overlap: float
    run_id: int
    run_key: str


@dataclass(frozen=True)
class SegmentJob:
    """The work of a job; call it with the job's control.

    Results are stored image by image. An image that fails is noted and the others go on. An image
    whose results already come from the same prompts, options and model is left as it is, so that a
    job can be cancelled or interrupted and then go on; so is one that was segmented meanwhile with
    newer prompts. The model must be ``kept`` meanwhile: embeddings of one mean nothing to another.
    """

    store: Store
    files: ImageFiles
    model: ModelSession
    project_id: str
    image_ids: tuple[int, ...]
    options: RunOptions

    @property
    def parameters(self) -> Parameters:
        """All of it that JSON can hold."""
        return {"image_ids": self.image_ids, "options": asdict(self.options)}

    @classmethod
    def of(
        cls,
        store: Store,
        files: ImageFiles,
        model: ModelSession,
        project_id: str,
        parameters: Parameters,
    ) -> Self:
        """Make the job of its parameters."""
        options: dict[str, Any] = dict(parameters["options"])
        chosen = RunOptions(**(options | {"task": Task(options["task"])}))
        return cls(store, files, model, project_id, tuple(parameters["image_ids"]), chosen)

    def __call__(self, control: Progress) -> str:
        """Do the work and return the closing message."""
        if not self.model.is_loaded:
            control.say("Loading the model …")
        question = self._question(control)
        if question is None:
            return "Stopped before the first image."
        control.start_clock()
        for number, image_id in enumerate(self.image_ids):
            if control.is_cancelled():
                return self._stopped(number)
            control.say(f"Segmenting image {number + 1} of {len(self.image_ids)} …")
            self._segment(image_id, question, control)
        images = _number(len(self.image_ids), "image")
        if control.found == 0:
            return f"Nothing found in {images} at this score threshold."
        return f"Found {_number(control.found, 'object')} in {images}."

    def _stopped(self, number: int) -> str:
        return f"Stopped after {number} of {len(self.image_ids)} images. Results so far stay."

    def _question(self, control: Progress) -> _Question | None:
        """Read the marks; None if the job was cancelled meanwhile."""
        floor = self._score_floor()
        marks = marks_of(self.store, self.project_id)
        control.say("Reading the marks …")
        embedded = embed_marks(self.files, self.model, marks.references, control)
        if control.is_cancelled():
            return None
        concepts = read_concepts(self.files, self.model, self.project_id, marks.concepts, control)
        prompts = [(stored.prompt, embedding) for stored, embedding in embedded]
        bank = self.model.bank(prompts, concepts)
        for problem in marks.missing(self.store.categories(self.project_id)):
            control.add_problem(problem)
        run_id = self.store.add_run(
            self.project_id,
            checkpoint=self.model.checkpoint,
            fingerprint=bank.fingerprint,
            prompt_ids=marks.ids,
            options=self.options,
            checkpoint_sha256=self.model.checkpoint_sha256,
        )
        overlap = self.store.project(self.project_id).overlap_threshold
        run_key = _run_key(bank.fingerprint, self.options, floor, overlap, marks)
        return _Question(bank, floor, overlap, run_id, run_key)

    def _score_floor(self) -> float:
        """The score from which proposals are kept; an object's best candidate always is."""
        if self.options.task is Task.REFER:
            return 0.0
        # Until the annotator chooses, the checkpoint knows best which scores mean something.
        if not self.store.has_score_threshold(self.project_id):
            self.store.update_project(self.project_id, score_threshold=self.model.score_threshold)
        thresholds = self.store.project(self.project_id).score_thresholds
        own = self.store.category_thresholds(self.project_id)
        return min(SCORE_FLOOR, thresholds[Task.GENERIC], *own.values())

    def _segment(self, image_id: int, question: _Question, control: Progress) -> None:
        """Segment one image and store what was found; whatever goes wrong is noted as a problem."""
        is_left = False
        name = f"Image {image_id}"
        with self.model.held():
            try:
                image = self.store.image(image_id)
                name = image.file_name
                rejected = self._rejected_candidates(image_id)
                key = f"{question.run_key}-{rejected}"
                latest_id, latest_key = self.store.latest_run(image_id)
                is_left = latest_key == key or (latest_id or 0) > question.run_id
                if not is_left:
                    found = self._find(image, question, 1 + rejected)
                    self._store(image_id, question.run_id, key, found.instances)
                    self._tell_emptied(image, found.emptied, control)
            except (CheckpointError, DeviceUnavailable):
                raise
            except Exception as error:  # noqa: BLE001 - one bad image must not cost the others
                _log.warning("%s could not be segmented", name, exc_info=error)
                control.add_problem(f"{name}: {error or type(error).__name__}")
        thresholds = self.store.project(self.project_id).score_thresholds
        shown = self.store.count_shown(image_id, thresholds)
        control.advance(found=shown, is_timed=not is_left)

    def _rejected_candidates(self, image_id: int) -> int:
        """In the place of each of them comes the next best, so that it must be asked for."""
        if self.options.task is Task.GENERIC:
            return 0
        statuses = [instance.status for instance in self.store.instances(image_id)]
        return statuses.count(InstanceStatus.REJECTED)

    def _find(self, image: ProjectImage, question: _Question, max_candidates: int) -> Segmentation:
        """What the task finds in an image; for refer the candidates of each object, best first."""
        path = self.files.path(image)
        if self.options.task is Task.GENERIC:
            return self.model.segment(
                path,
                image.sha256,
                question.bank,
                question.floor,
                overlap_threshold=question.overlap,
                in_tiles=self.options.in_tiles,
            )
        referral = self.model.refer(path, image.sha256, question.bank, max_candidates)
        ranked = referral.candidates.values()
        return Segmentation(referral.size_hw, tuple(one for group in ranked for one in group))

    def _tell_emptied(
        self, image: ProjectImage, emptied: Sequence[Instance], control: Progress
    ) -> None:
        """Say what is too small to have a mask, unless its score would hide it anyway."""
        general = self.store.project(self.project_id).score_thresholds[self.options.task]
        own = self.store.category_thresholds(self.project_id)
        shown = [one for one in emptied if one.score >= own.get(one.category_id, general)]
        if shown:
            objects = _number(len(shown), "object")
            control.add_loss(f"{image.file_name}: {objects} left out, smaller than a pixel.")

    def _store(
        self, image_id: int, run_id: int, run_key: str, instances: Sequence[Instance]
    ) -> None:
        proposals = [
            stored_instance(image_id, run_id, instance, InstanceStatus.PROPOSED)
            for instance in instances
        ]
        with self.store.transaction():
            # The page stays in use meanwhile: an image or a category may be gone by now.
            self.store.image(image_id)
            known = {category.id for category in self.store.categories(self.project_id)}
            new = [proposal for proposal in proposals if proposal.category_id in known]
            new = undecided(new, self.store.instances(image_id), self.options.task)
            self.store.replace_proposals(image_id, run_id, run_key, new)


def undecided(
    proposals: Sequence[StoredInstance], present: Sequence[StoredInstance], task: Task
) -> list[StoredInstance]:
    """Leave out what repeats a decision of the annotator; for refer keep one per category.

    Whatever was accepted as one category is not proposed as another, as after it was relabelled:
    overlaps among proposals of all categories are settled likewise. Not so for refer, whose
    categories are single objects: one may have been accepted as an instance of a concept before.

    Args:
        proposals: what was found on an image, best first.
        present: the instances that the image has.
        task: what was looked for.
    """
    decided = [one for one in present if one.status is not InstanceStatus.PROPOSED]
    new = [one for one in proposals if not _repeats_a_decision(one, decided, task)]
    return _one_per_category(new, decided) if task is Task.REFER else new


def _repeats_a_decision(
    proposal: StoredInstance, decided: Sequence[StoredInstance], task: Task
) -> bool:
    def is_about(other: StoredInstance) -> bool:
        settles_all = task is Task.GENERIC and other.status is InstanceStatus.ACCEPTED
        return settles_all or other.category_id == proposal.category_id

    return any(
        is_about(other) and rle_iou(other.rle, proposal.rle) >= _SAME_AS_DECIDED_IOU[other.status]
        for other in decided
    )


def _one_per_category(
    ranked: Sequence[StoredInstance], decided: Sequence[StoredInstance]
) -> list[StoredInstance]:
    """Keep the first of each category that has no accepted instance: it stands for one object."""
    accepted = {other.category_id for other in decided if other.status is InstanceStatus.ACCEPTED}
    best: dict[int, StoredInstance] = {}
    for proposal in ranked:
        if proposal.category_id not in accepted:
            best.setdefault(proposal.category_id, proposal)
    return list(best.values())


def _run_key(
    fingerprint: str, options: RunOptions, floor: float, overlap: float, marks: Marks
) -> str:
    """Name everything the results of an image depend on, besides the image."""
    named = [fingerprint, options.task, options.in_tiles, floor, *marks.named]
    # Left out where it is as by default, so that results of earlier versions are not done again.
    if options.task is Task.GENERIC and overlap != DEFAULT_OVERLAP_THRESHOLD:
        named.append({"overlap": overlap})
    return hashlib.sha256(json.dumps(named).encode()).hexdigest()


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
