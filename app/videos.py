"""Videos and other sequences: their frames as images of a project, and objects along them."""

from __future__ import annotations

import io
from collections.abc import Sequence as List
from pathlib import Path

import PIL.Image

from app.image_files import ImageFiles, display_name
from app.jobs import JobControl, JobRunner, Parameters
from app.model_session import ModelSession
from app.names import clean_name
from app.project import InvalidInput, JobView, Lane
from app.sequences import Direction, Sequence
from app.store import Store
from app.track_job import TRACK, TrackJob, marks_on
from app.workspace import Workspace
from dinov.frames import VideoFile

EXTRACT = "extract"
"""The kind of the job that takes frames out of a video."""

MOST_FRAMES = 2000
"""So many frames of one video become images at most."""


class Videos:
    """The use cases of sequences. A method that is given an id raises NotFound if it is gone."""

    def __init__(
        self,
        workspace: Workspace,
        store: Store,
        files: ImageFiles,
        model: ModelSession,
        jobs: JobRunner,
    ) -> None:
        self._workspace = workspace
        self._store = store
        self._files = files
        self._model = model
        self._jobs = jobs
        jobs.offer(EXTRACT, self._extract)
        jobs.offer(TRACK, self._track)

    def sequences(self, project_id: str) -> list[Sequence]:
        """List the sequences of a project."""
        return self._store.sequences(project_id)

    def add_video(
        self, project_id: str, file_name: str, path: Path, *, every: int = 1, most: int = 300
    ) -> str:
        """Begin to add frames of a video file to a project, as a sequence.

        Args:
            project_id: the project.
            file_name: what the video is called.
            path: the file; it must stay until the job is done.
            every: take every so many frames.
            most: stop after so many, ``MOST_FRAMES`` at most.

        Returns:
            The id of the job.

        Raises:
            InvalidInput: if a number is out of range.
            InvalidVideo: if the file is no video that can be read.
        """
        if every < 1 or not 1 <= most <= MOST_FRAMES:
            raise InvalidInput(
                f"Take every 1st, 2nd, … frame, and from 1 to {MOST_FRAMES} frames in all."
            )
        video = VideoFile(path)
        frames = min(most, -(-len(video) // every)) if len(video) else most
        name = display_name(file_name)
        sequence_id = self._store.add_sequence(project_id, Path(name).stem)
        asked = {"path": str(path), "name": name, "every": every, "most": most}
        return self._jobs.submit(
            project_id,
            EXTRACT,
            asked | {"sequence_id": sequence_id},
            title=f"Take frames from {name}",
            total=frames,
            lane=Lane.FILES,
        )

    def make_sequence(self, project_id: str, name: str, image_ids: List[int]) -> Sequence:
        """Make images of a project a sequence, in the given order.

        Raises:
            InvalidInput: if there are fewer than two, one twice, or one of another project.
        """
        own = {image.id for image in self._store.images(project_id)}
        if len(set(image_ids)) < max(2, len(image_ids)) or not own.issuperset(image_ids):
            raise InvalidInput("A sequence needs two or more images of this project, each once.")
        with self._store.transaction():
            sequence_id = self._store.add_sequence(project_id, clean_name(name, "sequence"))
            self._store.add_frames(sequence_id, image_ids)
            return self._store.sequence(sequence_id)

    def rename_sequence(self, sequence_id: int, name: str) -> None:
        """Call a sequence something else.

        Raises:
            InvalidInput: if the name is empty or too long.
        """
        self._store.rename_sequence(sequence_id, clean_name(name, "sequence"))

    def remove_sequence(self, sequence_id: int) -> None:
        """Forget that images are a sequence; images, marks and results stay."""
        self._store.remove_sequence(sequence_id)

    def start_tracking(
        self,
        sequence_id: int,
        direction: Direction = Direction.FORWARD,
        from_image_id: int | None = None,
    ) -> str:
        """Begin to find the objects that are marked on frames of a sequence on all others.

        Each category stands for one object. The proposals of the objects on the frames that are
        searched are replaced; accepted instances stay, and so do all frames that are not searched.

        Args:
            sequence_id: the sequence.
            direction: from the marks on, back to the first frame, or both.
            from_image_id: the frame to begin at; the first frame, or backward the last, by default.

        Returns:
            The id of the job.

        Raises:
            InvalidInput: if nothing positive is marked on a frame, or the image is no frame.
        """
        sequence = self._store.sequence(sequence_id)
        if not marks_on(self._store, sequence.project_id, sequence.image_ids):
            raise InvalidInput("Mark the object on a frame of this sequence first.")
        start = len(sequence.image_ids) if direction is Direction.BACKWARD else 0
        if from_image_id is not None:
            if from_image_id not in sequence.image_ids:
                raise InvalidInput("This image is no frame of the sequence.")
            start = sequence.image_ids.index(from_image_id)
        return self._jobs.submit(
            sequence.project_id,
            TRACK,
            {"sequence_id": sequence_id, "direction": direction.value, "start": start},
            title=f"Track along {sequence.name}",
            total=len(sequence.image_ids),
        )

    def latest_job(self, project_id: str) -> JobView | None:
        """Return what is done with sequences now, or else was done last."""
        jobs = [self._jobs.latest(project_id, kind) for kind in (EXTRACT, TRACK)]
        known = [job for job in jobs if job]
        return max(known, key=lambda job: (job.state.is_active, job.created_at), default=None)

    def _extract(self, control: JobControl, asked: Parameters) -> str:
        """Do what ``add_video`` has queued; frames that are there already are not added again."""
        stem, every = Path(asked["name"]).stem, asked["every"]
        sequence_id, added, same = asked["sequence_id"], 0, 0
        placed = set(self._store.sequence(sequence_id).image_ids)
        control.start_clock()
        for frame in VideoFile(Path(asked["path"])):
            if frame.index % every:
                continue
            if control.is_cancelled() or added + same >= asked["most"]:
                break
            buffer = io.BytesIO()
            PIL.Image.fromarray(frame.load()).save(buffer, "JPEG", quality=95, subsampling=0)
            content, name = buffer.getvalue(), f"{stem} {frame.index:05d}.jpg"
            image = self._workspace.find_image(control.project_id, content)
            if image is None:
                (image,) = self._workspace.add_images(control.project_id, [(name, content)]).added
            if image.id in placed:
                same += 1
            else:
                self._store.add_frames(sequence_id, [image.id])
                placed.add(image.id)
                added += 1
            control.advance()
        left = f"; {same} that look exactly like another were left out" if same else ""
        return f"{added} frames of {asked['name']} were added{left}."

    def _track(self, control: JobControl, asked: Parameters) -> str:
        """Do what ``start_tracking`` has queued."""
        direction, start = Direction(asked["direction"]), asked["start"]
        sequence_id = asked["sequence_id"]
        work = TrackJob(self._store, self._files, self._model, sequence_id, direction, start)
        with self._model.kept():
            return work(control)
