"""Projects: which one is open, new ones, other names, the example."""

from __future__ import annotations

import gradio as gr

from app.ui import render
from app.ui.page import Page, Place, Session, Updates


class ProjectRenamed(Place):
    """A new name was typed."""

    name: str


def bind(page: Page) -> None:
    """Connect the header and the welcome card."""
    studio = page.studio

    def create(_: Place, session: Session) -> Updates:
        return page.open(session, studio.create_project().id)

    def open_(event: Place, session: Session) -> Updates:
        return page.open(session, event.project_id)

    def rename(event: ProjectRenamed, session: Session) -> Updates:
        studio.rename_project(str(event.project_id), event.name)
        return page.open(session, event.project_id)

    def delete(event: Place, session: Session) -> Updates:
        project = studio.project(str(event.project_id))
        studio.library.delete_project(project.id)
        updates = page.open(session, None)
        text = f"“{project.name}” is in the trash."
        notice = render.notice(page.look(session), text, deleted_id=project.id)
        return {**updates, page.notices: notice}

    def open_example(_: Place, session: Session) -> Updates:
        return page.open(session, studio.open_example().id)

    def tell_status(_: Place, session: Session) -> Updates:
        # The page asks once it is there: loading the model any earlier would have held it up.
        studio.warm_up()
        return page.tell_status(session)

    page.on(page.projects.status_asked, tell_status, Place)
    page.on(page.projects.project_created, create, Place)
    page.on(page.projects.project_opened, open_, Place)
    page.on(page.projects.project_renamed, rename, ProjectRenamed)
    page.on(page.projects.project_deleted, delete, Place)
    page.on(page.projects.example_opened, open_example, Place)
    page.on(page.welcome.example_opened, open_example, Place)


def open_at_load(page: Page, demo: gr.Blocks) -> None:
    """Open the page at the place named in its address, else where the user was last."""

    def opened(session: Session, request: gr.Request) -> Updates:
        query = dict(request.query_params)
        image = query.get("image", "")
        return page.open(session, query.get("project"), int(image) if image.isdecimal() else None)

    page.bind(demo.load, opened)
