"""Prompts as examples of their category: how good each is, and which does not belong.

Pure: what is computed from prompts and scores, without a database or a model.
"""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from app.project import ProjectImage, StoredPrompt

FEWEST_TO_JUDGE = 3
"""Of two examples that do not find each other, either may be the odd one."""

ODD_SHARE = 0.25
"""An example is odd if its score is below this share of what is usual in its category.

Measured with ``lite`` on 35 examples of six categories, five of them really of another one: four of
the five are pointed out, and none of the others. Half the median would point out seven of those.
"""

KeyT = TypeVar("KeyT", bound=Hashable)


@dataclass(frozen=True)
class ExampleScore:
    """A leave-one-out score as it is stored; None where there were no others.

    ``made_from`` names the marks, ``fingerprint`` the model that it was computed from.
    """

    image_id: int
    prompt_id: str
    score: float | None
    made_from: str
    fingerprint: str


@dataclass(frozen=True)
class Example:
    """A prompt as an example of its category.

    ``is_used`` is what the annotator switched; an example counts only if its image is a reference,
    too. ``is_judged`` says that a score was computed, ``is_stale`` that marks or the model have
    changed since. ``picture`` names the drawing of it.
    """

    image: ProjectImage
    stored: StoredPrompt
    is_used: bool
    score: float | None
    is_judged: bool
    is_stale: bool
    is_odd: bool
    picture: str

    @property
    def counts(self) -> bool:
        """Whether it says something about its category when images are searched."""
        return self.is_used and self.image.is_reference


def odd_ones(scores: Mapping[KeyT, float]) -> set[KeyT]:
    """Find the examples of one category that the others do not find, although they find each other.

    That is: its score is below a quarter of the median of the others' scores. A category whose
    examples all score low has no odd ones; it needs more examples, or larger ones.

    Args:
        scores: leave-one-out scores of the examples in use, by any key.
    """
    if len(scores) < FEWEST_TO_JUDGE:
        return set()
    odd = set()
    for key, score in scores.items():
        usual = statistics.median(value for other, value in scores.items() if other != key)
        if score < ODD_SHARE * usual:
            odd.add(key)
    return odd


def identity(image: ProjectImage, stored: StoredPrompt) -> str:
    """Name what a prompt shows: the content of its image, and the mark on it."""
    return _digest([image.sha256, repr(stored.prompt)])


def made_from(own: str, others: Iterable[str]) -> str:
    """Name everything that a score depends on besides the model, by the identities of the marks.

    Args:
        own: of the example.
        others: of all examples of its category that are in use; whether it is one of them or not,
            it is not compared with itself.
    """
    return _digest([own, *sorted(set(others) - {own})])


def picture_key(image: ProjectImage, stored: StoredPrompt, color: str) -> str:
    """Name the drawing of an example, which changes with the mark and its category's colour."""
    return _digest([identity(image, stored), color])


def _digest(parts: Iterable[str]) -> str:
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=12).hexdigest()
