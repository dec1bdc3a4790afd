"""Rows of the sessions of users who are logged in, and to which project something belongs."""

from __future__ import annotations

from app.store.database import Database

_PROJECT_OF = {
    "project": "SELECT id FROM projects WHERE id = ?",
    "image": "SELECT project_id FROM images WHERE id = ?",
    "category": "SELECT project_id FROM categories WHERE id = ?",
    "instance": "SELECT i.project_id FROM instances n JOIN images i ON i.id = n.image_id"
    " WHERE n.id = ?",
    "job": "SELECT project_id FROM jobs WHERE id = ?",
    "sequence": "SELECT project_id FROM sequences WHERE id = ?",
    "concept": "SELECT c.project_id FROM concepts n JOIN categories c ON c.id = n.category_id"
    " WHERE n.id = ?",
}


class AccountRows(Database):
    """Read and write sessions; their keys are hashes, so that the file lets nobody in."""

    def add_session(self, key: str, user: str, credential: str, expires_at: float) -> None:
        """Note that a user has logged in; ``credential`` names the password it was with."""
        self._write("INSERT INTO sessions VALUES (?, ?, ?, ?)", (key, user, credential, expires_at))

    def session(self, key: str) -> tuple[str, str, float] | None:
        """Return a session's user, credential and end (seconds since 1970), if it is known."""
        query = "SELECT user, credential, expires_at FROM sessions WHERE id = ?"
        return next(((row[0], row[1], row[2]) for row in self._all(query, (key,))), None)

    def remove_session(self, key: str) -> None:
        """End a session."""
        self._write("DELETE FROM sessions WHERE id = ?", (key,))

    def remove_sessions_before(self, moment: float) -> None:
        """Forget the sessions that ended before a moment."""
        self._write("DELETE FROM sessions WHERE expires_at < ?", (moment,))

    def project_of(self, kind: str, row_id: int | str) -> str:
        """Return the id of the project that a project, or anything in one, is in."""
        return str(self._one(_PROJECT_OF[kind], (row_id,), f"This {kind}")[0])
