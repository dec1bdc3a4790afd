"""Rows of the history: what each step changed on an image, before and after.

A change is {table: {key: columns}}. Of a row that was only altered it holds the columns that
differ; of one that came or went all of them, and None where there was no row. That an image was
reviewed is a change of its own row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.store.database import Database, now

Columns = dict[str, Any]
Change = dict[str, dict[str, Columns | None]]

# What an edit can change and an undo brings back. The revision of an instance only ever grows.
_TRACKED: Mapping[str, tuple[str, ...]] = {
    "prompts": ("position", "category_id", "type", "points", "width", "rle", "positive"),
    "instances": (
        *("category_id", "run_id", "size", "counts", "display_counts", "box_xyxy", "area"),
        *("score", "status", "origin", "z_order"),
    ),
    "images": ("reviewed_at", "review_accepted"),
}


@dataclass(frozen=True)
class Edit:
    """One step of an image's history; those of one bulk decision share ``bulk_id``."""

    id: int
    image_id: int
    title: str
    before: Change
    after: Change
    merge_key: str | None = None
    bulk_id: str | None = None
    is_undone: bool = False


class EditRows(Database):
    """Read and write the history, and the rows it speaks of."""

    def tracked_rows(self, image_id: int, table: str) -> dict[str, Columns]:
        """Read what edits can change of an image's rows in a table, by their ids."""
        columns = _TRACKED[table]
        query = f"SELECT id, {', '.join(columns)} FROM {table} WHERE {_image_of(table)} = ?"
        found = self._all(query, (image_id,))
        return {str(row["id"]): dict(zip(columns, tuple(row)[1:], strict=True)) for row in found}

    def apply_change(self, image_id: int, old: Change, new: Change) -> None:
        """Go from one side of a change to the other; the rows must be as the old side says."""
        with self.transaction():
            for table, rows in new.items():
                for key, columns in rows.items():
                    exists = old[table][key] is not None
                    self._apply_row(table, image_id, key, columns, exists=exists)

    def _apply_row(
        self, table: str, image_id: int, key: str, columns: Columns | None, *, exists: bool
    ) -> None:
        place = {"key_": key, "image_": image_id}
        names, image = list(columns or {}), _image_of(table)
        if columns is None:
            query = f"DELETE FROM {table} WHERE id = :key_ AND {image} = :image_"
        elif exists:
            changed = ", ".join(f"{name} = :{name}" for name in names)
            query = f"UPDATE {table} SET {changed} WHERE id = :key_ AND {image} = :image_"
        else:
            values = ", ".join(f":{name}" for name in names)
            query = (
                f"INSERT INTO {table} (id, {image}, {', '.join(names)})"
                f" VALUES (:key_, :image_, {values})"
            )
        self._connection.execute(query, place | (columns or {}))

    def note_change(self, image_id: int, change: Change) -> None:
        """Let the revisions grow of what a change is about."""
        with self.transaction():
            if change.get("instances"):
                self._connection.executemany(
                    "UPDATE instances SET rev = rev + 1 WHERE id = ?",
                    [(key,) for key in change["instances"]],
                )
                self._connection.execute(
                    "UPDATE images SET results_rev = results_rev + 1 WHERE id = ?", (image_id,)
                )

    def add_edit(self, edit: Edit, limit: int) -> int:
        """Append a step; those that were undone are forgotten, and the oldest beyond a limit."""
        with self.transaction():
            self._connection.execute(
                "DELETE FROM edits WHERE image_id = ? AND is_undone", (edit.image_id,)
            )
            edit_id = self._write(
                "INSERT INTO edits (image_id, created_at, title, merge_key, bulk_id, before, after)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    *(edit.image_id, now(), edit.title, edit.merge_key, edit.bulk_id),
                    *(json.dumps(edit.before), json.dumps(edit.after)),
                ),
            )
            self._connection.execute(
                "DELETE FROM edits WHERE image_id = ?1 AND id <= (SELECT id FROM edits"
                " WHERE image_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                (edit.image_id, limit),
            )
        return edit_id

    def last_edit(self, image_id: int) -> Edit | None:
        """Return the last step in force of an image."""
        where = "image_id = ? AND NOT is_undone ORDER BY id DESC LIMIT 1"
        return next(iter(self._edits(where, (image_id,))), None)

    def next_edit(self, image_id: int) -> Edit | None:
        """Return the step that was undone last of an image."""
        where = "image_id = ? AND is_undone ORDER BY id LIMIT 1"
        return next(iter(self._edits(where, (image_id,))), None)

    def history_ends(self, image_id: int) -> tuple[tuple[int, str] | None, tuple[int, str] | None]:
        """Return (id, title) of the last step in force and of the one that was undone last."""
        query = (
            "SELECT * FROM (SELECT id, title, is_undone FROM edits WHERE image_id = ?1 AND NOT"
            " is_undone ORDER BY id DESC LIMIT 1) UNION ALL SELECT * FROM (SELECT id, title,"
            " is_undone FROM edits WHERE image_id = ?1 AND is_undone ORDER BY id LIMIT 1)"
        )
        ends = {
            row["is_undone"]: (row["id"], row["title"]) for row in self._all(query, (image_id,))
        }
        return ends.get(0), ends.get(1)

    def bulk_edits(self, bulk_id: str) -> list[Edit]:
        """List the steps of one bulk decision."""
        return self._edits("bulk_id = ? ORDER BY id", (bulk_id,))

    def latest_bulk(self, project_id: str) -> tuple[str, str, int, int] | None:
        """Return id, title, instances and images of a project's last bulk decision, as in force."""
        query = (
            "SELECT bulk_id, title, SUM((SELECT COUNT(*) FROM json_each(after, '$.instances'))"
            " * (NOT is_undone)), SUM(NOT is_undone) FROM edits WHERE bulk_id ="
            " (SELECT bulk_id FROM edits e JOIN images i ON i.id = e.image_id"
            " WHERE i.project_id = ? AND bulk_id IS NOT NULL ORDER BY e.id DESC LIMIT 1)"
            " GROUP BY bulk_id"
        )
        return next((tuple(row) for row in self._all(query, (project_id,))), None)

    def mark_undone(self, edit_id: int, is_undone: bool) -> None:
        """Say whether a step is in force."""
        self._update("edits", edit_id, {"is_undone": is_undone})

    def remove_edit(self, edit_id: int) -> None:
        """Forget a step."""
        self._write("DELETE FROM edits WHERE id = ?", (edit_id,))

    def _edits(self, where: str, values: tuple[int | str, ...]) -> list[Edit]:
        return [
            Edit(
                id=row["id"],
                image_id=row["image_id"],
                title=row["title"],
                before=json.loads(row["before"]),
                after=json.loads(row["after"]),
                merge_key=row["merge_key"],
                bulk_id=row["bulk_id"],
                is_undone=bool(row["is_undone"]),
            )
            for row in self._all(f"SELECT * FROM edits WHERE {where}", values)
        ]


def _image_of(table: str) -> str:
    """The column of a table that says to which image a row belongs."""
    return "id" if table == "images" else "image_id"
