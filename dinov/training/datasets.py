"""Finds and reads data sets: folders with ``{train,val}.json``, single COCO files, and SA-1B's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from dinov.errors import InvalidDataset
from dinov.training.annotation_files import read_coco, read_sa1b
from dinov.training.samples import Folder

_HELD_OUT = 5
"""Of a single file, one photo in so many is kept for validation."""


def find_folders(paths: Sequence[Path], exclude: Collection[str] = ()) -> list[Path]:
    """Folders with a ``train.json`` or ``val.json``: the paths themselves or directly below them.

    Raises:
        InvalidDataset: if a path holds none.
    """
    found: list[Path] = []
    for path in paths:
        below = [p for p in [path, *sorted(path.glob("*/"))] if _is_data_folder(p)]
        if not below:
            raise InvalidDataset(
                f"No data in {path}. Expected train.json and val.json (COCO instances) with a "
                "folder images, there or one level below."
            )
        found.extend(p for p in below if p.name not in exclude)
    return found


def read_folder(directory: Path, split: str) -> Folder | None:
    """Read ``{split}.json`` of a folder, with its photos in ``images``; see ``read_coco``.

    Returns:
        None if the folder has no such split.

    Raises:
        InvalidDataset: if the file is not COCO instances or panoptic JSON.
    """
    file = directory / f"{split}.json"
    return read_coco(file, directory.name, [directory / "images"]) if file.is_file() else None


def read_folders(
    paths: Sequence[Path],
    split: str,
    exclude: Collection[str] = (),
    *,
    images: Sequence[Path] = (),
    hold_out: bool = True,
    class_agnostic: bool = False,
) -> list[Folder]:
    """Read one split of all data sets.

    Args:
        paths: folders with ``train.json`` or ``val.json``, folders of such, single COCO files, or
            folders as SA-1B comes.
        split: "train" or "val".
        exclude: names of folders that are left out.
        images: where the photos of single files are; beside the file or in ``images`` if not said.
        hold_out: of single files, every fifth photo is "val", the others "train"; otherwise all
            photos are read.
        class_agnostic: also read masks without categories.

    Raises:
        InvalidDataset: if there is none.
    """
    read: list[Folder | None] = []
    folder: Folder | None
    for path in paths:
        if path.is_file():
            beside = (path.parent / "images", path.parent)
            folder = read_coco(path, path.stem, images or beside)
            read.append(_part(folder, split) if hold_out else folder)
        elif (folder := read_sa1b(path)) is not None:
            read.append(folder if split == "train" else None)
        else:
            read.extend(read_folder(found, split) for found in find_folders([path], exclude))
    found = [
        folder
        for folder in read
        if folder and folder.samples and (class_agnostic or not folder.is_class_agnostic)
    ]
    if not found:
        places = ", ".join(str(path) for path in paths)
        raise InvalidDataset(
            f"No annotated photo for '{split}' in {places}. Expected {split}.json there with masks."
        )
    return found


def _part(folder: Folder, split: str) -> Folder:
    """The photos of a single file that belong to a split; a lone photo belongs to both."""
    samples = folder.samples
    if len(samples) > 1:
        every = min(_HELD_OUT, len(samples))
        held_out = {*range(every - 1, len(samples), every)}
        chosen = (i for i in range(len(samples)) if (i in held_out) == (split == "val"))
        samples = tuple(samples[i] for i in chosen)
    return replace(folder, samples=samples)


def _is_data_folder(path: Path) -> bool:
    return (path / "train.json").is_file() or (path / "val.json").is_file()
