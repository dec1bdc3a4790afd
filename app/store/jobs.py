"""Rows of background jobs."""

from __future__ import annotations

import contextlib
import uuid

from app.project import JobState, JobView, NotFound
from app.rows import to_job
from app.store.database import Database, now


class JobRows(Database):
    """Read and write jobs."""

    def add_job(self, project_id: str, total: int) -> str:
        """Note a job that waits for its turn."""
        job_id = uuid.uuid4().hex
        self._write(
            "INSERT INTO jobs (id, project_id, created_at, state, total) VALUES (?, ?, ?, ?, ?)",
            (job_id, project_id, now(), JobState.QUEUED.value, total),
        )
        return job_id

    def job(self, job_id: str) -> JobView:
        """Return one job."""
        return to_job(self._one("SELECT * FROM jobs WHERE id = ?", (job_id,), "This job"))

    def jobs(self, project_id: str | None = None) -> list[JobView]:
        """List the jobs of one project, or of all, oldest first."""
        where = "" if project_id is None else " WHERE project_id = ?"
        values = () if project_id is None else (project_id,)
        return [
            to_job(row) for row in self._all(f"SELECT * FROM jobs{where} ORDER BY rowid", values)
        ]

    def update_job(self, job_id: str, **values: object) -> None:
        """Set columns of a job; does nothing if its project was deleted meanwhile."""
        with contextlib.suppress(NotFound):
            self._update("jobs", job_id, values)
