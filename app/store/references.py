"""Rows about prompts as examples: which are left out, and how well the others find each."""

from __future__ import annotations

from collections.abc import Iterable

from app.examples import ExampleScore
from app.store.database import Database


class ReferenceRows(Database):
    """Read and write what is known of examples beside their marks."""

    def unused_prompts(self, project_id: str) -> set[tuple[int, str]]:
        """Return the image and the id of each prompt that is switched off."""
        query = (
            "SELECT u.* FROM unused_prompts u JOIN images i ON i.id = u.image_id"
            " WHERE i.project_id = ?"
        )
        return {(row["image_id"], row["prompt_id"]) for row in self._all(query, (project_id,))}

    def set_prompt_used(self, image_id: int, prompt_id: str, is_used: bool) -> None:
        """Switch a prompt on or off. A prompt that is drawn again by an undo stays as it was."""
        query = (
            "DELETE FROM unused_prompts WHERE image_id = ? AND prompt_id = ?"
            if is_used
            else "INSERT OR IGNORE INTO unused_prompts VALUES (?, ?)"
        )
        self._write(query, (image_id, prompt_id))

    def example_scores(self, project_id: str) -> dict[tuple[int, str], ExampleScore]:
        """Return the scores of a project's examples, by image and id of the prompt."""
        query = (
            "SELECT s.* FROM example_scores s JOIN images i ON i.id = s.image_id"
            " WHERE i.project_id = ?"
        )
        return {
            (row["image_id"], row["prompt_id"]): ExampleScore(
                row["image_id"],
                row["prompt_id"],
                row["score"],
                row["made_from"],
                row["fingerprint"],
            )
            for row in self._all(query, (project_id,))
        }

    def save_example_scores(self, scores: Iterable[ExampleScore]) -> None:
        """Put scores in the place of earlier ones of the same prompts."""
        with self.transaction():
            self._connection.executemany(
                "INSERT OR REPLACE INTO example_scores VALUES (?, ?, ?, ?, ?)",
                [(s.image_id, s.prompt_id, s.score, s.made_from, s.fingerprint) for s in scores],
            )
