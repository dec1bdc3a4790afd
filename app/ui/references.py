"""Examples: look at them, switch them on and off, compare them with each other."""

from __future__ import annotations

from app.project import InvalidInput
from app.ui.annotate import UploadedFile
from app.ui.page import Page, Place, Session, Updates
from app.ui.runs import JobCancelled
from app.ui.uploads import uploaded_file


class ExampleSwitched(Place):
    """The mark ``prompt_id`` on the image ``on_image`` is to be used, or no longer."""

    on_image: int
    prompt_id: str
    is_used: bool


class BankLoaded(Place):
    """Prompt banks were chosen."""

    files: list[UploadedFile]


class ConceptChosen(Place):
    """Something is asked of a concept from a file."""

    concept_id: int


class ConceptSwitched(ConceptChosen):
    """It is to be used, or no longer."""

    is_used: bool


def bind(page: Page) -> None:
    """Connect the references panel."""
    _bind_examples(page)
    _bind_concepts(page)


def _bind_examples(page: Page) -> None:
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


def _bind_concepts(page: Page) -> None:
    banks = page.studio.banks

    def load(event: BankLoaded, session: Session) -> Updates:
        project_id = page.project_of(event, session)
        for file in event.files:
            banks.load(project_id, file.name, uploaded_file(file.path))
        if event.project_id is None:
            return page.open(session, project_id)
        return page.refresh(event, session, canvas=True)

    def switch(event: ConceptSwitched, session: Session) -> Updates:
        banks.set_used(event.concept_id, event.is_used)
        return page.refresh(event, session)

    def remove(event: ConceptChosen, session: Session) -> Updates:
        banks.remove(event.concept_id)
        return page.refresh(event, session)

    page.on(page.references.bank_loaded, load, BankLoaded, uploads=True)
    page.on(page.references.concept_switched, switch, ConceptSwitched)
    page.on(page.references.concept_removed, remove, ConceptChosen)
