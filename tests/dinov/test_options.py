"""Options that are chosen for the user."""

from __future__ import annotations

import numpy as np
import pytest

from dinov.options import MIN_TILE, tile_side
from dinov.tiles import tiles_of


@pytest.mark.parametrize(
    ("size_hw", "side"),
    [((600, 768), None), ((768, 600), None), ((600, 769), 384), ((3000, 4000), 1600)],
)
def test_large_images_get_tiles_that_show_more_than_the_whole(size_hw, side):
    assert tile_side(size_hw, 384) == side


def test_there_are_at_most_nine_tiles_and_none_is_too_small():
    rng = np.random.default_rng(0)
    for _ in range(500):
        height, width, input_size = (int(v) for v in rng.integers((1, 1, 32), (9000, 9000, 1024)))
        side = tile_side((height, width), input_size)
        if side is not None:
            assert MIN_TILE <= side < max(height, width)
            assert 1 < len(tiles_of((height, width), side)) <= 9
