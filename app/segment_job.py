"""One segmentation: the prompts of a project's references, applied to a list of targets."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

from app.image_files import ImageFiles
from app.jobs import Parameters
from app.model_session import ModelSession
from app.project import (
    SCORE_FLOOR,
    InstanceStatus,
    InvalidInput,
    NotFound,
    ProjectImage,
    RunOptions,
    StoredInstance,
    StoredPrompt,
    Task,
)
from app.results import stored_instance
from app.store import Store
from dinov.errors import CheckpointError, DeviceUnavailable, InvalidImage, InvalidPrompt
from dinov.masks import rle_iou
from dinov.types import Category, Instance

if TYPE_CHECKING:
    from torch import Tensor

    from dinov.prompt_bank import PromptBank

_log = logging.getLogger(__name__)

SEGMENT = "segment"
"""The kind of this job."""

# A proposal that repeats what the annotator has decided on is dropped. An accepted object needs no
# second mask; after a rejected one only much the same mask is unwanted, a better one is welcome.
_SAME_AS_DECIDED_IOU = {InstanceStatus.ACCEPTED: 0.7, InstanceStatus.REJECTED: 0.9}


class Progress(Protocol):
    """What the work reports to while it goes on: ``app.jobs.JobControl``, or a terminal."""

    @property
    def found(self) -> int:
        """How many instances were found so far."""

    def is_cancelled(self) -> bool:
        """Whether to stop here. To be asked between items."""

    def say(self, message: str) -> None:
        """Show what is being done."""

    def start_clock(self) -> None:
        """Preparations are over: the time per item is measured from here."""

    def advance(self, *, found: int = 0, is_timed: bool = True) -> None:
        """One more item is done."""

    def add_problem(self, problem: str) -> None:
        """Note something that went wrong with one item; the work goes on."""


@dataclass(frozen=True)
class _Question:
    """What every target is asked: the bank of the marks as they are now, in one run."""

    bank: PromptBank
    floor: float
    run_id: int
    run_key: str


@dataclass(frozen=True)
class SegmentJob:
    """The work of a job; call it with the job's control.

    Results are stored image by image. An image that fails is noted and the others go on. An image
    whose results already come from the same prompts, options and model is left as it is, so that a
    job can be cancelled or interrupted and then go on; so is one that was segmented meanwhile with
    newer prompts. If the model is exchanged, the images that are left are asked the new one.
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
            while not self._segment(image_id, question, control):
                question = self._question(control)
                if question is None:
                    return self._stopped(number)
        images = _number(len(self.image_ids), "image")
        if control.found == 0:
            return f"Nothing found in {images} at this score threshold."
        return f"Found {_number(control.found, 'object')} in {images}."

    def _stopped(self, number: int) -> str:
        return f"Stopped after {number} of {len(self.image_ids)} images. Results so far stay."

    def _question(self, control: Progress) -> _Question | None:
        """Read the marks; None if the job was cancelled meanwhile."""
        floor = self._score_floor()
        references = references_of(self.store, self.project_id)
        control.say("Reading the marks …")
        bank = None
        while bank is None:
            fingerprint = self.model.fingerprint
            embedded = embed_marks(self.files, self.model, references, control)
            if control.is_cancelled():
                return None
            with self.model.held():
                # Embeddings of one model mean nothing to another.
                if self.model.fingerprint == fingerprint:
                    marks = [(stored.prompt, embedding) for stored, embedding in embedded]
                    bank, checkpoint = self.model.bank(marks), self.model.checkpoint
                    sha256 = self.model.checkpoint_sha256
        for problem in missing_marks(self.store.categories(self.project_id), references):
            control.add_problem(problem)
        run_id = self.store.add_run(
            self.project_id,
            checkpoint=checkpoint,
            fingerprint=fingerprint,
            prompt_ids=_prompt_ids(references),
            options=self.options,
            checkpoint_sha256=sha256,
        )
        run_key = _run_key(fingerprint, self.options, floor, references)
        return _Question(bank, floor, run_id, run_key)

    def _score_floor(self) -> float:
        """The score from which proposals are kept; an object's best candidate always is."""
        if self.options.task is Task.REFER:
            return 0.0
        # Until the annotator chooses, the checkpoint knows best which scores mean something.
        if not self.store.has_score_threshold(self.project_id):
            self.store.update_project(self.project_id, score_threshold=self.model.score_threshold)
        thresholds = self.store.project(self.project_id).score_thresholds
        return min(SCORE_FLOOR, thresholds[Task.GENERIC])

    def _segment(self, image_id: int, question: _Question, control: Progress) -> bool:
        """Segment one image and store what was found; whatever goes wrong is noted as a problem.

        False, and nothing is done, if the model is not the one that the question is for.
        """
        is_left = False
        name = f"Image {image_id}"
        with self.model.held():
            if self.model.fingerprint != question.bank.fingerprint:
                return False
            try:
                image = self.store.image(image_id)
                name = image.file_name
                rejected = self._rejected_candidates(image_id)
                key = f"{question.run_key}-{rejected}"
                latest_id, latest_key = self.store.latest_run(image_id)
                is_left = latest_key == key or (latest_id or 0) > question.run_id
                if not is_left:
                    found = self._find(image, question, 1 + rejected)
                    self._store(image_id, question.run_id, key, found)
            except (CheckpointError, DeviceUnavailable):
                raise
            except Exception as error:  # noqa: BLE001 - one bad image must not cost the others
                _log.warning("%s could not be segmented", name, exc_info=error)
                control.add_problem(f"{name}: {error or type(error).__name__}")
        thresholds = self.store.project(self.project_id).score_thresholds
        shown = self.store.count_shown(image_id, thresholds)
        control.advance(found=shown, is_timed=not is_left)
        return True

    def _rejected_candidates(self, image_id: int) -> int:
        """In the place of each of them comes the next best, so that it must be asked for."""
        if self.options.task is Task.GENERIC:
            return 0
        statuses = [instance.status for instance in self.store.instances(image_id)]
        return statuses.count(InstanceStatus.REJECTED)

    def _find(
        self, image: ProjectImage, question: _Question, max_candidates: int
    ) -> list[Instance]:
        """What the task finds in an image; for refer the candidates of each object, best first."""
        path = self.files.path(image)
        if self.options.task is Task.GENERIC:
            in_tiles = self.options.in_tiles
            found = self.model.segment(
                path, image.sha256, question.bank, question.floor, in_tiles=in_tiles
            )
            return list(found.instances)
        referral = self.model.refer(path, image.sha256, question.bank, max_candidates)
        return [instance for ranked in referral.candidates.values() for instance in ranked]

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
            decided = [
                instance
                for instance in self.store.instances(image_id)
                if instance.status is not InstanceStatus.PROPOSED
            ]
            new = [
                proposal
                for proposal in proposals
                if proposal.category_id in known and not _repeats_a_decision(proposal, decided)
            ]
            if self.options.task is Task.REFER:
                new = _one_per_category(new, decided)
            self.store.replace_proposals(image_id, run_id, run_key, new)


References = Sequence[tuple[ProjectImage, Sequence[StoredPrompt]]]
"""Images with the prompts on them that are used."""


def references_of(store: Store, project_id: str) -> list[tuple[ProjectImage, list[StoredPrompt]]]:
    """List the images of a project that are references, with those prompts that are in use."""
    unused = store.unused_prompts(project_id)
    prompts: dict[int, list[StoredPrompt]] = {}
    for stored in store.project_prompts(project_id):
        if (stored.image_id, stored.id) not in unused:
            prompts.setdefault(stored.image_id, []).append(stored)
    return [
        (image, prompts[image.id])
        for image in store.images(project_id)
        if image.is_reference and image.id in prompts
    ]


def embed_marks(
    files: ImageFiles, model: ModelSession, references: References, control: Progress
) -> list[tuple[StoredPrompt, Tensor]]:
    """Embed the prompts of all references; an image that fails is noted and the others go on.

    Returns:
        Each prompt with its embedding [C]; those reached before the job was cancelled.
    """
    embedded: list[tuple[StoredPrompt, Tensor]] = []
    for image, stored_prompts in references:
        if control.is_cancelled():
            break
        prompts = [stored.prompt for stored in stored_prompts]
        try:
            embeddings = model.embed(files.path(image), image.sha256, prompts)
            embedded += zip(stored_prompts, embeddings, strict=True)
        except (InvalidImage, InvalidPrompt, NotFound) as error:
            control.add_problem(f"{image.file_name}: {error}")
    return embedded


def require_marks(store: Store, project_id: str) -> None:
    """Make sure that there is something to look for.

    Raises:
        InvalidInput: if no reference has a positive prompt; the message says what to do.
    """
    references = references_of(store, project_id)
    signs = {stored.prompt.positive for _, prompts in references for stored in prompts}
    if True in signs:
        return
    if signs:
        raise InvalidInput("There are only negative marks. Mark at least one object to be found.")
    if store.project_prompts(project_id):
        raise InvalidInput(
            "No mark is used. Turn on 'reference' for a marked image, or one of its examples under "
            "References."
        )
    raise InvalidInput(
        "Nothing is marked yet. Choose a category, then mark an object with a point, a box or a "
        "scribble."
    )


def missing_marks(
    categories: Sequence[Category],
    references: References,
) -> list[str]:
    """Say which categories cannot be looked for, for want of positive prompts."""
    positive = _positive_ids(references)
    return [
        f"Category “{category.name}” was not looked for: it has no positive mark on a reference."
        for category in categories
        if category.id not in positive
    ]


def _positive_ids(references: References) -> set[int]:
    """The categories that have a positive prompt."""
    stored = [one for _, prompts in references for one in prompts]
    return {one.prompt.category_id for one in stored if one.prompt.positive}


def _repeats_a_decision(proposal: StoredInstance, decided: Sequence[StoredInstance]) -> bool:
    return any(
        other.category_id == proposal.category_id
        and rle_iou(other.rle, proposal.rle) >= _SAME_AS_DECIDED_IOU[other.status]
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
    fingerprint: str,
    options: RunOptions,
    floor: float,
    references: References,
) -> str:
    """Name everything the results of an image depend on, besides the image."""
    marks = [(image.sha256, [repr(s.prompt) for s in prompts]) for image, prompts in references]
    named = [fingerprint, options.task, options.in_tiles, floor, marks]
    return hashlib.sha256(json.dumps(named).encode()).hexdigest()


def _prompt_ids(
    references: References,
) -> dict[int, list[str]]:
    """Name the prompts of the categories that are looked for."""
    ids: dict[int, list[str]] = {}
    for _, prompts in references:
        for stored in prompts:
            ids.setdefault(stored.prompt.category_id, []).append(stored.id)
    sought = _positive_ids(references)
    return {category_id: names for category_id, names in ids.items() if category_id in sought}


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
