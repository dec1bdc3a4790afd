"""One program at a time: locks that the system lets go of when their keeper ends, in any way."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

LOCK, OWNER = "lock", "owner.txt"
"""The files that stand for a lock in its folder."""


@contextmanager
def kept_alone(folder: Path, refusal: Callable[[str], Exception]) -> Iterator[None]:
    """Keep other programs from what a folder stands for; it is made if there is none.

    Args:
        folder: where the lock lies.
        refusal: makes the error to raise of the program that keeps it, "process 7 on host".

    Raises:
        OSError: if the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    owner = folder / OWNER
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        named = owner.read_text(encoding="utf-8") if owner.is_file() else "another program"
        raise refusal(named) from error
    try:
        owner.write_text(f"process {os.getpid()} on {platform.node()}", encoding="utf-8")
        yield
    finally:
        lock.release()
