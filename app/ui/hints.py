"""What a newcomer is told to do next, from what is in the project so far."""

from __future__ import annotations

from enum import StrEnum

from app.ui.snapshot import Snapshot


class NextStep(StrEnum):
    """What to do next; ``static/hints.js`` has the words."""

    NAME = "name"
    MARK = "mark"
    USE = "use"
    TARGET = "target"
    SEGMENT = "segment"
    LOWER = "lower"
    REVIEW = "review"
    EXPORT = "export"


def next_step(snapshot: Snapshot) -> NextStep | None:
    """Return what to do next; None without an image, which has a page of its own, and meanwhile.

    ``USE``: no example is in use. ``LOWER``: of all that was searched nothing is shown.
    """
    counts = [snapshot.counts[image.id] for image in snapshot.images]
    is_searching = snapshot.is_image_busy or (snapshot.job and snapshot.job.state.is_active)
    if not counts or is_searching:
        return None
    if any(one.shown or one.is_segmented for one in counts):
        if not any(one.shown for one in counts):
            return NextStep.LOWER
        is_done = all(one.status.is_done for one in counts)
        return NextStep.EXPORT if is_done else NextStep.REVIEW
    if not snapshot.examples and not snapshot.concepts:
        return NextStep.MARK if snapshot.categories else NextStep.NAME
    in_use = any(one.counts and one.stored.prompt.positive for one in snapshot.examples)
    if not in_use and not any(concept.is_used for concept, _ in snapshot.concepts):
        return NextStep.USE
    if not any(image.is_target for image in snapshot.images):
        return NextStep.TARGET
    return NextStep.SEGMENT
