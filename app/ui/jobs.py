"""Background work in the header: follow it, cancel it, go on with it."""

from __future__ import annotations

from app.transfers import IMPORT
from app.ui.page import Page, Place, Session, Updates
from app.ui.runs import JobCancelled


def bind(page: Page) -> None:
    """Connect the list of jobs."""
    jobs = page.studio.jobs

    def poll(event: Place, session: Session) -> Updates:
        place = session.place or event
        # Images of an import appear as they come.
        if place.project_id is not None:
            job = jobs.latest(place.project_id, IMPORT)
            if job and job.state.is_active:
                return page.refresh(event, session)
        return page.tell_status(session)

    def cancel(event: JobCancelled, session: Session) -> Updates:
        jobs.cancel(event.job_id)
        return page.refresh(event, session)

    def go_on(event: JobCancelled, session: Session) -> Updates:
        jobs.go_on(event.job_id)
        return page.refresh(event, session)

    def put_away(_: Place, session: Session) -> Updates:
        jobs.put_away([project.id for project in page.studio.projects()])
        return page.tell_status(session)

    page.on(page.projects.jobs_polled, poll, Place)
    page.on(page.projects.job_cancelled, cancel, JobCancelled)
    page.on(page.projects.job_resumed, go_on, JobCancelled)
    page.on(page.projects.jobs_put_away, put_away, Place)
