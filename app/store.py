"""The database: every row the application keeps, as the values of ``project``.

One connection, shared by all threads behind a lock: reads take well under a millisecond, so threads
gain nothing from more. WAL mode lets other programs read the file meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.migrations import MIGRATIONS
from app.project import (
    ImageCounts,
    InstanceStatus,
    InvalidInput,
    JobState,
    JobView,
    NotFound,
    Project,
    ProjectImage,
    Run,
    RunOptions,
    ServerError,
    StoredInstance,
    StoredPrompt,
    Task,
)
from app.rows import (
    from_instance,
    to_category,
    to_image,
    to_instance,
    to_job,
    to_project,
    to_prompt,
    to_run,
)
from dinov.types import Category

_SHOWN = (
    "(n.status = 'accepted' OR n.status = 'proposed' AND n.score >="
    " CASE (SELECT task FROM runs WHERE id = i.run_id) WHEN 'refer' THEN :refer ELSE :generic END)"
)


class Store:
    """Read and write the rows of one database file. Methods that look up an id raise NotFound."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        try:
            self._connection = _connect(path)
        except sqlite3.DatabaseError as error:
            raise ServerError(
                f"{path} cannot be used ({error}). Restore it from a backup, or choose another "
                "folder with --data-dir."
            ) from error

    def close(self) -> None:
        """Close the file. The store cannot be used afterwards."""
        with self._lock:
            self._connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside become visible together, or not at all. May be nested in a thread."""
        with self._lock:
            if self._depth == 0:
                self._connection.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                if self._depth == 1:
                    self._connection.execute("ROLLBACK")
                raise
            else:
                if self._depth == 1:
                    self._connection.execute("COMMIT")
            finally:
                self._depth -= 1

    # Projects

    def add_project(self, name: str) -> Project:
        """Create an empty project under a name that is still free."""
        project_id, now = uuid.uuid4().hex, _now()
        self._write(
            "INSERT INTO projects (id, name, created_at, updated_at, opened_at)"
            " VALUES (?, ?, ?, ?, ?)",
            (project_id, name, now, now, now),
        )
        return self.project(project_id)

    def projects(self) -> list[Project]:
        """List all projects, the one opened last first."""
        query = "SELECT * FROM projects ORDER BY opened_at DESC"
        return [to_project(row) for row in self._all(query)]

    def project(self, project_id: str) -> Project:
        """Return one project."""
        return to_project(
            self._one("SELECT * FROM projects WHERE id = ?", (project_id,), "This project")
        )

    def has_score_threshold(self, project_id: str) -> bool:
        """Whether a threshold for generic was chosen, by the annotator or by the first run."""
        row = self._one("SELECT score_threshold FROM projects WHERE id = ?", (project_id,), "It")
        return row[0] is not None

    def update_project(self, project_id: str, **values: object) -> None:
        """Set columns of a project."""
        self._update("projects", project_id, values | {"updated_at": _now()})

    def mark_opened(self, project_id: str) -> None:
        """Remember it as the project opened last."""
        self._update("projects", project_id, {"opened_at": _now()})

    def remove_project(self, project_id: str) -> None:
        """Remove a project with everything in it."""
        self._write("DELETE FROM projects WHERE id = ?", (project_id,))

    # Images

    def add_image(
        self,
        project_id: str,
        *,
        file_name: str,
        suffix: str,
        sha256: str,
        width: int,
        height: int,
    ) -> ProjectImage:
        """Append an image to a project.

        Raises:
            InvalidInput: if the project has an image of the same content.
        """
        try:
            image_id = self._write(
                "INSERT INTO images"
                " (project_id, position, file_name, suffix, sha256, width, height)"
                " VALUES (?1, (SELECT COALESCE(MAX(position), 0) + 1 FROM images"
                " WHERE project_id = ?1), ?2, ?3, ?4, ?5, ?6)",
                (project_id, file_name, suffix, sha256, width, height),
            )
        except sqlite3.IntegrityError as error:
            raise InvalidInput(f"{file_name} is already in this project.") from error
        return self.image(image_id)

    def images(self, project_id: str) -> list[ProjectImage]:
        """List the images of a project in the order they were added."""
        query = "SELECT * FROM images WHERE project_id = ? ORDER BY position"
        return [to_image(row) for row in self._all(query, (project_id,))]

    def image(self, image_id: int) -> ProjectImage:
        """Return one image."""
        return to_image(self._one("SELECT * FROM images WHERE id = ?", (image_id,), "This image"))

    def find_image(self, project_id: str, sha256: str) -> ProjectImage | None:
        """Return the image of this content in a project, if there is one."""
        query = "SELECT * FROM images WHERE project_id = ? AND sha256 = ?"
        return next((to_image(row) for row in self._all(query, (project_id, sha256))), None)

    def update_image(self, image_id: int, **values: object) -> None:
        """Set columns of an image."""
        self._update("images", image_id, values)

    def remove_image(self, image_id: int) -> None:
        """Remove an image with its prompts and results."""
        self._write("DELETE FROM images WHERE id = ?", (image_id,))

    # Categories

    def add_category(self, project_id: str, new: Category) -> Category:
        """Append a category to a project; it gets an id of its own."""
        category_id = self._write(
            "INSERT INTO categories (project_id, name, color, supercategory, is_thing)"
            " VALUES (?, ?, ?, ?, ?)",
            (project_id, new.name, new.color, new.supercategory, new.is_thing),
        )
        return self.category(category_id)[1]

    def categories(self, project_id: str) -> list[Category]:
        """List the categories of a project in the order they were added."""
        query = "SELECT * FROM categories WHERE project_id = ? ORDER BY id"
        return [to_category(row) for row in self._all(query, (project_id,))]

    def category(self, category_id: int) -> tuple[str, Category]:
        """Return the id of a category's project, and the category."""
        row = self._one("SELECT * FROM categories WHERE id = ?", (category_id,), "This category")
        return row["project_id"], to_category(row)

    def update_category(self, category_id: int, **values: object) -> None:
        """Set columns of a category."""
        self._update("categories", category_id, values)

    def remove_category(self, category_id: int) -> None:
        """Remove a category with its prompts and instances."""
        self._write("DELETE FROM categories WHERE id = ?", (category_id,))

    # Prompts

    def prompts(self, image_id: int) -> list[StoredPrompt]:
        """List the prompts of an image in the order they were drawn."""
        query = "SELECT * FROM prompts WHERE image_id = ? ORDER BY position"
        return [to_prompt(row) for row in self._all(query, (image_id,))]

    def project_prompts(self, project_id: str) -> list[StoredPrompt]:
        """List all prompts of a project, image by image."""
        query = (
            "SELECT p.* FROM prompts p JOIN images i ON i.id = p.image_id"
            " WHERE i.project_id = ? ORDER BY i.position, p.position"
        )
        return [to_prompt(row) for row in self._all(query, (project_id,))]

    def replace_prompts(self, image_id: int, prompts: Sequence[StoredPrompt], rev: int) -> None:
        """Make these the prompts of an image, under a new revision."""
        rows = [
            (
                image_id,
                stored.id,
                position,
                stored.prompt.category_id,
                stored.prompt.type.value,
                json.dumps(stored.prompt.points),
                stored.prompt.width,
                json.dumps(stored.prompt.rle) if stored.prompt.rle else None,
                stored.prompt.positive,
            )
            for position, stored in enumerate(prompts)
        ]
        with self.transaction():
            self._connection.execute("DELETE FROM prompts WHERE image_id = ?", (image_id,))
            self._connection.executemany("INSERT INTO prompts VALUES (?,?,?,?,?,?,?,?,?)", rows)
            self.update_image(image_id, prompts_rev=rev)

    # Runs and instances

    def add_run(
        self,
        project_id: str,
        *,
        checkpoint: str,
        fingerprint: str,
        prompt_ids: Mapping[int, Sequence[str]],
        options: RunOptions | None = None,
    ) -> int:
        """Note where instances come from, and return the run's id; an import has no options."""
        chosen = (options.task, options.in_tiles) if options else (None, False)
        return self._write(
            "INSERT INTO runs (project_id, created_at, checkpoint, fingerprint, prompt_ids,"
            " task, in_tiles) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (project_id, _now(), checkpoint, fingerprint, json.dumps(prompt_ids), *chosen),
        )

    def run(self, run_id: int) -> Run:
        """Return one run."""
        return to_run(self._one("SELECT * FROM runs WHERE id = ?", (run_id,), "This run"))

    def runs(self, project_id: str) -> list[Run]:
        """List the runs that the present results of a project come from."""
        query = (
            "SELECT * FROM runs WHERE id IN (SELECT run_id FROM images WHERE project_id = ?1"
            " UNION SELECT n.run_id FROM instances n JOIN images i ON i.id = n.image_id"
            " WHERE i.project_id = ?1) ORDER BY id"
        )
        return [to_run(row) for row in self._all(query, (project_id,))]

    def latest_run(self, image_id: int) -> tuple[int | None, str | None]:
        """Return the id of an image's latest run and the key of what it was asked."""
        row = self._one("SELECT * FROM images WHERE id = ?", (image_id,), "This image")
        return row["run_id"], row["run_key"]

    def replace_proposals(
        self, image_id: int, run_id: int, run_key: str, instances: Iterable[StoredInstance]
    ) -> None:
        """Put new proposals in the place of an image's earlier ones; decided instances stay."""
        with self.transaction():
            self._connection.execute(
                "DELETE FROM instances WHERE image_id = ? AND status = 'proposed'", (image_id,)
            )
            self.add_instances(image_id, run_id, instances)
            self.update_image(image_id, run_id=run_id, run_key=run_key)

    def add_instances(
        self, image_id: int, run_id: int, instances: Iterable[StoredInstance]
    ) -> None:
        """Put instances beside those that an image has; without a run before, it gets this one."""
        rows = [from_instance(image_id, run_id, instance) for instance in instances]
        with self.transaction():
            self._connection.executemany(
                "INSERT INTO instances (image_id, category_id, run_id, size, counts,"
                " display_counts, box_xyxy, area, score, status) VALUES (?,?,?,?,?,?,?,?,?,?)",
                rows,
            )
            self._connection.execute(
                "UPDATE images SET run_id = COALESCE(run_id, ?), results_rev = results_rev + 1"
                " WHERE id = ?",
                (run_id, image_id),
            )

    def instances(self, image_id: int) -> list[StoredInstance]:
        """List the instances of an image, best score first, rejected ones included."""
        query = "SELECT * FROM instances WHERE image_id = ? ORDER BY score DESC, id"
        return [to_instance(row) for row in self._all(query, (image_id,))]

    def instance(self, instance_id: int) -> StoredInstance:
        """Return one instance."""
        query = "SELECT * FROM instances WHERE id = ?"
        return to_instance(self._one(query, (instance_id,), "This instance"))

    def set_status(self, instance_id: int, status: InstanceStatus) -> None:
        """Set what the annotator decided about an instance."""
        with self.transaction():
            image_id = self.instance(instance_id).image_id
            self._update("instances", instance_id, {"status": status.value})
            self._connection.execute(
                "UPDATE images SET results_rev = results_rev + 1 WHERE id = ?", (image_id,)
            )

    def count_shown(self, image_id: int, thresholds: Mapping[Task, float]) -> int:
        """Count the instances of an image that are shown at the threshold of its task."""
        query = (
            "SELECT COUNT(*) FROM instances n JOIN images i ON i.id = n.image_id"
            f" WHERE i.id = :image AND {_SHOWN}"
        )
        return int(self._all(query, {"image": image_id} | _named(thresholds))[0][0])

    def counts(self, project_id: str, thresholds: Mapping[Task, float]) -> dict[int, ImageCounts]:
        """Count prompts and instances of each image, at the threshold of its task."""
        query = f"""
            SELECT i.id, i.run_id, i.results_rev,
                (SELECT COUNT(*) FROM prompts p WHERE p.image_id = i.id) AS prompts,
                COUNT(CASE WHEN {_SHOWN} THEN 1 END) AS shown,
                COUNT(CASE WHEN n.status = 'rejected' THEN 1 END) AS rejected,
                COUNT(n.id) AS kept
            FROM images i LEFT JOIN instances n ON n.image_id = i.id
            WHERE i.project_id = :project GROUP BY i.id ORDER BY i.position
        """
        return {
            row["id"]: ImageCounts(
                image_id=row["id"],
                prompts=row["prompts"],
                run_id=row["run_id"],
                is_segmented=row["run_id"] is not None,
                shown=row["shown"],
                hidden=row["kept"] - row["shown"] - row["rejected"],
                rejected=row["rejected"],
                results_rev=row["results_rev"],
            )
            for row in self._all(query, {"project": project_id} | _named(thresholds))
        }

    # Jobs

    def add_job(self, project_id: str, total: int) -> str:
        """Note a job that waits for its turn."""
        job_id = uuid.uuid4().hex
        self._write(
            "INSERT INTO jobs (id, project_id, created_at, state, total) VALUES (?, ?, ?, ?, ?)",
            (job_id, project_id, _now(), JobState.QUEUED.value, total),
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

    # The connection underneath

    def _all(self, query: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[sqlite3.Row]:
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def _one(self, query: str, values: Sequence[Any], what: str) -> sqlite3.Row:
        rows = self._all(query, values)
        if not rows:
            raise NotFound(f"{what} does not exist any more. Reload the page.")
        return rows[0]

    def _write(self, query: str, values: Sequence[Any]) -> int:
        with self.transaction():
            return self._connection.execute(query, values).lastrowid or 0

    def _update(self, table: str, row_id: int | str, values: Mapping[str, object]) -> None:
        assignments = ", ".join(f"{column} = :{column}" for column in values)
        with self.transaction():
            cursor = self._connection.execute(
                f"UPDATE {table} SET {assignments} WHERE id = :row_id", {**values, "row_id": row_id}
            )
            if cursor.rowcount == 0:
                raise NotFound("This does not exist any more. Reload the page.")


def _named(thresholds: Mapping[Task, float]) -> dict[str, Any]:
    return {task.value: threshold for task, threshold in thresholds.items()}


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _connect(path: Path) -> sqlite3.Connection:
    # Transactions are written out; sqlite3's own implicit ones would hide where they end.
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
    try:
        connection.row_factory = sqlite3.Row
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")
        _migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise ServerError(
            "This data folder was written by a newer version of DINOv Studio. "
            "Update the program, or choose another folder with --data-dir."
        )
    for step, script in enumerate(MIGRATIONS[version:], start=version + 1):
        connection.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {step}; COMMIT")
