"""The folder in which everything is kept: opened, and kept from a second server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from app.image_files import ImageFiles
from app.project import ServerError
from app.store import Store
from dinov.locks import kept_alone


def lock_data_folder(data_dir: Path) -> contextlib.ExitStack:
    """Keep other servers from the data folder: each would take up the jobs of the other.

    Other commands may use it meanwhile; what they write are transactions of the database.

    Returns:
        What lets go of it when it is closed. The system does when the program ends, however.

    Raises:
        ServerError: if another server keeps it, or it cannot be used.
    """

    def refusal(owner: str) -> ServerError:
        return ServerError(
            f"The data folder {data_dir} is served already, by {owner}. Open that page, stop that "
            "program, or choose another folder with --data-dir."
        )

    lock = contextlib.ExitStack()
    with _usable(data_dir):
        lock.enter_context(kept_alone(data_dir / "server", refusal))
    return lock


def open_data_folder(data_dir: Path) -> tuple[Store, ImageFiles]:
    """Open the data folder, or begin a new one.

    Raises:
        ServerError: if the folder cannot be used.
    """
    with _usable(data_dir):
        data_dir.mkdir(parents=True, exist_ok=True)
        return Store(data_dir / "studio.sqlite3"), ImageFiles(data_dir / "projects")


@contextlib.contextmanager
def _usable(data_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ServerError(
            f"The data folder {data_dir} cannot be used ({error.strerror}). "
            "Choose another with --data-dir."
        ) from error
