from __future__ import annotations

import numpy as np
import pytest

from dinov.images import PIXEL_MEAN
from dinov.training.augmentation import View, draw_view, jitter_colour, pad_mask, to_input
from dinov.training.config import DataConfig

CONFIG = DataConfig(crop_size=64)


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("size_hw", [(100, 150), (300, 90), (40, 40), (3, 500)])
def test_a_view_fits_the_input_and_shows_its_focus(size_hw: tuple[int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    focus = (int(rng.integers(size_hw[0])), int(rng.integers(size_hw[1])))
    view = draw_view(size_hw, focus, CONFIG, rng)
    assert view.rows.start <= focus[0] < view.rows.stop <= size_hw[0]
    assert view.columns.start <= focus[1] < view.columns.stop <= size_hw[1]
    assert 1 <= view.size_hw[0] <= 64
    assert 1 <= view.size_hw[1] <= 64


def test_masks_move_with_the_image() -> None:
    image = np.zeros((80, 120, 3), np.uint8)
    image[20:60, 30:50] = 255
    mask = image[..., 0] > 0
    for seed in range(20):
        view = draw_view((80, 120), (40, 40), CONFIG, np.random.default_rng(seed))
        seen = view.of_image(image)[..., 0] >= 128
        assert np.count_nonzero(seen ^ view.of_mask(mask)) <= 2


def test_a_flip_mirrors_left_and_right() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    plain = View(slice(0, 2), slice(0, 2), (2, 2), flipped=False)
    mirrored = View(slice(0, 2), slice(0, 2), (2, 2), flipped=True)
    assert (plain.of_image(image) == image).all()
    assert (mirrored.of_image(image) == image[:, ::-1]).all()


def test_scales_cover_the_range() -> None:
    config = DataConfig(crop_size=64, scale_range=(0.5, 2.0), aspect_jitter=1.0)
    rng = np.random.default_rng(0)
    factors = []
    for _ in range(200):
        view = draw_view((640, 640), (320, 320), config, rng)
        factors.append(view.size_hw[0] / (view.rows.stop - view.rows.start))
    assert 0.05 <= min(factors) < 0.06
    assert 0.18 < max(factors) <= 0.2


def test_colour_changes_but_shapes_stay() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    changed = jitter_colour(image, np.random.default_rng(1))
    assert changed.shape == image.shape
    assert changed.dtype == np.uint8
    assert (changed != image).any()
    assert np.corrcoef(changed.ravel(), image.ravel())[0, 1] > 0.8


def test_the_input_is_normalised_before_it_is_padded() -> None:
    image = np.broadcast_to(np.rint(PIXEL_MEAN).astype(np.uint8), (10, 20, 3))
    pixels = to_input(image, 32)
    assert pixels.shape == (3, 32, 32)
    assert (pixels[:, 10:] == 0).all()
    assert (pixels[:, :, 20:] == 0).all()
    assert np.abs(pixels).max() < 0.02
    assert pad_mask(np.ones((10, 20), np.bool_), 32).sum() == 200
