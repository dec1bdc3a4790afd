"""Import of other tools' files, and export to them: jobs, whose report the page shows."""

from __future__ import annotations

from pathlib import PurePath

from app.importing import ImportedAs
from app.project import Task
from app.ui import render
from app.ui.annotate import UploadedFile
from app.ui.exports import export_file_name
from app.ui.page import Page, Place, Session, Updates
from app.ui.uploads import uploaded_file


class FilesImported(Place):
    """A data set was chosen: an archive, or files that belong together.

    ``into_new``: it becomes a project of its own, called like the first file.
    """

    files: list[UploadedFile]
    as_: ImportedAs
    into_new: bool = False


class ExportAsked(Place):
    """A file of the project is wanted; the score threshold is that of the slider, for its task."""

    format: str
    with_images: bool = False
    with_results: bool = False
    score_threshold: float | None = None
    task: Task | None = None


def bind(page: Page) -> None:
    """Connect the dialogs of import and export."""
    studio = page.studio

    def answer(updates: Updates, session: Session, job_id: str) -> Updates:
        exchange = render.exchange(page.look(session), job_id)
        return {**updates, **page.tell_status(session), page.exchange: exchange}

    def import_files(event: FilesImported, session: Session) -> Updates:
        sources = [(file.name, uploaded_file(file.path)) for file in event.files]
        if event.into_new:
            project_id = studio.create_project(PurePath(event.files[0].name).stem or "Import").id
        else:
            project_id = page.project_of(event, session)
        job_id = studio.transfers.start_import(
            project_id, sources, event.as_, into_new=event.into_new
        )
        updates = page.open(session, project_id) if event.into_new else {}
        return answer(updates, session, job_id)

    def export(event: ExportAsked, session: Session) -> Updates:
        project = studio.project(str(event.project_id))
        is_file = event.format == "coco" and not (event.with_images or event.with_results)
        name = export_file_name(project.name, "coco.json" if is_file else f"{event.format}.zip")
        thresholds = {}
        if event.score_threshold is not None and event.task is not None:
            thresholds[event.task] = event.score_threshold
        job_id = studio.transfers.start_export(
            project.id,
            event.format,
            name,
            score_threshold=thresholds,
            with_images=event.with_images,
            with_results=event.with_results,
        )
        return answer({}, session, job_id)

    def import_ended(event: Place, session: Session) -> Updates:
        place = session.place or event
        if place.project_id is not None and studio.transfers.discard_empty(place.project_id):
            return page.open(session, None)
        # Marks may have changed on the open image, too: it is opened anew.
        return page.open(session, place.project_id, place.image_id)

    page.on(page.exchange.files_imported, import_files, FilesImported, uploads=True)
    page.on(page.exchange.export_asked, export, ExportAsked)
    page.on(page.exchange.import_ended, import_ended, Place)
