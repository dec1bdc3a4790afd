"""Images and the marks on them: the filmstrip and the canvas."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from app.segmentation import Studio
from app.ui.page import Page, Place, Session, Updates
from app.ui.uploads import uploaded_file

FIRST_CATEGORY = "Object"
"""Made with the first images, so that marking can begin at once; a double click renames it."""


class UploadedFile(BaseModel):
    """A file as the upload route stored it, and the name it had on the user's computer."""

    path: Path
    name: str


class FilesAdded(Place):
    """Files were chosen, dropped or pasted."""

    files: list[UploadedFile]


class RoleChanged(Place):
    """The image ``changed_id`` became, or stopped being, a reference or a target."""

    changed_id: int
    is_reference: bool | None = None
    is_target: bool | None = None


class ImageOpened(Place):
    """The image ``image_id`` was chosen; ``order`` tells which choice was the last."""

    order: int = 0


class ImageReviewed(ImageOpened):
    """The image ``reviewed_id`` was looked at, or is to be again; then ``next_id`` is opened."""

    reviewed_id: int
    reviewed: bool
    next_id: int | None = None


class ImageRemoved(Place):
    """``image_id`` is the open image, ``removed_id`` the one to delete."""

    removed_id: int


def bind(page: Page) -> None:
    """Connect the filmstrip and the canvas."""
    _bind_filmstrip(page)
    _bind_canvas(page)


def _bind_filmstrip(page: Page) -> None:
    studio = page.studio

    def add_files(event: FilesAdded, session: Session) -> Updates:
        project_id = page.project_of(event, session)
        sources = [(file.name, uploaded_file(file.path).read_bytes()) for file in event.files]
        report = studio.add_images(project_id, sources)
        if report.added and not studio.categories(project_id):
            studio.add_category(project_id, FIRST_CATEGORY)
        session.problems += report.problems
        if (session.place or event).image_id is None:
            return page.open(session, project_id, report.added[0].id if report.added else None)
        return page.refresh(event, session)

    def forget_problems(event: Place, session: Session) -> Updates:
        session.problems = []
        return page.refresh(event, session)

    def open_chosen(event: ImageOpened, session: Session, image_id: int | None) -> Updates:
        # Requests may overtake each other; what the user chose last must stay.
        if event.order < session.opening_order:
            return page.refresh(event, session)
        session.opening_order = event.order
        return page.open(session, event.project_id, image_id)

    def open_image(event: ImageOpened, session: Session) -> Updates:
        return open_chosen(event, session, event.image_id)

    def change_role(event: RoleChanged, session: Session) -> Updates:
        studio.set_role(
            event.changed_id, is_reference=event.is_reference, is_target=event.is_target
        )
        return page.refresh(event, session)

    def remove_image(event: ImageRemoved, session: Session) -> Updates:
        studio.remove_image(event.removed_id)
        return page.refresh(event, session)

    def review(event: ImageReviewed, session: Session) -> Updates:
        (studio.review.mark if event.reviewed else studio.review.unmark)(event.reviewed_id)
        # Without a next one the image is opened again, since its history has grown.
        return open_chosen(event, session, event.next_id or event.image_id)

    def tell_all(event: Place, session: Session) -> Updates:
        session.strip.forget()
        return page.refresh(event, session)

    page.on(page.filmstrip.image_reviewed, review, ImageReviewed)
    page.on(page.filmstrip.strip_asked, tell_all, Place)
    page.on(page.filmstrip.files_added, add_files, FilesAdded, uploads=True)
    page.on(page.filmstrip.problems_read, forget_problems, Place)
    page.on(page.filmstrip.image_opened, open_image, ImageOpened)
    page.on(page.filmstrip.role_changed, change_role, RoleChanged)
    page.on(page.filmstrip.image_removed, remove_image, ImageRemoved)


def _bind_canvas(page: Page) -> None:
    studio = page.studio

    def show_counts(event: Place, session: Session) -> Updates:
        return page.refresh(with_project(studio, event), session)

    def open_again(event: Place, session: Session) -> Updates:
        # The canvas may ask for an image from which the filmstrip has gone on.
        place = session.place or with_project(studio, event)
        return page.open(session, place.project_id, place.image_id)

    page.on(page.canvas.prompts_changed, show_counts, Place)
    page.on(page.canvas.document_requested, open_again, Place)


def with_project(studio: Studio, event: Place) -> Place:
    """Complete a place told by the canvas, which does not know the project."""
    if event.project_id is not None or event.image_id is None:
        return event
    return Place(project_id=studio.image(event.image_id).project_id, image_id=event.image_id)
