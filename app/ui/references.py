"""Examples: look at them, switch them on and off, compare them with each other."""

from __future__ import annotations

from app.project import InvalidInput
from app.ui.page import Page, Place, Session, Updates
from app.ui.runs import JobCancelled


class ExampleSwitched(Place):
    """The mark ``prompt_id`` on the image ``on_image`` is to be used, or no longer."""

    on_image: int
    prompt_id: str
    is_used: bool


def bind(page: Page) -> None:
    """Connect the references panel."""
    references = page.studio.references

    def show(event: Place, session: Session) -> Updates:
        return page.open(session, event.project_id, event.image_id)

    def switch(event: ExampleSwitched, session: Session) -> Updates:
        references.set_used(event.on_image, event.prompt_id, event.is_used)
        return page.refresh(event, session)

    def score(event: Place, session: Session) -> Updates:
        if event.project_id is None:
            raise InvalidInput("Add images first.")
        references.start_scoring(event.project_id)
        return page.refresh(event, session)

    def cancel(event: JobCancelled, session: Session) -> Updates:
        page.studio.cancel(event.job_id)
        return page.refresh(event, session)

    page.on(page.references.job_cancelled, cancel, JobCancelled)
    page.on(page.references.polled, page.refresh, Place)
    page.on(page.references.example_opened, show, Place)
    page.on(page.references.example_switched, switch, ExampleSwitched)
    page.on(page.references.examples_scored, score, Place)
