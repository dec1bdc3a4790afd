"""The annotations as a file: the download of the page and of other programs."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse
from gradio.utils import get_upload_folder
from starlette.background import BackgroundTask

from app.project import Task
from app.segmentation import Studio

Threshold = Annotated[float | None, Query(ge=0, le=1)]


def export_file_name(project_name: str, ending: str = "coco.json") -> str:
    """Make a file name out of a project's name, in any script."""
    stem = re.sub(r"[^\w.-]+", "-", project_name).strip("-.") or "project"
    return f"{stem[:80]}.{ending}"


def export_folder() -> Path:
    """Make a folder for one export, of those that Gradio serves and clears once they are old."""
    parent = Path(get_upload_folder())
    parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=parent))


def export_routes(studio: Studio) -> APIRouter:
    """Create the routes of the COCO download and of the export in any format."""
    router = APIRouter()

    @router.get("/projects/{project_id}/coco.json", include_in_schema=False)
    def coco(
        project_id: str, score_threshold: Threshold = None, task: Task | None = None
    ) -> FileResponse:
        name = export_file_name(studio.project(project_id).name)
        folder = Path(tempfile.mkdtemp(prefix="dinov-export-"))
        discard = BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
        try:
            report = studio.export_coco(
                project_id, folder / name, score_threshold=_by_task(score_threshold, task)
            )
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return FileResponse(
            report.path, media_type="application/json", filename=name, background=discard
        )

    @router.get("/projects/{project_id}/exports/{job_id}", include_in_schema=False)
    def exported(project_id: str, job_id: str) -> FileResponse:
        studio.project(project_id)
        path = studio.transfers.exported_file(job_id)
        return FileResponse(path, filename=path.name, headers={"Cache-Control": "no-store"})

    @router.post("/projects/{project_id}/banks", include_in_schema=False)
    def bank(project_id: str, category_id: int | None = None) -> dict[str, Any]:
        name = studio.project(project_id).name
        chosen = None
        if category_id is not None:
            chosen = [category_id]
            names = {c.id: c.name for c in studio.categories(project_id)}
            name = names.get(category_id, name)
        file_name = export_file_name(name, "safetensors")
        path = studio.banks.save(project_id, export_folder() / file_name, chosen)
        return {"url": f"gradio_api/file={quote(str(path))}", "name": file_name}

    return router


def _by_task(score_threshold: float | None, task: Task | None) -> float | dict[Task, float] | None:
    """The slider of the page stands for the results of one task."""
    if score_threshold is None or task is None:
        return score_threshold
    return {task: score_threshold}
