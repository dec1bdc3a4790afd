"""Images in order: a video, or photos that belong together, along which objects are tracked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile
from pathlib import PurePath


class Direction(StrEnum):
    """Which way from the marks objects are tracked."""

    FORWARD = "forward"
    BACKWARD = "backward"
    BOTH = "both"


@dataclass(frozen=True)
class Sequence:
    """A sequence of a project; ``image_ids`` are its frames in order."""

    id: int
    project_id: str
    name: str
    image_ids: tuple[int, ...]


def common_name(file_names: Iterable[str]) -> str:
    """Name a sequence after what the names of its frames begin with: "walk" for "walk_01.png"."""
    stems = [PurePath(name).stem for name in file_names]
    # What the first and the last in the alphabet share, all between them share, too.
    pairs = zip(min(stems, default=""), max(stems, default=""), strict=False)
    shared = "".join(a for a, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    breaks_a_word = any(stem[len(shared) :][:1].isalpha() for stem in stems)
    common = "" if breaks_a_word else shared.rstrip("0123456789").rstrip(" _-.(")
    return common or "".join(stems[:1])
