"""The view of all projects: open, name, copy, delete, restore."""

from __future__ import annotations

from collections.abc import Callable

from app.ui import render
from app.ui.page import Page, Place, Session, Updates
from app.ui.projects import ProjectRenamed


def bind(page: Page) -> None:
    """Connect the view, and the way back from a deletion."""
    _bind_openers(page)
    _bind_changes(page)


def _drawn(page: Page, session: Session, *, opened: bool = False) -> Updates:
    library = page.studio.library
    view = render.library(page.look(session), library.summaries(), library.trash(), opened=opened)
    return {page.library: view}


def _bind_openers(page: Page) -> None:
    studio = page.studio

    def opener(find: Callable[[Place], str]) -> Callable[[Place, Session], Updates]:
        def open_(event: Place, session: Session) -> Updates:
            updates = page.open(session, find(event))
            return {**updates, **_drawn(page, session, opened=True)}

        return open_

    page.on(page.library.project_opened, opener(lambda event: str(event.project_id)), Place)
    page.on(page.library.project_created, opener(lambda _: studio.create_project().id), Place)
    page.on(page.library.example_opened, opener(lambda _: studio.open_example().id), Place)


def _bind_changes(page: Page) -> None:
    studio = page.studio

    def changed(session: Session) -> Updates:
        """Draw the view, and the page below it, which may show what was changed."""
        return {**page.refresh(Place(), session), **_drawn(page, session)}

    def ask(_: Place, session: Session) -> Updates:
        return _drawn(page, session)

    def rename(event: ProjectRenamed, session: Session) -> Updates:
        studio.rename_project(str(event.project_id), event.name)
        return changed(session)

    def duplicate(event: Place, session: Session) -> Updates:
        studio.library.duplicate(str(event.project_id))
        return page.tell_status(session)

    def delete(event: Place, session: Session) -> Updates:
        studio.library.delete_project(str(event.project_id))
        return changed(session)

    def restore(event: Place, session: Session) -> Updates:
        studio.library.restore(str(event.project_id))
        return changed(session)

    def reopen(event: Place, session: Session) -> Updates:
        return page.open(session, studio.library.restore(str(event.project_id)).id)

    def empty_trash(_: Place, session: Session) -> Updates:
        studio.library.empty_trash()
        return _drawn(page, session)

    page.on(page.library.library_asked, ask, Place)
    page.on(page.library.project_renamed, rename, ProjectRenamed)
    page.on(page.library.project_duplicated, duplicate, Place)
    page.on(page.library.project_deleted, delete, Place)
    page.on(page.library.project_restored, restore, Place)
    page.on(page.library.trash_emptied, empty_trash, Place)
    page.on(page.notices.project_restored, reopen, Place)
