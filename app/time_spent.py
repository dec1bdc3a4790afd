"""How long annotators have worked on each image."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence

from app.access import acting_user
from app.project import InvalidInput
from app.store import Store

LONGEST_REPORT = 3600.0
"""A first report of more seconds than this is not believed: pages report every few seconds."""


class TimeSpent:
    """The use case of the pages' clocks, see ``active_time.js``.

    A page reports the seconds in which somebody worked on its images, and keeps what was not
    acknowledged for its next report. Nobody is believed to have worked for longer than has passed
    since their last report: so several tabs of one person do not count twice, and neither does a
    report that arrives again because its acknowledgement was lost.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._reported: dict[str, float] = {}

    def add(self, image_ids: Sequence[int], seconds: Sequence[float], browser: str) -> None:
        """Add seconds of work to images; those that are gone meanwhile are left out.

        Args:
            image_ids: the images, in the order in which they were worked on.
            seconds: for each, since the last report.
            browser: tells people apart where they have no accounts.

        Raises:
            InvalidInput: if the numbers cannot be such times.
        """
        if len(image_ids) != len(seconds) or not all(0 <= s < math.inf for s in seconds):
            raise InvalidInput("Times are one number of seconds for each image, 0 or more.")
        left = self._believed(acting_user() or f"browser {browser}")
        with self._store.transaction():
            for image_id, reported in zip(image_ids, seconds, strict=True):
                spent = min(reported, left)
                left -= spent
                self._store.add_seconds_spent(image_id, spent)

    def _believed(self, person: str) -> float:
        """The seconds since a person's last report; this is their last one from now on."""
        now = self._clock()
        with self._lock:
            last = self._reported.get(person, -math.inf)
            self._reported[person] = now
        return min(now - last, LONGEST_REPORT)
