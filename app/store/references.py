"""Rows about prompts as examples: which are left out, and how well the others find each."""

from __future__ import annotations

from collections.abc import Iterable

from app.concepts import Concept
from app.examples import ExampleScore
from app.rows import Row
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

    # Concepts from files

    def add_concept(self, new: Concept) -> None:
        """Add a concept to its category, unless it is there already; it gets an id of its own."""
        self._write(
            "INSERT OR IGNORE INTO concepts (category_id, file_name, file_sha256,"
            " file_category_id, fingerprint, positives, negatives, is_used)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(new.category_id, new.file_name, new.file_sha256, new.file_category_id),
                *(new.fingerprint, new.positives, new.negatives, new.is_used),
            ),
        )

    def concepts(self, project_id: str) -> list[Concept]:
        """List the concepts of a project in the order they were added."""
        query = (
            "SELECT n.* FROM concepts n JOIN categories c ON c.id = n.category_id"
            " WHERE c.project_id = ? ORDER BY n.id"
        )
        return [to_concept(row) for row in self._all(query, (project_id,))]

    def concept(self, concept_id: int) -> Concept:
        """Return one concept."""
        query = "SELECT * FROM concepts WHERE id = ?"
        return to_concept(self._one(query, (concept_id,), "This concept"))

    def set_concept_used(self, concept_id: int, is_used: bool) -> None:
        """Switch a concept on or off."""
        self._update("concepts", concept_id, {"is_used": is_used})

    def remove_concept(self, concept_id: int) -> None:
        """Remove a concept; its file is left."""
        self._write("DELETE FROM concepts WHERE id = ?", (concept_id,))


def to_concept(row: Row) -> Concept:
    """Read a concept."""
    return Concept(
        id=row["id"],
        category_id=row["category_id"],
        file_name=row["file_name"],
        file_sha256=row["file_sha256"],
        file_category_id=row["file_category_id"],
        fingerprint=row["fingerprint"],
        positives=row["positives"],
        negatives=row["negatives"],
        is_used=bool(row["is_used"]),
    )
