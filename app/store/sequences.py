"""Rows of sequences: which images are frames of what, and which objects were tracked."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from app.project import StoredInstance
from app.sequences import Sequence as Frames
from app.store.instances import InstanceRows


class SequenceRows(InstanceRows):
    """Read and write sequences and tracks."""

    def add_sequence(self, project_id: str, name: str) -> int:
        """Begin a sequence without frames, and return its id."""
        return self._write(
            "INSERT INTO sequences (project_id, name) VALUES (?, ?)", (project_id, name)
        )

    def add_frames(self, sequence_id: int, image_ids: Sequence[int]) -> None:
        """Append images to a sequence; one that is in another leaves it."""
        with self.transaction():
            query = "SELECT COALESCE(MAX(position), 0) FROM frames WHERE sequence_id = ?"
            start = self._all(query, (sequence_id,))[0][0] + 1
            self._connection.executemany(
                "INSERT OR REPLACE INTO frames (image_id, sequence_id, position) VALUES (?, ?, ?)",
                [(image_id, sequence_id, start + n) for n, image_id in enumerate(image_ids)],
            )

    def sequences(self, project_id: str) -> list[Frames]:
        """List the sequences of a project that have frames."""
        query = (
            "SELECT s.*, f.image_id FROM sequences s JOIN frames f ON f.sequence_id = s.id"
            " WHERE s.project_id = ? ORDER BY s.id, f.position"
        )
        return _grouped(self._all(query, (project_id,)))

    def sequence(self, sequence_id: int) -> Frames:
        """Return one sequence."""
        row = self._one("SELECT * FROM sequences WHERE id = ?", (sequence_id,), "This sequence")
        frames = self._all(
            "SELECT image_id FROM frames WHERE sequence_id = ? ORDER BY position", (sequence_id,)
        )
        ids = tuple(frame["image_id"] for frame in frames)
        return Frames(row["id"], row["project_id"], row["name"], ids)

    def rename_sequence(self, sequence_id: int, name: str) -> None:
        """Call a sequence something else."""
        self._write("UPDATE sequences SET name = ? WHERE id = ?", (name, sequence_id))

    def remove_sequence(self, sequence_id: int) -> None:
        """Remove a sequence; its images stay."""
        self._write("DELETE FROM sequences WHERE id = ?", (sequence_id,))

    def add_track(self, sequence_id: int, category_id: int) -> None:
        """Give the object of a category in a sequence a track id, if it has none."""
        self._write(
            "INSERT OR IGNORE INTO tracks (sequence_id, category_id) VALUES (?, ?)",
            (sequence_id, category_id),
        )

    def add_track_run(self, run_id: int, sequence_id: int) -> None:
        """Note that a run has tracked objects along a sequence."""
        self._write("INSERT INTO track_runs VALUES (?, ?)", (run_id, sequence_id))

    def track_ids(self, project_id: str) -> dict[tuple[int, int], int]:
        """Return track ids by the run that found an instance and its category."""
        query = (
            "SELECT r.run_id, t.category_id, t.id FROM track_runs r"
            " JOIN sequences s ON s.id = r.sequence_id JOIN tracks t ON t.sequence_id = s.id"
            " WHERE s.project_id = ?"
        )
        rows = self._all(query, (project_id,))
        return {(row["run_id"], row["category_id"]): row["id"] for row in rows}

    def replace_tracked(
        self,
        image_id: int,
        run_id: int,
        category_ids: Iterable[int],
        instances: Iterable[StoredInstance],
    ) -> None:
        """Put new proposals in the place of those of some categories; all others stay."""
        with self.transaction():
            self._connection.executemany(
                "DELETE FROM instances"
                " WHERE image_id = ? AND category_id = ? AND status = 'proposed'",
                [(image_id, category_id) for category_id in category_ids],
            )
            self.add_instances(image_id, run_id, instances)
            self._update("images", image_id, {"run_id": run_id, "run_key": f"track {run_id}"})


def _grouped(rows: Iterable[sqlite3.Row]) -> list[Frames]:
    names: dict[int, tuple[str, str]] = {}
    frames: dict[int, list[int]] = {}
    for row in rows:
        names[row["id"]] = (row["project_id"], row["name"])
        frames.setdefault(row["id"], []).append(row["image_id"])
    return [Frames(id_, *names[id_], tuple(ids)) for id_, ids in frames.items()]
