"""The cache computes once, forgets the oldest first and stays within its budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dinov.feature_cache import FeatureCache


@dataclass(frozen=True)
class Block:
    nbytes: int


def test_a_value_is_computed_once() -> None:
    cache: FeatureCache[Block] = FeatureCache(100)
    computed = []
    for _ in range(3):
        cache.get_or_compute("a", lambda: computed.append(1) or Block(10))  # type: ignore[func-returns-value]
    assert len(computed) == 1


def test_the_least_recently_used_goes_first() -> None:
    cache: FeatureCache[Block] = FeatureCache(30)
    for key in ("a", "b", "c"):
        cache.get_or_compute(key, lambda: Block(10))
    kept = cache.get_or_compute("a", lambda: Block(10))
    cache.get_or_compute("d", lambda: Block(10))
    assert cache.nbytes == 30
    assert cache.get_or_compute("a", lambda: Block(11)) is kept
    assert cache.get_or_compute("b", lambda: Block(12)).nbytes == 12


def test_a_value_larger_than_the_cache_is_not_kept() -> None:
    cache: FeatureCache[Block] = FeatureCache(30)
    cache.get_or_compute("small", lambda: Block(20))
    cache.get_or_compute("huge", lambda: Block(31))
    assert len(cache) == 1
    cache.clear()
    assert cache.nbytes == 0


def test_what_is_missing_is_computed_together_and_each_once() -> None:
    cache: FeatureCache[Block] = FeatureCache(100)
    asked: list[list[int]] = []

    def compute(positions: Sequence[int]) -> list[Block]:
        asked.append(list(positions))
        return [Block(position) for position in positions]

    kept = cache.get_or_compute("b", lambda: Block(50))
    found = cache.get_or_compute_many(["a", "b", "c", "a"], compute)
    assert asked == [[0, 2]]
    assert found == [Block(0), kept, Block(2), Block(0)]
    assert cache.get_or_compute_many(["c", "a"], compute) == [Block(2), Block(0)]
    assert asked == [[0, 2]]


def test_a_cache_that_is_too_small_still_gives_all() -> None:
    cache: FeatureCache[Block] = FeatureCache(10)
    cache.get_or_compute("a", lambda: Block(10))
    found = cache.get_or_compute_many(
        ["b", "a", "c"], lambda positions: [Block(8) for _ in positions]
    )
    assert found == [Block(8), Block(10), Block(8)]
    assert cache.nbytes == 8
