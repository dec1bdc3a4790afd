from __future__ import annotations

import numpy as np
import pytest

from dinov.training.copy_paste import choose_objects, paste
from dinov.training.refer_episodes import SeenObject

SIDE = 32


def seen(name: str, rows: slice, columns: slice, identity: str | None = "one") -> SeenObject:
    mask = np.zeros((SIDE, SIDE), np.bool_)
    mask[rows, columns] = True
    return SeenObject(name, mask, identity)


def lay(
    objects: list[SeenObject], pasted: list[SeenObject], height: int = SIDE
) -> tuple[np.ndarray, list[SeenObject]]:
    below, above = np.zeros((3, SIDE, SIDE), np.float32), np.ones((3, SIDE, SIDE), np.float32)
    return paste(below, objects, (height, SIDE), above, pasted, min_area=4)


def test_pasted_objects_hide_what_is_below() -> None:
    below, above = seen("cow", slice(0, 10), slice(0, 10)), seen("dog", slice(5, 20), slice(5, 20))
    pixels, objects = lay([below], [above])
    assert [o.category for o in objects] == ["cow", "dog"]
    assert (pixels == above.mask).all()
    assert (objects[0].mask == (below.mask & ~above.mask)).all()
    assert not (objects[0].mask & objects[1].mask).any()
    assert below.mask.sum() == 100  # what was given stays as it is


def test_hidden_objects_are_gone() -> None:
    _, objects = lay(
        [seen("cow", slice(0, 5), slice(0, 5))], [seen("dog", slice(0, 5), slice(0, 9))]
    )
    assert [o.category for o in objects] == ["dog"]


def test_nothing_is_pasted_on_the_padding() -> None:
    inside, outside = seen("dog", slice(8, 20), slice(0, 4)), seen("cat", slice(20, 30), slice(8))
    pixels, objects = lay([], [inside, outside], height=12)
    assert [o.category for o in objects] == ["dog"]
    assert objects[0].mask.sum() == pixels[0].sum() == 16
    assert pixels[:, 12:].sum() == 0


def test_without_objects_nothing_changes() -> None:
    cow = seen("cow", slice(0, 5), slice(0, 5))
    pixels, objects = lay([cow], [])
    assert not pixels.any()
    assert (objects[0].mask == cow.mask).all()


@pytest.mark.parametrize("seed", range(10))
def test_single_objects_are_chosen_up_to_a_number(seed: int) -> None:
    rng = np.random.default_rng(seed)
    grass = seen("grass", slice(0, 9), slice(0, 9), identity=None)
    cows = [seen("cow", slice(0, 5), slice(0, 5), identity=str(i)) for i in range(3)]
    chosen = choose_objects([grass, *cows], 2, rng)
    assert 1 <= len(chosen) <= 2
    assert all(any(o is cow for cow in cows) for o in chosen)
    assert choose_objects([grass], 2, rng) == []
    assert choose_objects(cows, 0, rng) == []
