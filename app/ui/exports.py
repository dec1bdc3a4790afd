"""The annotations as a file: the download of the page and of other programs."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from app.segmentation import Studio


def export_file_name(project_name: str) -> str:
    """Make a file name out of a project's name, in any script."""
    stem = re.sub(r"[^\w.-]+", "-", project_name).strip("-.") or "project"
    return f"{stem[:80]}.coco.json"


def export_routes(studio: Studio) -> APIRouter:
    """Create the route of the COCO download."""
    router = APIRouter()

    @router.get("/projects/{project_id}/coco.json", include_in_schema=False)
    def coco(
        project_id: str, score_threshold: Annotated[float | None, Query(ge=0, le=1)] = None
    ) -> FileResponse:
        name = export_file_name(studio.project(project_id).name)
        folder = Path(tempfile.mkdtemp(prefix="dinov-export-"))
        discard = BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
        try:
            report = studio.export_coco(project_id, folder / name, score_threshold=score_threshold)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return FileResponse(
            report.path, media_type="application/json", filename=name, background=discard
        )

    return router
