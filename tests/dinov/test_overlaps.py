"""One mask per object: duplicates go, and of things inside each other the right ones stay."""

from __future__ import annotations

import numpy as np
import torch

from dinov.masks import encode_rle
from dinov.overlaps import (
    Areas,
    mask_overlaps,
    one_per_object,
    rle_overlaps,
    without_duplicates,
    without_nested,
)

Box = tuple[int, int, int, int]


def overlaps_of(*boxes: Box) -> Areas:
    masks = torch.full((len(boxes), 60, 80), -1.0)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        mask[y0:y1, x0:x1] = 1
    return mask_overlaps(masks)


def nested(scores: list[float], *boxes: Box, categories: list[int] | None = None) -> list[int]:
    numbers = np.array(categories or [1] * len(boxes))
    return without_nested(overlaps_of(*boxes), np.array(scores), numbers, 0.8)


WHOLE: Box = (0, 0, 40, 20)
LEFT: Box = (1, 1, 18, 19)
RIGHT: Box = (21, 1, 39, 19)
DETAIL: Box = (2, 2, 8, 8)


def test_encoded_masks_overlap_like_plain_ones() -> None:
    rng = np.random.default_rng(0)
    masks = rng.random((5, 31, 17)) < np.array([0.5, 0.2, 0.9, 0.0, 1.0])[:, None, None]
    plain = mask_overlaps(torch.from_numpy(masks).float() - 0.5)
    masks[3, 0, 0] = plain[3, 3] == 1  # stays empty
    np.testing.assert_allclose(
        np.nan_to_num(rle_overlaps([encode_rle(mask) for mask in masks])), plain, atol=1e-6
    )
    assert rle_overlaps([]).shape == (0, 0)


def test_of_overlapping_masks_the_best_stays() -> None:
    overlaps = overlaps_of((0, 0, 10, 10), (1, 0, 11, 10), (40, 0, 50, 10))
    assert without_duplicates(overlaps, np.array([0.5, 0.9, 0.1]), 0.7) == [1, 2]
    assert without_duplicates(overlaps, np.array([0.5, 0.9, 0.1]), 1.0) == [1, 0, 2]


def test_nothing_comes_of_nothing() -> None:
    nothing, numbers = np.zeros((0, 0)), np.zeros(0, np.int64)
    found = one_per_object(
        nothing, np.zeros(0), numbers, nms_threshold=0.5, containment_threshold=0.8
    )
    assert found == []


def test_a_blob_over_two_objects_goes() -> None:
    assert nested([0.7, 0.6, 0.5], WHOLE, LEFT, RIGHT) == [1, 2]


def test_an_object_stays_if_its_parts_are_much_less_sure() -> None:
    assert nested([0.9, 0.4, 0.3], WHOLE, LEFT, RIGHT) == [0]


def test_a_detail_of_a_better_whole_goes() -> None:
    assert nested([0.7, 0.6], WHOLE, DETAIL) == [0]


def test_the_blob_around_a_better_object_goes() -> None:
    assert nested([0.5, 0.6], WHOLE, LEFT) == [1]


def test_parts_that_are_one_another_s_duplicate_explain_no_whole() -> None:
    shifted: Box = (3, 1, 20, 19)
    assert nested([0.7, 0.6, 0.6], WHOLE, LEFT, shifted) == [0]


def test_parts_that_cover_little_explain_no_whole() -> None:
    assert nested([0.7, 0.6, 0.6], WHOLE, DETAIL, (30, 10, 36, 16)) == [0]


def test_another_category_may_lie_inside() -> None:
    assert nested([0.7, 0.6], WHOLE, DETAIL, categories=[1, 2]) == [0, 1]


def test_neighbours_that_merely_overlap_stay() -> None:
    assert nested([0.7, 0.6], (0, 0, 20, 20), (10, 0, 30, 20)) == [0, 1]


def test_a_threshold_of_one_keeps_all() -> None:
    overlaps = overlaps_of(WHOLE, LEFT, DETAIL)
    scores = np.array([0.7, 0.6, 0.5])
    assert without_nested(overlaps, scores, np.ones(3, np.int64), 1.0) == [0, 1, 2]
