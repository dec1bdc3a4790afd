"""What is told of whole projects, in lists and in figures."""

from __future__ import annotations

from dataclasses import dataclass

from app.project import InstanceStatus, Origin, Project, ProjectImage, Task


@dataclass(frozen=True)
class TrashedProject:
    """A project that was deleted and can be restored; the time is ISO 8601, UTC."""

    id: str
    name: str
    deleted_at: str
    owner: str | None


@dataclass(frozen=True)
class ProjectSummary:
    """A project with how much is in it; ``covers`` are its first images.

    ``instances`` are those that are shown at the project's score thresholds.
    """

    project: Project
    images: int
    segmented_images: int
    reviewed_images: int
    prompts: int
    instances: int
    covers: tuple[ProjectImage, ...]


@dataclass(frozen=True)
class CountedInstance:
    """What the statistics read of an instance; ``task`` is None unless a run found it."""

    image_id: int
    category_id: int
    area: int
    score: float
    status: InstanceStatus
    origin: Origin
    task: Task | None
