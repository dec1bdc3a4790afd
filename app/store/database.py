"""The connection underneath: transactions, lookups by id, and the steps of the schema.

One connection, shared by all threads behind a lock: reads take well under a millisecond, so threads
gain nothing from more. WAL mode lets other programs read the file meanwhile.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.migrations import MIGRATIONS
from app.project import NotFound, ServerError, uncertainty


class Database:
    """A connection to one database file, under a lock, with what all tables need."""

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


def now() -> str:
    """Return the time now, ISO 8601, UTC."""
    return datetime.now(UTC).isoformat()


def _connect(path: Path) -> sqlite3.Connection:
    # Transactions are written out; sqlite3's own implicit ones would hide where they end.
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
    try:
        connection.row_factory = sqlite3.Row
        connection.create_function("uncertainty", 2, uncertainty, deterministic=True)
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
