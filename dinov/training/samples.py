"""Annotated photos as training and evaluation see them, whatever file they come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dinov.errors import InvalidDataset
from dinov.images import read_rgb
from dinov.masks import decode_rle
from dinov.types import Mask, Rle, SizeHW


@dataclass(frozen=True)
class PanopticSegment:
    """The pixels of one colour in a panoptic PNG: red + 256 green + 65536 blue is the id."""

    file: Path
    id: int

    def mask(self) -> Mask:
        """[H, W] of the PNG."""
        mask: Mask = _segment_ids(self.file) == self.id
        return mask


@dataclass(frozen=True)
class TrueMask:
    """One annotation. A semantic one covers all objects of its category in the image.

    ``identity`` is the same for the same object in several images (``track_id`` in the file).
    """

    category: str
    shape: Rle | PanopticSegment
    area: int
    is_semantic: bool
    identity: str

    def mask(self) -> Mask:
        """[H, W] of the photo."""
        return (
            self.shape.mask() if isinstance(self.shape, PanopticSegment) else decode_rle(self.shape)
        )


@dataclass(frozen=True)
class Sample:
    """An annotated photo.

    ``known`` are the categories of which every object is annotated here; any other one may be
    visible without annotation. Where ``load`` is given, annotations are read when they are needed.
    ``scribble`` is a picture of marks that a person drew: 1 on the object, 2 beside it, else 0.
    """

    folder: str
    path: Path
    size_hw: SizeHW
    truths: tuple[TrueMask, ...]
    known: frozenset[str]
    load: Callable[[], Sample] | None = None
    scribble: Path | None = None

    @property
    def categories(self) -> frozenset[str]:
        """Names of the annotated categories."""
        return frozenset(truth.category for truth in self.truths)

    def loaded(self) -> Sample:
        """The same photo with its annotations."""
        return self if self.load is None else self.load()


@dataclass(frozen=True)
class Folder:
    """One split of a data set. Categories of different folders are the same by name.

    The masks of a class-agnostic one are objects without a category, good for the refer task only.
    """

    name: str
    samples: tuple[Sample, ...]
    categories: tuple[str, ...]
    is_exhaustive: bool
    is_semantic: bool
    is_class_agnostic: bool = False


@lru_cache(maxsize=16)
def _segment_ids(file: Path) -> NDArray[np.int64]:
    if not file.is_file():
        raise InvalidDataset(f"The panoptic masks {file} are missing. Put the PNG files there.")
    ids: NDArray[np.int64] = read_rgb(file).astype(np.int64) @ np.array([1, 256, 65536])
    return ids
