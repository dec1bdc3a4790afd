"""Rows of runs and of the instances they found."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from app.overview import CountedInstance
from app.project import DRAWN, ImageCounts, InstanceStatus, Run, RunOptions, StoredInstance, Task
from app.rows import from_instance, to_counted, to_instance, to_run
from app.store.database import Database, now

# The scores of refer are shares, so that what was chosen for a category is not meant for them.
_THRESHOLD = (
    "CASE (SELECT task FROM runs WHERE id = i.run_id) WHEN 'refer' THEN :refer ELSE COALESCE("
    "(SELECT score_threshold FROM categories WHERE id = n.category_id), :generic) END"
)
# What is shown, counted and exported is decided here, and on the page while a slider is moved.
_SHOWN = f"(n.status = 'accepted' OR n.status = 'proposed' AND n.score >= {_THRESHOLD})"


class InstanceRows(Database):
    """Read and write runs and instances, and count them."""

    def add_run(
        self,
        project_id: str,
        *,
        checkpoint: str,
        fingerprint: str,
        prompt_ids: Mapping[int, Sequence[str]],
        options: RunOptions | None = None,
        checkpoint_sha256: str = "",
    ) -> int:
        """Note where instances come from, and return the run's id.

        An import has no options and no checkpoint.
        """
        chosen = (options.task, options.in_tiles) if options else (None, False)
        return self._write(
            "INSERT INTO runs (project_id, created_at, checkpoint, fingerprint, prompt_ids,"
            " task, in_tiles, checkpoint_sha256) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(project_id, now(), checkpoint, fingerprint, json.dumps(prompt_ids)),
                *(*chosen, checkpoint_sha256),
            ),
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

    def images_of_other_models(self, project_id: str, fingerprint: str) -> set[int]:
        """Return the targets, not reviewed yet, whose latest run was of another model."""
        query = (
            "SELECT i.id FROM images i JOIN runs r ON r.id = i.run_id WHERE i.project_id = ?"
            " AND i.is_target AND i.reviewed_at IS NULL AND r.task IS NOT NULL"
            " AND r.fingerprint <> ?"
        )
        return {row["id"] for row in self._all(query, (project_id, fingerprint))}

    def replace_proposals(
        self, image_id: int, run_id: int, run_key: str, instances: Iterable[StoredInstance]
    ) -> None:
        """Put new proposals in the place of an image's earlier ones; decided instances stay."""
        with self.transaction():
            self._connection.execute(
                "DELETE FROM instances WHERE image_id = ? AND status = 'proposed'", (image_id,)
            )
            self.add_instances(image_id, run_id, instances)
            self._update("images", image_id, {"run_id": run_id, "run_key": run_key})

    def add_instances(
        self, image_id: int, run_id: int, instances: Iterable[StoredInstance]
    ) -> None:
        """Put instances beside those that an image has; without a run before, it gets this one."""
        with self.transaction():
            for instance in instances:
                self.add_instance(replace(instance, image_id=image_id, run_id=run_id))
            self._connection.execute(
                "UPDATE images SET run_id = COALESCE(run_id, ?), results_rev = results_rev + 1"
                " WHERE id = ?",
                (run_id, image_id),
            )

    def add_instance(self, instance: StoredInstance) -> int:
        """Put an instance beside those that its image has, and return its new id."""
        columns = from_instance(instance)
        marks = ", ".join(f":{column}" for column in columns)
        with self.transaction():
            cursor = self._connection.execute(
                f"INSERT INTO instances ({', '.join(columns)}) VALUES ({marks})", columns
            )
        return cursor.lastrowid or 0

    def update_instance(self, instance: StoredInstance) -> None:
        """Make the row of an instance say what this one says."""
        self._update("instances", instance.id, from_instance(instance))

    def remove_instance(self, instance_id: int) -> None:
        """Remove an instance for good."""
        self._write("DELETE FROM instances WHERE id = ?", (instance_id,))

    def drawn_run(self, project_id: str) -> int:
        """Return the run that hand-drawn instances of a project belong to."""
        query = "SELECT id FROM runs WHERE project_id = ? AND checkpoint = ?"
        rows = self._all(query, (project_id, DRAWN))
        if rows:
            return int(rows[0]["id"])
        return self.add_run(project_id, checkpoint=DRAWN, fingerprint="", prompt_ids={})

    def proposals(
        self,
        project_id: str,
        *,
        image_id: int | None,
        category_id: int | None,
        at_least: float,
        below: float,
    ) -> dict[int, list[int]]:
        """List the ids of a project's proposals with scores in [at_least, below), by image id."""
        query = (
            "SELECT n.image_id, n.id FROM instances n JOIN images i ON i.id = n.image_id"
            " WHERE i.project_id = ? AND n.status = 'proposed' AND n.score >= ? AND n.score < ?"
            " AND (? IS NULL OR n.image_id = ?) AND (? IS NULL OR n.category_id = ?)"
            " ORDER BY n.image_id, n.id"
        )
        values = (project_id, at_least, below, image_id, image_id, category_id, category_id)
        found: dict[int, list[int]] = {}
        for row in self._all(query, values):
            found.setdefault(row["image_id"], []).append(row["id"])
        return found

    def decide(self, ids: Iterable[int], status: InstanceStatus) -> None:
        """Set the status of many instances."""
        with self.transaction():
            self._connection.executemany(
                "UPDATE instances SET status = ? WHERE id = ?", [(status.value, id_) for id_ in ids]
            )

    def instances(self, image_id: int) -> list[StoredInstance]:
        """List the instances of an image, best score first, rejected ones included."""
        query = "SELECT * FROM instances WHERE image_id = ? ORDER BY score DESC, id"
        return [to_instance(row) for row in self._all(query, (image_id,))]

    def instance(self, instance_id: int) -> StoredInstance:
        """Return one instance."""
        query = "SELECT * FROM instances WHERE id = ?"
        return to_instance(self._one(query, (instance_id,), "This instance"))

    def shown_instances(
        self, image_id: int, thresholds: Mapping[Task, float]
    ) -> list[StoredInstance]:
        """List the instances of an image that are shown, best score first."""
        query = (
            "SELECT n.* FROM instances n JOIN images i ON i.id = n.image_id"
            f" WHERE i.id = :image AND {_SHOWN} ORDER BY n.score DESC, n.id"
        )
        values = {"image": image_id} | _named(thresholds)
        return [to_instance(row) for row in self._all(query, values)]

    def counted(self, project_id: str, thresholds: Mapping[Task, float]) -> list[CountedInstance]:
        """List what the statistics count: the instances that are shown, and those rejected."""
        query = (
            "SELECT n.image_id, n.category_id, n.area, n.score, n.status, n.origin,"
            " (SELECT task FROM runs WHERE id = n.run_id) AS task"
            " FROM instances n JOIN images i ON i.id = n.image_id"
            f" WHERE i.project_id = :project AND (n.status = 'rejected' OR {_SHOWN})"
            " ORDER BY i.position, n.id"
        )
        values = {"project": project_id} | _named(thresholds)
        return [to_counted(row) for row in self._all(query, values)]

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
            SELECT i.id, i.run_id, i.results_rev, i.reviewed_at,
                COUNT(CASE WHEN {_SHOWN} THEN 1 END) AS shown,
                COUNT(CASE WHEN n.status = 'accepted' THEN 1 END) AS accepted,
                GROUP_CONCAT(DISTINCT CASE WHEN {_SHOWN} THEN n.category_id END) AS categories,
                TOTAL(CASE WHEN n.status = 'proposed' THEN uncertainty(n.score, {_THRESHOLD}) END)
                    AS uncertainty,
                COUNT(CASE WHEN n.status = 'rejected' THEN 1 END) AS rejected,
                COUNT(n.id) AS kept
            FROM images i LEFT JOIN instances n ON n.image_id = i.id
            WHERE i.project_id = :project GROUP BY i.id ORDER BY i.position
        """
        marked = self._marked(project_id)
        return {
            row["id"]: ImageCounts(
                image_id=row["id"],
                prompts=sum(marked.get(row["id"], {}).values()),
                run_id=row["run_id"],
                is_segmented=row["run_id"] is not None,
                shown=row["shown"],
                hidden=row["kept"] - row["shown"] - row["rejected"],
                accepted=row["accepted"],
                rejected=row["rejected"],
                results_rev=row["results_rev"],
                is_marked_reviewed=row["reviewed_at"] is not None,
                uncertainty=round(row["uncertainty"], 3),
                category_ids=frozenset(
                    {int(one) for one in (row["categories"] or "").split(",") if one}
                    | marked.get(row["id"], {}).keys()
                ),
            )
            for row in self._all(query, {"project": project_id} | _named(thresholds))
        }

    def _marked(self, project_id: str) -> dict[int, dict[int, int]]:
        """Count the prompts of each image by category."""
        query = (
            "SELECT p.image_id, p.category_id, COUNT(*) AS prompts FROM prompts p"
            " JOIN images i ON i.id = p.image_id WHERE i.project_id = ?"
            " GROUP BY p.image_id, p.category_id"
        )
        marked: dict[int, dict[int, int]] = {}
        for row in self._all(query, (project_id,)):
            marked.setdefault(row["image_id"], {})[row["category_id"]] = row["prompts"]
        return marked


def _named(thresholds: Mapping[Task, float]) -> dict[str, Any]:
    return {task.value: threshold for task, threshold in thresholds.items()}
