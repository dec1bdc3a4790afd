"""Rows of background jobs."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Sequence
from typing import Any

from app.project import JobState, JobView, Lane, NotFound
from app.rows import to_job
from app.store.database import Database, now

_ENDED = "ended_at IS NOT NULL AND project_id IN (SELECT value FROM json_each(?))"


class JobRows(Database):
    """Read and write jobs."""

    def add_job(
        self,
        project_id: str,
        kind: str,
        parameters: str,
        *,
        title: str,
        total: int = 0,
        lane: Lane = Lane.BATCH,
    ) -> str:
        """Note a job that waits for its turn; ``parameters`` are JSON."""
        job_id = uuid.uuid4().hex
        self._write(
            "INSERT INTO jobs (id, project_id, created_at, state, kind, parameters, title, total,"
            " lane) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (job_id, project_id, now(), JobState.QUEUED, kind, parameters, title, total, lane),
        )
        return job_id

    def job(self, job_id: str) -> JobView:
        """Return one job."""
        return to_job(self._one("SELECT * FROM jobs WHERE id = ?", (job_id,), "This job"))

    def job_parameters(self, job_id: str) -> dict[str, Any]:
        """Return what a job was asked."""
        row = self._one("SELECT parameters FROM jobs WHERE id = ?", (job_id,), "This job")
        parameters: dict[str, Any] = json.loads(row["parameters"])
        return parameters

    def jobs(self, project_id: str) -> list[JobView]:
        """List the jobs of one project, oldest first."""
        query = "SELECT * FROM jobs WHERE project_id = ? ORDER BY rowid"
        return [to_job(row) for row in self._all(query, (project_id,))]

    def active_jobs(self) -> list[JobView]:
        """List the jobs of all projects that run or wait: those that run first, oldest first."""
        query = (
            "SELECT * FROM jobs WHERE state IN ('queued', 'running')"
            " ORDER BY state = 'queued', rowid"
        )
        return [to_job(row) for row in self._all(query)]

    def ended_jobs(self, project_ids: Sequence[str], count: int) -> list[JobView]:
        """List the jobs of projects that ended last and were not put away, the last first."""
        query = f"SELECT * FROM jobs WHERE {_ENDED} AND NOT is_put_away ORDER BY ended_at DESC"
        rows = self._all(f"{query} LIMIT ?", (json.dumps(project_ids), count))
        return [to_job(row) for row in rows]

    def next_job(self, lane: Lane) -> JobView | None:
        """Return the job of a lane that has waited longest, if one waits."""
        query = "SELECT * FROM jobs WHERE state = 'queued' AND lane = ? ORDER BY rowid LIMIT 1"
        return next((to_job(row) for row in self._all(query, (lane,))), None)

    def begin_job(self, job_id: str) -> None:
        """Mark a job as running, from its first item on, and count the attempt."""
        self._write(
            "UPDATE jobs SET state = 'running', attempts = attempts + 1, done = 0, found = 0,"
            " problems = '[]', message = '' WHERE id = ?",
            (job_id,),
        )

    def requeue_job(self, job_id: str, *, attempts: int) -> None:
        """Let a job wait for its turn again, after so many attempts that count."""
        values = {"state": JobState.QUEUED, "attempts": attempts, "ended_at": None, "message": ""}
        self.update_job(job_id, **values, is_put_away=False)

    def end_job(self, job_id: str, state: JobState, message: str) -> None:
        """Note how a job ended, and when."""
        self.update_job(job_id, state=state, message=message, ended_at=now())

    def put_away_jobs(self, project_ids: Sequence[str]) -> None:
        """Leave all jobs that have ended out of the list from now on."""
        self._write(f"UPDATE jobs SET is_put_away = 1 WHERE {_ENDED}", (json.dumps(project_ids),))

    def update_job(self, job_id: str, **values: object) -> None:
        """Set columns of a job; does nothing if its project was deleted meanwhile."""
        with contextlib.suppress(NotFound):
            self._update("jobs", job_id, values)
