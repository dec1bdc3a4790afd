"""Targets of a batch: files, folders, patterns, lists and archives, one after the other.

Each may also lie behind a URL that fsspec understands (``s3://``, ``gs://``, ``https://``, …).
Folders are walked in order, one at a time, so that memory does not grow with the number of images;
a list and the directory of a zip are read whole.
"""

from __future__ import annotations

import glob
import heapq
import io
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from dinov import urls
from dinov.errors import InvalidImage
from dinov.images import IMAGE_SUFFIXES, natural_order

LIST_SUFFIX = ".txt"
ARCHIVE_SUFFIXES = (
    *(".zip", ".tar"),
    *(".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz"),
)
# A member that needs a password is a RuntimeError.
_BROKEN_ARCHIVE = (
    *(OSError, EOFError, ValueError, KeyError, RuntimeError),
    *(zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError),
)


@dataclass(frozen=True)
class Target:
    """An image: a file, or a member of an archive.

    ``start`` and ``size`` say where in an unpacked tar its bytes are; members of a zip are found
    by their name.
    """

    path: str
    member: str | None = None
    start: int = 0
    size: int = 0

    @property
    def place(self) -> str:
        """Where it is, with forward slashes; an archive counts as a folder."""
        path = self.path if urls.is_url(self.path) else Path(self.path).as_posix()
        return path if self.member is None else f"{path}/{self.member}"

    @property
    def folder(self) -> str:
        """The folder of ``place``."""
        return self.place.rpartition("/")[0] or "/"


def list_targets(paths: Sequence[str | Path]) -> Iterator[Target]:
    """List the images named by files, folders (to any depth), glob patterns, lists and archives.

    A list is a ``.txt`` file with one path or URL a line; what it names is taken as it is. A file
    that is named is taken whatever its suffix; elsewhere only image suffixes count, and hidden
    files are left out.

    Yields:
        Each file once, with its absolute path or URL, in natural order ("2.jpg" before "10.jpg");
        then the members of the archives, in their order.

    Raises:
        InvalidImage: if one of the paths leads to no image, or an archive cannot be read.
        OSError: if a folder or a list cannot be read.
    """
    check_targets(paths)
    places = [absolute(path) for path in paths]
    archives = [place for place in places if _is_archive(place)]
    files = heapq.merge(
        *(_files_at(place) for place in places if place not in archives), key=natural_order
    )
    previous = None
    for path in files:
        if path != previous:
            yield Target(path)
        previous = path
    for place in dict.fromkeys(archives):
        yield from _members(place)


def check_targets(paths: Sequence[str | Path]) -> None:
    """Make sure that each path leads to an image, without going through all of them.

    Raises:
        InvalidImage: if one does not, or an archive cannot be read.
        OSError: if a folder or a list cannot be read.
    """
    if not paths:
        raise InvalidImage("No image was named. Give files, folders, patterns, lists or archives.")
    for path in paths:
        place = absolute(path)
        found: Iterator[object] = _members(place) if _is_archive(place) else _files_at(place)
        if next(found, None) is None:
            raise InvalidImage(f"There is no image at {path}. Check the path.")


class TargetReader:
    """Hands out what an image is decoded from. Of the archives, the one used last stays open.

    To be used from one thread, in the order of the targets: a packed tar only goes forward.
    """

    def __init__(self) -> None:
        self._place = ""
        self._archive: zipfile.ZipFile | tarfile.TarFile | None = None

    def __call__(self, target: Target) -> Path | bytes | str:
        """The path or URL of a file, or the bytes of a member.

        Raises:
            InvalidImage: if the member cannot be read.
        """
        if target.member is None:
            return target.path if urls.is_url(target.path) else Path(target.path)
        try:
            if self._archive is None or self._place != target.path:
                self.close()
                self._archive, self._place = _open(target.path), target.path
            if isinstance(self._archive, zipfile.ZipFile):
                return self._archive.read(target.member)
            stream = self._archive.fileobj
            assert stream is not None
            stream.seek(target.start)
            return stream.read(target.size)
        except _BROKEN_ARCHIVE as error:
            raise InvalidImage(
                f"{target.place} cannot be read from its archive ({error}). Pack it again."
            ) from error

    def close(self) -> None:
        """Close the archive that is open."""
        if self._archive is not None:
            self._archive.close()
        self._archive = None


def absolute(path: str | Path) -> str:
    """The absolute path, links as they are; a URL stays what it is."""
    return str(path) if urls.is_url(path) else str(Path(path).absolute())


def _is_archive(place: str) -> bool:
    return place.lower().endswith(ARCHIVE_SUFFIXES) and (
        urls.is_url(place) or Path(place).is_file()
    )


def _files_at(place: str) -> Iterator[str]:
    """The files that a path or URL stands for, in natural order."""
    if place.lower().endswith(LIST_SUFFIX) and (urls.is_url(place) or Path(place).is_file()):
        yield from _listed(place)
    elif urls.is_url(place):
        yield from urls.files_at(place, _is_image)
    elif Path(place).is_dir():
        yield from _walk(place)
    elif Path(place).is_file():
        yield place
    else:
        matches = glob.iglob(place, recursive=True)
        yield from sorted(
            (m for m in matches if _is_image(m) and Path(m).is_file()), key=natural_order
        )


def _listed(place: str) -> Iterator[str]:
    content = urls.read(place) if urls.is_url(place) else Path(place).read_bytes()
    lines = io.StringIO(content.decode("utf-8-sig", errors="surrogateescape"), newline=None)
    named = {absolute(line.rstrip("\n")) for line in lines if line.strip()}
    yield from sorted(named, key=natural_order)


def _walk(folder: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        found = [
            entry.path + "/" if entry.is_dir(follow_symlinks=False) else entry.path
            for entry in entries
            if entry.is_dir(follow_symlinks=False) or (_is_image(entry.path) and entry.is_file())
        ]
    # With a slash, a folder comes where its files would come among those of all folders.
    for path in sorted(found, key=natural_order):
        if path.endswith("/"):
            yield from _walk(path[:-1])
        else:
            yield path


def _is_image(path: str) -> bool:
    pure = PurePath(path)
    return pure.suffix.lower() in IMAGE_SUFFIXES and not pure.name.startswith(".")


def _open(place: str) -> zipfile.ZipFile | tarfile.TarFile:
    is_zip = place.lower().endswith(".zip")
    if urls.is_url(place):
        file = urls.open_seekable(place)
        return zipfile.ZipFile(file) if is_zip else tarfile.open(fileobj=file)
    return zipfile.ZipFile(place) if is_zip else tarfile.open(place)


def _members(place: str) -> Iterator[Target]:
    try:
        with _open(place) as archive:
            if isinstance(archive, zipfile.ZipFile):
                for name in dict.fromkeys(archive.namelist()):
                    if _is_image(name):
                        yield Target(place, name)
                return
            while (member := archive.next()) is not None:
                if member.isfile() and _is_image(member.name):
                    yield Target(place, member.name, member.offset_data, member.size)
                # It would remember every member.
                archive.members = []  # type: ignore[attr-defined]
    except _BROKEN_ARCHIVE as error:
        raise InvalidImage(
            f"{place} cannot be read as an archive ({error}). Pack it again, or unpack it and give "
            "the folder."
        ) from error
