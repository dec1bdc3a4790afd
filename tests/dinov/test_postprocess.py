"""From logits to instances: right place, right category, no duplicates, nothing invented."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F

from dinov.images import ImageTransform
from dinov.masks import decode_rle, mask_iou, rle_box_xyxy
from dinov.options import InstanceOptions
from dinov.postprocess import (
    MASK_STRIDE,
    category_probabilities,
    mask_quality,
    resize_mask_logits,
    to_instances,
    upsample_mask,
    without_specks,
)
from dinov.types import Segmentation, SizeHW


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
    tidy = without_specks(logits, 0.03) > 0
    assert tidy[12, 50]
    assert not tidy[25, 47]
    assert not tidy[12, 12]
    assert tidy[26, 21]
    assert (tidy != (logits > 0)).sum() == 19


def test_what_has_no_pixel_at_the_original_size_is_told_apart() -> None:
    transform = ImageTransform.fit((12, 16), 128)  # one pixel for 2 x 2 logits
    masks = torch.stack([blob((10, 14), 6.3), blob((0, 0), 0.5)])
    probabilities = torch.tensor([[0.9], [0.8]])
    found = to_instances(probabilities, masks, [7], transform, score_thresholds=[0.0])
    assert [instance.area > 0 for instance in found.instances] == [True]
    assert [(instance.category_id, instance.area) for instance in found.emptied] == [(7, 0)]


def test_a_mask_of_one_pixel_is_no_speck_and_a_notch_at_the_border_is_no_hole() -> None:
    one = np.full((8, 8), -1.0, np.float32)
    one[3, 3] = 1
    assert (without_specks(one, 0.03) == one).all()
    notched = np.full((20, 20), 1.0, np.float32)
    notched[0, 7:9] = -1
    assert (without_specks(notched, 0.03) == notched).all()


def test_an_empty_mask_stays_empty() -> None:
    transform = ImageTransform.fit((50, 70), 128)
    assert not upsample_mask(np.full((24, 32), -1.0, np.float32), transform).any()


def test_positive_logits_in_the_padding_only_give_nothing() -> None:
    transform = ImageTransform.fit((33, 128), 128)
    logits = np.full((16, 32), -5.0, np.float32)
    logits[-2:] = 5.0
    assert transform.padded_hw == (64, 128)
    assert not upsample_mask(logits, transform).any()


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

    def found(
        self, probabilities: Tensor, thresholds: Sequence[float], **options: Any
    ) -> Segmentation:
        ids = [3, 8][: len(thresholds)]
        return to_instances(
            probabilities,
            self.masks,
            ids,
            self.transform,
            score_thresholds=thresholds,
            options=InstanceOptions(**options),
        )

    def test_each_object_gets_its_category_place_and_score(self) -> None:
        result = self.found(torch.tensor([[0.9, 0.1], [0.2, 0.6], [0.99, 0.99]]), [0.3, 0.3])
        assert [i.category_id for i in result.instances] == [3, 8]
        scores = [i.score for i in result.instances]
        assert scores == sorted(scores, reverse=True)
        first = result.instances[0]
        x0, y0, x1, y1 = first.box_xyxy
        assert abs((x0 + x1) / 2 - 68) < 3
        assert abs((y0 + y1) / 2 - 68) < 3
        assert first.area == decode_rle(first.rle).sum()

    def test_nothing_above_the_threshold_is_an_empty_result(self) -> None:
        result = self.found(torch.full((3, 2), 0.05), [0.3, 0.3])
        assert len(result) == 0
        assert result.size_hw == (192, 256)

    def test_nothing_proposed_is_an_empty_result(self) -> None:
        none = to_instances(
            torch.zeros(0, 2),
            torch.zeros(0, 24, 32),
            [3, 8],
            self.transform,
            score_thresholds=[0, 0],
        )
        assert len(none) == 0

    def test_at_most_so_many(self) -> None:
        assert len(self.found(torch.full((3, 1), 0.9), [0.1], max_instances=1)) == 1

    def test_each_category_has_its_threshold(self) -> None:
        probabilities = torch.tensor([[0.6, 0.1], [0.1, 0.6], [0.0, 0.0]])
        assert [i.category_id for i in self.found(probabilities, [0.3, 0.7]).instances] == [3]
        assert [i.category_id for i in self.found(probabilities, [0.7, 0.3]).instances] == [8]

    def test_a_winner_below_its_threshold_does_not_become_the_second_best(self) -> None:
        probabilities = torch.tensor([[0.5, 0.45], [0.0, 0.0], [0.0, 0.0]])
        assert len(self.found(probabilities, [0.6, 0.3])) == 0

    def test_masks_boxes_and_scores_stay_together(self) -> None:
        probabilities = torch.tensor([[0.2], [0.9], [0.9]])
        (instance,) = self.found(probabilities, [0.3]).instances
        mask = decode_rle(instance.rle)
        assert mask[132, 196]  # the second blob, at (16, 24) of the logits
        assert instance.box_xyxy == rle_box_xyxy(instance.rle)
        expected = 0.9 * float(mask_quality(self.masks[1:2]))
        assert instance.score == pytest.approx(expected, abs=1e-6)

    def test_overlapping_masks_of_one_object_are_one_instance_unless_told_otherwise(self) -> None:
        twice = torch.stack([self.masks[0], self.masks[0], self.masks[1]])
        for options, count in (({}, 2), ({"nms_threshold": 1.0, "containment_threshold": 1.0}, 3)):
            found = to_instances(
                torch.full((3, 1), 0.9),
                twice,
                [3],
                self.transform,
                score_thresholds=[0.1],
                options=InstanceOptions(**options),
            )
            assert len(found) == count

    def test_specks_can_be_kept(self) -> None:
        speckled = self.masks.clone()
        speckled[0, 18:21, 1:4] = 40.0
        kept, tidied = (
            to_instances(
                torch.tensor([[0.9], [0.0], [0.0]]),
                speckled,
                [3],
                self.transform,
                score_thresholds=[0.1],
                options=InstanceOptions(speck_share=share),
            ).instances[0]
            for share in (0.0, 0.3)
        )
        assert decode_rle(kept.rle)[156, 20]
        assert not decode_rle(tidied.rle)[156, 20]


@pytest.mark.parametrize(
    "wrong", [{"nms_threshold": 1.5}, {"speck_share": -0.1}, {"max_instances": 0}]
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Expected"):
        InstanceOptions(**wrong)


@pytest.mark.parametrize(
    ("original_hw", "place"), [((10, 14), "cpu"), ((12, 40), "cpu"), ((30, 40), "cuda")]
)
def test_masks_of_tiny_images_are_shrunk_where_that_is_possible(
    monkeypatch: pytest.MonkeyPatch, original_hw: SizeHW, place: str
) -> None:
    """A GPU cannot make one pixel of so many; here it only pretends to be there."""
    resize, places = F.interpolate, []

    def watched(maps: Tensor, **how: Any) -> Tensor:
        if how["antialias"]:
            places.append(maps.device.type)
        return resize(maps, **how)

    monkeypatch.setattr(F, "interpolate", watched)
    transform = ImageTransform.fit(original_hw, 640, resize="shortest")
    with FakeTensorMode():
        size_hw = tuple(side // MASK_STRIDE for side in transform.padded_hw)
        result = resize_mask_logits(torch.empty(2, *size_hw, device="cuda"), transform)
    assert places == [place]
    assert (result.shape, result.device.type) == ((2, *original_hw), "cuda")
