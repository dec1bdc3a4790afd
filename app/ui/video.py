"""Videos and sequences: add, step through, track along, correct and go on."""

from __future__ import annotations

from pydantic import Field

from app.project import InvalidInput
from app.sequences import Direction, common_name
from app.ui.annotate import FIRST_CATEGORY, UploadedFile
from app.ui.page import Page, Place, Session, Updates
from app.ui.runs import JobCancelled
from app.ui.uploads import uploaded_file
from dinov.images import natural_order


class VideoAdded(Place):
    """A video file was chosen; every so many of its frames are wanted, and no more than so many."""

    files: list[UploadedFile]
    every: int = Field(ge=1)
    most: int = Field(ge=1)


class SequenceChosen(Place):
    """Something is asked of one sequence."""

    sequence_id: int


class SequenceRenamed(SequenceChosen):
    """Another name was given to a sequence."""

    name: str


class SequenceMade(Place):
    """Images are to be a sequence: the chosen ones, or all that are in none."""

    chosen_ids: list[int] | None = None


class TrackPressed(SequenceChosen):
    """Track objects along a sequence, from one of its frames or from its end."""

    direction: Direction
    from_image_id: int | None = None


def bind(page: Page) -> None:
    """Connect the panel of videos."""
    _bind_sequences(page)
    _bind_tracking(page)


def _bind_sequences(page: Page) -> None:
    studio = page.studio

    def add(event: VideoAdded, session: Session) -> Updates:
        project_id = page.project_of(event, session)
        for file in event.files:
            path = uploaded_file(file.path)
            studio.videos.add_video(project_id, file.name, path, every=event.every, most=event.most)
        if not studio.categories(project_id):
            studio.add_category(project_id, FIRST_CATEGORY)
        if event.project_id is None:
            return page.open(session, project_id)
        return page.refresh(event, session, canvas=True)

    def make(event: SequenceMade, session: Session) -> Updates:
        if event.project_id is None:
            raise InvalidInput("Add images first.")
        names = {image.id: image.file_name for image in studio.images(event.project_id)}
        taken = {i for one in studio.videos.sequences(event.project_id) for i in one.image_ids}
        chosen = names.keys() - taken if event.chosen_ids is None else set(event.chosen_ids)
        frames = sorted(chosen & names.keys(), key=lambda id_: natural_order(names[id_]))
        name = common_name(names[id_] for id_ in frames)
        studio.videos.make_sequence(event.project_id, name, frames)
        if event.image_id in frames:
            return page.refresh(event, session)
        return page.open(session, event.project_id, frames[0])

    def rename(event: SequenceRenamed, session: Session) -> Updates:
        studio.videos.rename_sequence(event.sequence_id, event.name)
        return page.refresh(event, session)

    def remove(event: SequenceChosen, session: Session) -> Updates:
        studio.videos.remove_sequence(event.sequence_id)
        return page.refresh(event, session)

    def show(event: Place, session: Session) -> Updates:
        return page.open(session, event.project_id, event.image_id)

    page.on(page.video.video_added, add, VideoAdded, uploads=True)
    page.on(page.video.sequence_made, make, SequenceMade)
    page.on(page.filmstrip.sequence_made, make, SequenceMade)
    page.on(page.video.sequence_renamed, rename, SequenceRenamed)
    page.on(page.filmstrip.sequence_renamed, rename, SequenceRenamed)
    page.on(page.video.sequence_removed, remove, SequenceChosen)
    page.on(page.video.frame_opened, show, Place)


def _bind_tracking(page: Page) -> None:
    studio = page.studio

    def track(event: TrackPressed, session: Session) -> Updates:
        studio.videos.start_tracking(event.sequence_id, event.direction, event.from_image_id)
        return page.refresh(event, session)

    def cancel(event: JobCancelled, session: Session) -> Updates:
        studio.cancel(event.job_id)
        return page.refresh(event, session)

    page.on(page.video.track_pressed, track, TrackPressed)
    page.on(page.video.job_cancelled, cancel, JobCancelled)
    page.on(page.video.polled, page.refresh, Place)
