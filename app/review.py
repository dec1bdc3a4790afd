"""Reviewing: which images have been looked at, and the score a category must have to count."""

from __future__ import annotations

from app.history import History
from app.project import InvalidInput, ProjectImage, StoredPrompt
from app.store import Store

_REVIEWED = ("instances", "images")
"""The tables that a review changes."""


class Review:
    """The use cases of a review. Each is one transaction, and may come from any thread.

    To review an image is to accept what is shown on it. From then on neither the score slider nor
    another run changes what was approved. Proposals that are shown later, because a run found more
    or a threshold was lowered, make the image one to review again: its status is worked out from
    what is there, see ``ImageCounts.status``, and never has to be reset.

    A review is a step of the image's history, like any edit.
    """

    def __init__(self, store: Store, history: History) -> None:
        self._store = store
        self._history = history

    def mark(self, image_id: int) -> None:
        """Accept what is shown on an image, and note that it was looked at."""
        with self._history.step(image_id, "image reviewed", _REVIEWED):
            project = self._store.project(self._store.image(image_id).project_id)
            self._store.mark_reviewed(image_id, project.score_thresholds)

    def unmark(self, image_id: int) -> None:
        """Take ``mark`` back: what it accepted, and is still accepted, is a proposal again."""
        with self._history.step(image_id, "review taken back", _REVIEWED):
            self._store.unmark_reviewed(image_id)

    def references(self, category_id: int) -> list[tuple[ProjectImage, list[StoredPrompt]]]:
        """List the references of a category with the prompts they have for it."""
        with self._store.transaction():
            project_id, _ = self._store.category(category_id)
            images = [image for image in self._store.images(project_id) if image.is_reference]
            prompts = self._store.project_prompts(project_id)
        own = [one for one in prompts if one.prompt.category_id == category_id]
        by_image = [(image, [one for one in own if one.image_id == image.id]) for image in images]
        return [(image, found) for image, found in by_image if found]

    def category_thresholds(self, project_id: str) -> dict[int, float]:
        """Return the score thresholds that were chosen for single categories, by their id."""
        return self._store.category_thresholds(project_id)

    def set_category_threshold(self, category_id: int, score_threshold: float | None) -> None:
        """Choose the lowest score that counts for one category, for all that is shown and exported.

        It holds for the task generic; the scores of refer are shares among candidates.

        Args:
            category_id: the category.
            score_threshold: in [0, 1]; None for the project's.

        Raises:
            InvalidInput: if it is out of range.
        """
        if score_threshold is not None and not 0 <= score_threshold <= 1:
            raise InvalidInput(f"The score threshold is {score_threshold}; it must be from 0 to 1.")
        self._store.update_category(category_id, score_threshold=score_threshold)
