"""Segment, follow the job, cancel it; the score threshold."""

from __future__ import annotations

from app.project import InvalidInput, RunOptions, Task
from app.ui.page import Page, Place, Session, Updates


class RunOptionsChanged(Place):
    """What to search for was chosen."""

    run_options: RunOptions


class SegmentPressed(RunOptionsChanged):
    """Segment one image, or all targets, with the options that the page shows."""

    only_image_id: int | None = None


class JobCancelled(Place):
    """Stop after the image being worked on."""

    job_id: str


class ThresholdChanged(Place):
    """The score slider was let go; it stands for the results of one task."""

    score_threshold: float
    task: Task
    order: int


def bind(page: Page) -> None:
    """Connect the run controls."""
    studio = page.studio

    def segment(event: SegmentPressed, session: Session) -> Updates:
        if event.project_id is None:
            raise InvalidInput("Add images first.")
        image_ids = None if event.only_image_id is None else [event.only_image_id]
        studio.start_segmentation(event.project_id, image_ids, options=event.run_options)
        return page.refresh(event, session)

    def cancel(event: JobCancelled, session: Session) -> Updates:
        studio.cancel(event.job_id)
        return page.refresh(event, session)

    def change_threshold(event: ThresholdChanged, session: Session) -> Updates:
        # Requests may overtake each other; what the user chose last must stay.
        if event.project_id is not None and event.order >= session.threshold_order:
            session.threshold_order = event.order
            studio.set_score_threshold(event.project_id, event.score_threshold, event.task)
        return page.refresh(event, session)

    def choose(event: RunOptionsChanged, session: Session) -> Updates:
        if event.project_id is not None:
            studio.set_run_options(event.project_id, event.run_options)
        return page.refresh(event, session)

    page.on(page.runs.segment_pressed, segment, SegmentPressed)
    page.on(page.runs.run_options_changed, choose, RunOptionsChanged)
    page.on(page.runs.job_cancelled, cancel, JobCancelled)
    page.on(page.runs.threshold_changed, change_threshold, ThresholdChanged)
    page.on(page.runs.polled, page.refresh, Place)
