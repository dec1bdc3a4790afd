"""The images that a data set names: found by their names, wherever they lie."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from app.image_files import display_name
from dinov.errors import InvalidImage
from dinov.images import find_images, read_size_hw
from dinov.types import SizeHW


@dataclass(frozen=True)
class Picture:
    """An image: a file beside the data set, or one that is in the project already.

    ``size_hw`` is that of the upright pixels, None for a file that was not opened yet; ``image_id``
    is None for a file.
    """

    name: str
    path: Path
    size_hw: SizeHW | None = None
    image_id: int | None = None


class Pictures:
    """Finds images by the path or the name that a file gives, if need be without their suffix.

    A better match goes before a worse one, and among equals the project before a file. Two files
    that match equally well are none: nobody knows which is meant. Files in ``folder``, where the
    paths of a data set begin, are found by their whole path without being listed.
    """

    def __init__(self, pictures: Iterable[Picture] = (), folder: Path | None = None) -> None:
        self._folder = folder
        self._by_key: tuple[dict[str, list[Picture]], ...] = ({}, {}, {}, {})
        for picture in pictures:
            for index, key in zip(self._by_key, _keys(picture.name), strict=True):
                index.setdefault(key, []).append(picture)

    def find(self, file_name: str) -> Picture | None:
        """Return the image of this name, or None if there is none or more than one."""
        for index, key in zip(self._by_key, _keys(file_name), strict=True):
            found = index.get(key, [])
            chosen = [picture for picture in found if picture.image_id is not None] or found
            if chosen:
                return chosen[0] if len(chosen) == 1 else None
            if index is self._by_key[0] and (there := self._at(file_name)) is not None:
                return there
        return None

    def _at(self, file_name: str) -> Picture | None:
        """The file at this path from the folder, unless that leads out of it."""
        if self._folder is None:
            return None
        path = (self._folder / file_name.replace("\\", "/")).resolve()
        is_inside = path.is_relative_to(self._folder.resolve())
        return Picture(file_name, path) if is_inside and path.is_file() else None

    def size_hw(self, file_name: str) -> SizeHW | None:
        """Return the size of the upright image of this name, or None if it cannot be told."""
        picture = self.find(file_name)
        if picture is None:
            return None
        try:
            return picture.size_hw or read_size_hw(picture.path)
        except InvalidImage:
            return None

    def names(self) -> list[str]:
        """List the names of all images, as paths from the folder they were found in."""
        return [picture.name for found in self._by_key[0].values() for picture in found]


def files_below(folders: Sequence[Path]) -> list[Picture]:
    """List the image files in folders, at any depth; an empty folder has none."""
    found = []
    for folder in folders:
        try:
            paths = find_images([folder])
        except InvalidImage:
            continue
        root = folder if folder.is_dir() else folder.parent
        found += [Picture(path.relative_to(root).as_posix(), path) for path in paths]
    return found


def files_beside(path: Path) -> list[Picture]:
    """List the image files in the folder of a file, and in a folder ``images`` there."""
    try:
        near = find_images([path.parent / "*"])
    except InvalidImage:
        near = []
    return [Picture(picture.name, picture) for picture in near] + [
        replace(picture, name=f"images/{picture.name}")
        for picture in files_below([path.parent / "images"])
    ]


def _keys(file_name: str) -> tuple[str, str, str, str]:
    path = PurePosixPath(unicodedata.normalize("NFC", file_name.replace("\\", "/")))
    name = PurePosixPath(display_name(path.name))
    return path.as_posix(), path.with_suffix("").as_posix(), name.name, name.stem
