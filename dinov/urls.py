"""Files behind URLs, in any store that fsspec knows: S3, Google Cloud, the web, another machine."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import fsspec
from fsspec.core import url_to_fs

from dinov.errors import InvalidImage
from dinov.images import natural_order

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def is_url(path: str | Path) -> bool:
    """Whether a path begins like a URL. A ``Path`` is none: it knows one slash in a row only."""
    return isinstance(path, str) and _SCHEME.match(path) is not None


def files_at(url: str, keep: Callable[[str], bool]) -> Iterator[str]:
    """The URLs of the files that one stands for, in natural order: a file, a folder or a pattern.

    Args:
        url: where to look; folders are walked to any depth, one at a time.
        keep: chooses among the files of a folder or pattern, by their paths.

    Raises:
        InvalidImage: if the store cannot be reached; the message has its words.
    """
    with _told_in_words(url):
        store, path = url_to_fs(url)
        if store.isfile(path):
            found = [path]
        elif store.isdir(path):
            found = None
        else:
            found = sorted(filter(keep, store.glob(path)), key=natural_order)
    if found is None:
        yield from _walk(store, path, keep)
    else:
        yield from map(store.unstrip_protocol, found)


def read(url: str) -> bytes:
    """The content of a file.

    Raises:
        InvalidImage: if it cannot be read.
    """
    with _told_in_words(url), fsspec.open(url, "rb") as file:
        content: bytes = file.read()
        return content


def open_seekable(url: str) -> IO[bytes]:
    """Open a file of which parts will be read.

    Raises:
        InvalidImage: if it cannot be read.
    """
    with _told_in_words(url):
        store, path = url_to_fs(url)
        file: IO[bytes] = store.open(path, "rb")
        return file


def _walk(store: Any, folder: str, keep: Callable[[str], bool]) -> Iterator[str]:
    with _told_in_words(folder):
        entries = store.ls(folder, detail=True)
    found = [
        entry["name"].rstrip("/") + "/" * (entry["type"] == "directory")
        for entry in entries
        if entry["name"].rstrip("/") != folder.rstrip("/")
        and (entry["type"] == "directory" or keep(entry["name"]))
    ]
    # With a slash, a folder comes where its files would come among those of all folders.
    for path in sorted(found, key=natural_order):
        if path.endswith("/"):
            yield from _walk(store, path[:-1], keep)
        else:
            yield store.unstrip_protocol(path)


@contextmanager
def _told_in_words(url: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # Every store raises errors of its own; a missing one says itself what to install.
        raise InvalidImage(
            f"{url} cannot be read ({error or type(error).__name__}). Check the address, your "
            "access to it, and that fsspec's package for it is installed (s3fs, gcsfs, adlfs, …)."
        ) from error
