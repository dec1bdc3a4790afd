"""Import of other tools' files, and what the page shows of it. The export is a route."""

from __future__ import annotations

from app.importing import ImportedAs
from app.ui import render
from app.ui.annotate import UploadedFile
from app.ui.page import Page, Place, Session, Updates
from app.ui.uploads import uploaded_file


class FilesImported(Place):
    """A data set was chosen: an archive, or files that belong together."""

    files: list[UploadedFile]
    as_: ImportedAs


def bind(page: Page) -> None:
    """Connect the import dialog."""
    studio = page.studio

    def import_files(event: FilesImported, session: Session) -> Updates:
        sources = [(file.name, uploaded_file(file.path)) for file in event.files]
        project_id = page.project_of(event, session)
        report = studio.import_files(project_id, sources, event.as_)
        # Marks may have changed on the open image, too: it is opened anew.
        image_id = (session.place or event).image_id
        updates = page.open(session, project_id, image_id)
        return {**updates, page.exchange: render.exchange(page.look(session), report)}

    page.on(page.exchange.files_imported, import_files, FilesImported, uploads=True)
