"""Keeps what was computed for an image, the least recently used going first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """A value that knows how much memory it takes."""

    @property
    def nbytes(self) -> int:
        """Bytes held."""


V = TypeVar("V", bound=Sized)


class FeatureCache(Generic[V]):
    """Least-recently-used cache bounded by the bytes of its values.

    Keys must say everything that the value depends on: image, checkpoint and input size.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._values: OrderedDict[Hashable, V] = OrderedDict()

    @property
    def nbytes(self) -> int:
        """Memory of all values held."""
        return sum(value.nbytes for value in self._values.values())

    def __len__(self) -> int:
        return len(self._values)

    def get_or_compute(self, key: Hashable, compute: Callable[[], V]) -> V:
        """The value of ``key``, computed and kept if it is not there.

        A value larger than the whole cache is returned but not kept.
        """
        return self.get_or_compute_many([key], lambda _: [compute()])[0]

    def get_or_compute_many(
        self, keys: Sequence[Hashable], compute: Callable[[Sequence[int]], Sequence[V]]
    ) -> list[V]:
        """The values of ``keys``, where those that are not there are computed together and kept.

        Args:
            keys: may hold one several times.
            compute: of the positions in ``keys`` whose values are missing, of equal ones the first.
        """
        found = {key: self._values[key] for key in keys if key in self._values}
        for key in found:
            self._values.move_to_end(key)
        missing = {key: i for i, key in reversed(list(enumerate(keys))) if key not in found}
        positions = sorted(missing.values())
        for i, value in zip(positions, compute(positions) if positions else (), strict=True):
            found[keys[i]] = value
            self._keep(keys[i], value)
        return [found[key] for key in keys]

    def _keep(self, key: Hashable, value: V) -> None:
        if value.nbytes <= self.max_bytes:
            self._values[key] = value
            while self.nbytes > self.max_bytes:
                self._values.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()
