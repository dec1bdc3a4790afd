"""The statistics over HTTP: the figures of the page, and tables to download."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Response

from app.segmentation import Studio
from app.statistics import Rows
from app.ui.exports import export_file_name


def figure_routes(studio: Studio) -> APIRouter:
    """Create the routes of the statistics."""
    router = APIRouter()

    @router.get("/projects/{project_id}/statistics", include_in_schema=False)
    def figures(project_id: str) -> dict[str, Any]:
        return asdict(studio.statistics.figures(project_id))

    @router.get("/projects/{project_id}/statistics.csv", include_in_schema=False)
    def table(project_id: str, rows: Rows = Rows.CATEGORIES) -> Response:
        name = export_file_name(studio.project(project_id).name, f"{rows.value}.csv")
        disposition = f"attachment; filename*=UTF-8''{quote(name)}"
        return Response(
            studio.statistics.table(project_id, rows),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": disposition, "Cache-Control": "no-store"},
        )

    return router
