"""The statistics over HTTP: the figures of the page, tables to download, and the time spent."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from app.segmentation import Studio
from app.statistics import Rows
from app.ui.exports import export_file_name


class TimeReport(BaseModel):
    """The seconds in which somebody worked on images, since the page's last report."""

    browser: str = Field(max_length=64)
    image_ids: list[int] = Field(max_length=1000)
    seconds: list[float] = Field(max_length=1000)


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

    @router.post("/time-spent", include_in_schema=False, status_code=204)
    def time_spent(report: TimeReport) -> None:
        studio.time_spent.add(report.image_ids, report.seconds, report.browser)

    return router
