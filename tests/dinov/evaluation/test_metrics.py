from __future__ import annotations

import numpy as np
import pytest

from dinov.evaluation.metrics import instance_coverage, map_coverage, mean_over_categories
from dinov.masks import mask_iou

THRESHOLDS = np.array([0.2, 0.5, 0.8])


def region(*columns: int) -> np.ndarray:
    mask = np.zeros((4, 10), np.bool_)
    mask[:, list(columns)] = True
    return mask


def test_the_union_of_instances_above_each_threshold_is_measured() -> None:
    truth = region(0, 1, 2, 3)
    masks, scores = [region(0, 1), region(2, 3), region(3, 4, 5, 6)], [0.9, 0.6, 0.3]
    coverage = instance_coverage(masks, scores, truth, THRESHOLDS)
    expected = [region(0, 1, 2, 3, 4, 5, 6), region(0, 1, 2, 3), region(0, 1)]
    assert coverage.iou == pytest.approx([mask_iou(found, truth) for found in expected])
    assert coverage.area == pytest.approx([found.mean() for found in expected])


def test_a_score_equal_to_the_threshold_counts() -> None:
    coverage = instance_coverage([region(0)], [0.5], region(0), THRESHOLDS)
    assert coverage.iou.tolist() == [1, 1, 0]


def test_finding_nothing_where_nothing_is_is_right() -> None:
    coverage = instance_coverage([], [], region(), THRESHOLDS)
    assert coverage.iou.tolist() == [1, 1, 1]
    assert coverage.area.tolist() == [0, 0, 0]


@pytest.mark.parametrize("seed", range(5))
def test_score_maps_are_thresholded_exactly(seed: int) -> None:
    rng = np.random.default_rng(seed)
    score_map, truth = rng.random((6, 7)), rng.random((6, 7)) > 0.6
    coverage = map_coverage(score_map, truth, THRESHOLDS)
    for t, threshold in enumerate(THRESHOLDS):
        assert coverage.iou[t] == pytest.approx(mask_iou(score_map >= threshold, truth))
        assert coverage.area[t] == pytest.approx((score_map >= threshold).mean())


def test_every_category_counts_the_same_however_many_episodes_it_has() -> None:
    keys = [("a", "cat"), ("a", "cat"), ("a", "cat"), ("b", "cat")]
    values = np.array([[0.0], [0.0], [0.3], [0.9]])
    assert mean_over_categories(keys, values) == pytest.approx([0.5])
