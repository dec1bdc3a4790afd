"""Several people on one server: who may open a project, who is where, what others have changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from app.access import acting_user
from app.project import Project
from app.store import Store

HERE_SECONDS = 12.0
"""A window that has not asked for this long is closed, or asleep."""


@dataclass(frozen=True)
class Changes:
    """How far an image has come, and who else has it open: names, None where nobody has one."""

    prompts_rev: int
    results_rev: int
    others: tuple[str | None, ...]


class Presence:
    """Which window has which image open, as long as it goes on asking."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[float, int, str | None]] = {}

    def meet(self, window: str, image_id: int, user: str | None) -> tuple[str | None, ...]:
        """Note where a window is, and return whose other windows are there: each name once."""
        now = self._clock()
        with self._lock:
            self._seen[window] = (now, image_id, user)
            self._seen = {
                key: seen for key, seen in self._seen.items() if now - seen[0] < HERE_SECONDS
            }
            others = {
                name
                for key, (_, place, name) in self._seen.items()
                if place == image_id and key != window
            }
        return tuple(sorted(others, key=lambda name: name or ""))


class Sharing:
    """Use cases of more than one person in a project."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._presence = Presence()

    def set_shared(self, project_id: str, is_shared: bool) -> Project:
        """Open a project to all users of the server, or to nobody but its owner."""
        self._store.update_project(project_id, is_shared=is_shared)
        return self._store.project(project_id)

    def changes(self, image_id: int, window: str) -> Changes:
        """Say how far an image has come, and note that a window has it open."""
        image = self._store.image(image_id)
        others = self._presence.meet(window, image_id, acting_user())
        return Changes(image.prompts_rev, image.results_rev, others)
