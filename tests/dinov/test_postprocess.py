"""From logits to instances: right place, right category, no duplicates, nothing invented."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from dinov.images import ImageTransform
from dinov.masks import decode_rle, mask_iou
from dinov.postprocess import (
    category_probabilities,
    mask_quality,
    resize_mask_logits,
    suppress_duplicates,
    to_instances,
    upsample_mask,
    without_specks,
)


def blob(center: tuple[float, float], radius: float, size: tuple[int, int] = (24, 32)) -> Tensor:
    """Mask logits of a disc, in pixels of the logits."""
    y, x = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    distance = ((y - center[0]) ** 2 + (x - center[1]) ** 2).sqrt()
    return 4 * (radius - distance)


@pytest.mark.parametrize("original_hw", [(96, 128), (480, 640), (301, 403), (60, 80), (1201, 1597)])
def test_a_mask_at_the_original_size_matches_the_papers_resizing(
    original_hw: tuple[int, int],
) -> None:
    transform = ImageTransform.fit(original_hw, 128)
    logits = blob((10, 14), 6.3, (transform.padded_hw[0] // 4, transform.padded_hw[1] // 4))
    fast = upsample_mask(logits.numpy(), transform)
    exact = resize_mask_logits(logits[None], transform)[0].numpy() > 0
    assert fast.shape == original_hw
    assert mask_iou(fast, exact) > 0.97


@pytest.mark.parametrize("center", [(0, 0), (19, 0), (0, 31), (12, 31), (19, 20)])
def test_the_window_never_cuts_a_mask(center: tuple[float, float]) -> None:
    transform = ImageTransform.fit((333, 517), 128)
    size = (transform.padded_hw[0] // 4, transform.padded_hw[1] // 4)
    logits = blob(center, 2.5, size)
    # A second blob in the far corner widens the window; the first one may not change.
    far = blob((size[0] - 1 - center[0], size[1] - 1 - center[1]), 1.5, size)
    alone = upsample_mask(logits.numpy(), transform)
    both = upsample_mask(torch.maximum(logits, far).numpy(), transform)
    near = upsample_mask(far.numpy(), transform)
    assert alone.any()
    assert ((alone | near) ^ both).mean() < 1e-3


def test_specks_and_pinholes_go_but_real_parts_and_holes_stay() -> None:
    logits = np.full((40, 60), -2.0, np.float32)
    logits[5:35, 5:35] = 2  # the object, 900 pixels
    logits[10:18, 45:55] = 2  # a part of 80
    logits[25:27, 45:50] = 2  # a speck of 10
    logits[10:18, 8:18] = -2  # a hole of 80
    logits[25:28, 20:23] = -2  # a pinhole of 9
    tidy = without_specks(logits) > 0
    assert tidy[12, 50]
    assert not tidy[25, 47]
    assert not tidy[12, 12]
    assert tidy[26, 21]
    assert (tidy != (logits > 0)).sum() == 19


def test_a_mask_of_one_pixel_is_no_speck_and_a_notch_at_the_border_is_no_hole() -> None:
    one = np.full((8, 8), -1.0, np.float32)
    one[3, 3] = 1
    assert (without_specks(one) == one).all()
    notched = np.full((20, 20), 1.0, np.float32)
    notched[0, 7:9] = -1
    assert (without_specks(notched) == notched).all()


def test_an_empty_mask_stays_empty() -> None:
    transform = ImageTransform.fit((50, 70), 128)
    assert not upsample_mask(np.full((24, 32), -1.0, np.float32), transform).any()


def test_positive_logits_in_the_padding_only_give_nothing() -> None:
    transform = ImageTransform.fit((33, 128), 128)
    logits = np.full((16, 32), -5.0, np.float32)
    logits[-2:] = 5.0
    assert transform.padded_hw == (64, 128)
    assert not upsample_mask(logits, transform).any()


def test_of_overlapping_masks_the_best_stays() -> None:
    masks = torch.stack([blob((10, 10), 5), blob((10, 10.4), 5), blob((10, 24), 5)])
    kept = suppress_duplicates(masks, torch.tensor([0.5, 0.9, 0.1]), iou_threshold=0.7)
    assert kept.tolist() == [1, 2]


def test_nothing_to_suppress_in_nothing() -> None:
    assert suppress_duplicates(torch.zeros(0, 4, 4), torch.zeros(0), 0.7).tolist() == []


def test_mask_quality_is_the_mean_probability_inside() -> None:
    masks = torch.stack([torch.full((4, 4), 2.0), torch.full((4, 4), -2.0)])
    torch.testing.assert_close(mask_quality(masks), torch.tensor([0.8808, 0.0]), atol=1e-4, rtol=0)


def test_a_better_fitting_negative_removes_only_its_category() -> None:
    logits = torch.tensor([[2.0, 1.0, 3.0], [2.0, 1.0, 0.0]])  # categories 5, 7, then negative of 5
    scores = category_probabilities(logits, [5, 7], [5])
    assert scores[0, 0] == 0
    assert scores[0, 1] > 0.7
    assert scores[1, 0] > 0.8


class TestToInstances:
    transform = ImageTransform.fit((192, 256), 128)
    masks = torch.stack([blob((8, 8), 4), blob((16, 24), 4), torch.full((24, 32), -3.0)])

    def test_each_object_gets_its_category_place_and_score(self) -> None:
        probabilities = torch.tensor([[0.9, 0.1], [0.2, 0.6], [0.99, 0.99]])
        result = to_instances(
            probabilities, self.masks, [3, 8], self.transform, score_threshold=0.3
        )
        assert [i.category_id for i in result.instances] == [3, 8]
        scores = [i.score for i in result.instances]
        assert scores == sorted(scores, reverse=True)
        first = result.instances[0]
        x0, y0, x1, y1 = first.box_xyxy
        assert abs((x0 + x1) / 2 - 68) < 3
        assert abs((y0 + y1) / 2 - 68) < 3
        assert first.area == decode_rle(first.rle).sum()

    def test_nothing_above_the_threshold_is_an_empty_result(self) -> None:
        low = torch.full((3, 2), 0.05)
        result = to_instances(low, self.masks, [1, 2], self.transform, score_threshold=0.3)
        assert len(result) == 0
        assert result.size_hw == (192, 256)

    def test_at_most_so_many(self) -> None:
        high = torch.full((3, 1), 0.9)
        result = to_instances(
            high, self.masks, [1], self.transform, score_threshold=0.1, max_instances=1
        )
        assert len(result) == 1
