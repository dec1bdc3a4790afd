"""A concept from a file: the examples of one category that were embedded in another project."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Concept:
    """One category of a prompt bank that was added to a project.

    ``category_id`` is the project's, ``file_category_id`` that in the file. ``fingerprint`` names
    the model it was made with.
    """

    id: int
    category_id: int
    file_name: str
    file_sha256: str
    file_category_id: int
    fingerprint: str
    positives: int
    negatives: int
    is_used: bool

    @property
    def identities(self) -> list[str]:
        """Name each of its positive examples."""
        return [f"{self.file_sha256}-{self.file_category_id}-{i}" for i in range(self.positives)]
