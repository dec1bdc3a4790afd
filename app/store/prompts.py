"""Rows of prompts."""

from __future__ import annotations

import json
from collections.abc import Sequence

from app.project import StoredPrompt
from app.rows import to_prompt
from app.store.database import Database


class PromptRows(Database):
    """Read and write prompts."""

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
            self._update("images", image_id, {"prompts_rev": rev})
