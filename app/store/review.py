"""Rows of what an annotator has looked at: reviewed images, and what the review accepted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from app.project import InstanceStatus, Task
from app.store.database import now
from app.store.instances import InstanceRows


class ReviewRows(InstanceRows):
    """Mark images as reviewed, and take it back exactly."""

    def mark_reviewed(self, image_id: int, thresholds: Mapping[Task, float]) -> None:
        """Accept what is shown on an image, and note that it was looked at."""
        with self.transaction():
            shown = self.shown_instances(image_id, thresholds)
            proposed = [one.id for one in shown if one.status is InstanceStatus.PROPOSED]
            accepted = [*self._accepted_by_review(image_id), *proposed]
            self._decide_all(proposed, InstanceStatus.ACCEPTED)
            values = {"reviewed_at": now(), "review_accepted": json.dumps(accepted)}
            self._update("images", image_id, values)

    def unmark_reviewed(self, image_id: int) -> None:
        """Make an image one to look at; what only its review accepted is a proposal again."""
        with self.transaction():
            ids = self._accepted_by_review(image_id)
            self._decide_all(ids, InstanceStatus.PROPOSED, InstanceStatus.ACCEPTED)
            self._update("images", image_id, {"reviewed_at": None, "review_accepted": "[]"})

    def category_thresholds(self, project_id: str) -> dict[int, float]:
        """Return the score thresholds of those categories of a project that have their own."""
        query = (
            "SELECT id, score_threshold FROM categories"
            " WHERE project_id = ? AND score_threshold IS NOT NULL"
        )
        return {row["id"]: row["score_threshold"] for row in self._all(query, (project_id,))}

    def _accepted_by_review(self, image_id: int) -> list[int]:
        query = "SELECT review_accepted FROM images WHERE id = ?"
        return list(json.loads(self._one(query, (image_id,), "This image")[0]))

    def _decide_all(
        self,
        instance_ids: Iterable[int],
        status: InstanceStatus,
        before: InstanceStatus = InstanceStatus.PROPOSED,
    ) -> None:
        """Set the status of those instances that still have the one ``before``."""
        self._connection.executemany(
            "UPDATE instances SET status = ? WHERE id = ? AND status = ?",
            [(status.value, instance_id, before.value) for instance_id in instance_ids],
        )
