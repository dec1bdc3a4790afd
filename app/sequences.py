"""Images in order: a video, or photos that belong together, along which objects are tracked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Direction(StrEnum):
    """Which way from the marks objects are tracked."""

    FORWARD = "forward"
    BACKWARD = "backward"
    BOTH = "both"


@dataclass(frozen=True)
class Sequence:
    """A sequence of a project; ``image_ids`` are its frames in order."""

    id: int
    project_id: str
    name: str
    image_ids: tuple[int, ...]
