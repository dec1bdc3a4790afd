"""Copies of whole projects, row by row, with new ids."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from app.store.database import Database, now

# In the order in which rows refer to each other. What happened to a project is not part of its
# content: jobs stay behind.
_TABLES = (
    *("projects", "runs", "images", "categories", "prompts", "unused_prompts", "example_scores"),
    *("concepts", "instances", "sequences", "frames", "tracks", "track_runs"),
)
_OF_IMAGES = frozenset({"prompts", "unused_prompts", "example_scores", "instances", "frames"})
_OF_SEQUENCES = frozenset({"tracks", "track_runs"})


class ProjectCopies(Database):
    """Copy projects inside the database."""

    def copy_project(self, project_id: str, copy_id: str, columns: Mapping[str, object]) -> None:
        """Write all rows of a project again, as another project with this id and these columns.

        Columns are taken as they are found, and ids are exchanged wherever the schema says that
        they refer to a copied row, so that a new column needs no change here.
        """
        with self.transaction():
            new_ids: dict[str, dict[Any, Any]] = {table: {} for table in _TABLES}
            moment = now()
            for table in _TABLES:
                for row in self._rows_of(table, project_id):
                    values = self._with_new_ids(table, dict(row), new_ids)
                    if table == "projects":
                        fresh = dict.fromkeys(("created_at", "updated_at", "opened_at"), moment)
                        values |= {"id": copy_id, "is_shared": False, **fresh, **columns}
                    if table == "runs":
                        values["prompt_ids"] = "{}"
                    new_id = self._insert(table, values)
                    if "id" in row.keys():  # noqa: SIM118 - a row iterates over its values
                        new_ids[table][row["id"]] = values.get("id", new_id)
            self._mend(project_id, copy_id, new_ids)

    def _rows_of(self, table: str, project_id: str) -> list[Any]:
        where = "id = ?" if table == "projects" else "project_id = ?"
        if table == "concepts":
            where = "category_id IN (SELECT id FROM categories WHERE project_id = ?)"
        if table in _OF_IMAGES:
            where = "image_id IN (SELECT id FROM images WHERE project_id = ?)"
        if table in _OF_SEQUENCES:
            where = "sequence_id IN (SELECT id FROM sequences WHERE project_id = ?)"
        return self._all(f"SELECT * FROM {table} WHERE {where} ORDER BY rowid", (project_id,))

    def _with_new_ids(
        self, table: str, values: dict[str, Any], new_ids: dict[str, dict[Any, Any]]
    ) -> dict[str, Any]:
        for reference in self._all(f"PRAGMA foreign_key_list({table})"):
            column, known = reference["from"], new_ids.get(reference["table"])
            if values[column] is not None:
                # What is not copied cannot be referred to.
                values[column] = known.get(values[column]) if known is not None else None
        if isinstance(values.get("id"), int):  # the others are names that a copy may have, too
            del values["id"]
        return values

    def _insert(self, table: str, values: dict[str, Any]) -> int:
        columns = ", ".join(values)
        places = ", ".join(f":{column}" for column in values)
        cursor = self._connection.execute(
            f"INSERT INTO {table} ({columns}) VALUES ({places})", values
        )
        return cursor.lastrowid or 0

    def _mend(self, project_id: str, copy_id: str, new_ids: dict[str, dict[Any, Any]]) -> None:
        """Exchange the ids that stand where the schema does not say so."""
        last = self._all("SELECT last_image_id FROM projects WHERE id = ?", (project_id,))[0][0]
        self._update("projects", copy_id, {"last_image_id": new_ids["images"].get(last)})
        for row in self._rows_of("runs", project_id):
            prompt_ids = {
                new_ids["categories"][int(key)]: ids
                for key, ids in json.loads(row["prompt_ids"]).items()
                if int(key) in new_ids["categories"]
            }
            new_id = new_ids["runs"][row["id"]]
            self._update("runs", new_id, {"prompt_ids": json.dumps(prompt_ids)})
        for row in self._rows_of("images", project_id):
            accepted = [new_ids["instances"].get(id_) for id_ in json.loads(row["review_accepted"])]
            values = {"review_accepted": json.dumps([id_ for id_ in accepted if id_])}
            self._update("images", new_ids["images"][row["id"]], values)
