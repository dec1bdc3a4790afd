"""How an instance came about: as exports say it in ``attributes``, and as imports read it back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from app.project import DRAWN, IMPORTED, InstanceStatus, Origin, Run, StoredInstance, Task
from dinov.coco import Scalar
from dinov.types import Instance

_E = TypeVar("_E", bound=StrEnum)


@dataclass(frozen=True)
class FoundBy:
    """The model that found an instance of a file; the checkpoint is empty if that is not said."""

    checkpoint: str
    checkpoint_sha256: str
    fingerprint: str
    task: Task


@dataclass(frozen=True)
class Brought:
    """An instance of a file, with what one of our own exports says of it besides.

    ``found_by`` is None where no model found it; ``sequence_id`` is that of the sequence of the
    project along which it was tracked.
    """

    instance: Instance
    status: InstanceStatus = InstanceStatus.ACCEPTED
    origin: Origin = Origin.IMPORTED
    z_order: int = 0
    found_by: FoundBy | None = None
    sequence_id: int | None = None


def attributes_of(instance: StoredInstance, run: Run) -> dict[str, Scalar]:
    """What an export says of an instance, beside its mask, category, score and track."""
    attributes: dict[str, Scalar] = {
        "status": instance.status.value,
        "origin": instance.origin.value,
    }
    if run.checkpoint != DRAWN:
        attributes["source" if run.checkpoint == IMPORTED else "model"] = run.fingerprint
    if run.options:
        attributes["task"] = run.options.task.value
    if instance.z_order:
        attributes["z_order"] = instance.z_order
    return attributes


def brought(
    instance: Instance,
    attributes: Mapping[str, Scalar],
    info: Mapping[str, Scalar],
    sequence_id: int | None,
) -> Brought:
    """Read back what ``attributes_of`` wrote; of a file of another program there is nothing.

    Args:
        instance: of the file, with the project's category.
        attributes: of the annotation.
        info: of the file, which names the checkpoints of all models together.
        sequence_id: see ``Brought``.
    """
    z_order = attributes.get("z_order")
    return Brought(
        instance,
        _read(InstanceStatus, attributes.get("status"), InstanceStatus.ACCEPTED),
        _read(Origin, attributes.get("origin"), Origin.IMPORTED),
        z_order if isinstance(z_order, int) else 0,
        _found_by(attributes, info),
        sequence_id,
    )


def _found_by(attributes: Mapping[str, Scalar], info: Mapping[str, Scalar]) -> FoundBy | None:
    fingerprint, task = attributes.get("model"), attributes.get("task")
    if not isinstance(fingerprint, str) or task not in set(Task):
        return None
    is_the_one = info.get("model") == fingerprint
    checkpoint, sha256 = (
        str(info.get(key, "")) if is_the_one else "" for key in ("checkpoint", "checkpoint_sha256")
    )
    return FoundBy(checkpoint, sha256, fingerprint, Task(str(task)))


def _read(kind: type[_E], value: Any, otherwise: _E) -> _E:
    return kind(value) if value in set(kind) else otherwise
