"""Objects along a sequence: found frame after frame with the tracker's memory, as proposals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.image_files import ImageFiles
from app.jobs import JobControl
from app.marks import Marks, references_of
from app.model_session import ModelSession
from app.project import InstanceStatus, InvalidInput, ProjectImage, RunOptions, Task
from app.results import stored_instance
from app.segment_job import undecided
from app.sequences import Direction
from app.store import Store
from dinov.types import Image, Prompt, Segmentation

if TYPE_CHECKING:
    from dinov.tracker import TrackerState

TRACK = "track"
"""The kind of this job."""

Frame = tuple[int, ProjectImage]
"""The number of a frame from 0, and its image."""


@dataclass(frozen=True)
class TrackJob:
    """The work of a job; call it with the job's control.

    Every category that is marked on a frame stands for one object. Results are stored frame by
    frame, so that what is done stays when it is stopped; frames before ``start`` are left as they
    are, going forward, and those after it, going backward. An object that the annotator has
    accepted on a frame stays as it is there.
    """

    store: Store
    files: ImageFiles
    model: ModelSession
    sequence_id: int
    direction: Direction
    start: int

    def __call__(self, control: JobControl) -> str:
        """Do the work and return the closing message.

        Raises:
            InvalidInput: if nothing positive is marked on a frame.
        """
        from dinov.tracker import TrackerState, first_marks

        if not self.model.is_loaded:
            control.say("Loading the model …")
        sequence = self.store.sequence(self.sequence_id)
        frames = list(enumerate(map(self.store.image, sequence.image_ids)))
        marks = marks_on(self.store, sequence.project_id, sequence.image_ids)
        if not marks:
            raise InvalidInput("Mark the object on a frame of this sequence first.")
        begins = first_marks(marks)
        ahead, behind = reach(self.direction, self.start, len(frames), list(begins.values()))
        control.expect(len(ahead) + len(behind))
        run_id = self._add_run(sequence.project_id, marks)
        found = 0
        control.start_clock()
        state = TrackerState()
        for index, image, after, objects in self._forward(frames, marks, ahead):
            state = after
            if control.is_cancelled():
                return _stopped(found)
            if objects is not None:
                begun = {number for number, first in begins.items() if first <= index}
                found += self._keep(image, run_id, begun, objects)
                control.say(f"Frame {index + 1} of {len(frames)}")
                control.advance(found=len(objects))
        for index, objects in self._backward(frames, state, behind, begins):
            if control.is_cancelled():
                return _stopped(found)
            later = {number for number, first in begins.items() if first > index}
            found += self._keep(frames[index][1], run_id, later, objects)
            control.say(f"Frame {index + 1} of {len(frames)}")
            control.advance(found=len(objects))
        return (
            f"Found the objects on {found} frames. Correct one with a mark, and go on from there."
        )

    def _forward(
        self,
        frames: list[Frame],
        marks: Mapping[int, list[Prompt]],
        ahead: range,
    ) -> Iterator[tuple[int, ProjectImage, TrackerState, Segmentation | None]]:
        """Go through the frames; without a result where only the marks are read."""
        from dinov.tracker import TrackerState

        state, objects = TrackerState(), None
        for index, image in frames:
            prompts = marks.get(index, [])
            if index not in ahead and not prompts:
                continue
            # Not held while the result is looked at: the job may wait there for a more urgent one.
            with self.model.held():
                tracker, pixels = self.model.tracker(), self._read(image)
                if index in ahead:
                    state, objects = tracker.step(state, pixels, prompts)
                else:
                    state, objects = tracker.correct(state, pixels, prompts), None
            yield index, image, state, objects

    def _backward(
        self,
        frames: list[Frame],
        state: TrackerState,
        behind: range,
        begins: Mapping[int, int],
    ) -> Iterator[tuple[int, Segmentation]]:
        pictures = ((index, self._read(frames[index][1])) for index in reversed(behind))
        steps = self.model.tracker().track_back(state, pictures, begins)
        while True:
            with self.model.held():
                step = next(steps, None)
            if step is None:
                return
            yield step

    def _read(self, image: ProjectImage) -> Image:
        return self.model.read(self.files.path(image), image.sha256)

    def _keep(
        self, image: ProjectImage, run_id: int, category_ids: Iterable[int], objects: Segmentation
    ) -> bool:
        """Store what was found on a frame; true if there was anything."""
        proposals = [
            stored_instance(image.id, run_id, one, InstanceStatus.PROPOSED)
            for one in objects.instances
        ]
        with self.store.transaction():
            known = {category.id for category in self.store.categories(image.project_id)}
            wanted = set(category_ids) & known
            new = [one for one in proposals if one.category_id in wanted]
            new = undecided(new, self.store.instances(image.id), Task.REFER)
            self.store.replace_tracked(image.id, run_id, wanted, new)
        return bool(proposals)

    def _add_run(self, project_id: str, marks: Mapping[int, list[Prompt]]) -> int:
        sequence = self.store.sequence(self.sequence_id)
        shown = _marks_of_frames(self.store, project_id, sequence.image_ids)
        with self.store.transaction():
            run_id = self.store.add_run(
                project_id,
                checkpoint=self.model.checkpoint,
                fingerprint=self.model.fingerprint,
                prompt_ids=shown.ids,
                options=RunOptions(Task.REFER),
                checkpoint_sha256=self.model.checkpoint_sha256,
            )
            self.store.add_track_run(run_id, self.sequence_id)
            for number in {prompt.category_id for group in marks.values() for prompt in group}:
                self.store.add_track(self.sequence_id, number)
        return run_id


def marks_on(store: Store, project_id: str, image_ids: tuple[int, ...]) -> dict[int, list[Prompt]]:
    """Return the prompts in use on the frames, by frame number, of objects with a positive one."""
    marks = _marks_of_frames(store, project_id, image_ids)
    numbers = {image_id: number for number, image_id in enumerate(image_ids)}
    found: dict[int, list[Prompt]] = {}
    for stored in marks.prompts:
        if stored.prompt.category_id in marks.sought:
            found.setdefault(numbers[stored.image_id], []).append(stored.prompt)
    return found


def reach(
    direction: Direction, start: int, count: int, begins: Sequence[int]
) -> tuple[range, range]:
    """Return which frames are searched forward, and which backward.

    Args:
        direction: the annotator's choice.
        start: the frame to begin at.
        count: how many frames there are.
        begins: the frames where the objects are marked first.
    """
    ahead = range(max(start, min(begins)), count)
    end = min(start, max(begins)) if direction is Direction.BACKWARD else max(begins)
    return (
        ahead if direction is not Direction.BACKWARD else range(0),
        range(end) if direction is not Direction.FORWARD else range(0),
    )


def _marks_of_frames(store: Store, project_id: str, image_ids: tuple[int, ...]) -> Marks:
    frames = set(image_ids)
    return Marks([(i, p) for i, p in references_of(store, project_id) if i.id in frames], ())


def _stopped(found: int) -> str:
    return f"Stopped. What was found on {found} frames stays."
