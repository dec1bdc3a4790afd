from __future__ import annotations

import numpy as np
import pytest

from dinov.evaluation.panoptic_quality import PanopticTally, PixelTally
from dinov.panoptic import FlatMap, Segment

RED, BLUE = 1, 2


def flat(width: int, *spans: tuple[int, int, int]) -> FlatMap:
    """One row of pixels; spans are (category, start, stop)."""
    numbers = np.zeros((1, width), np.int32)
    segments = []
    for number, (category, start, stop) in enumerate(spans, start=1):
        numbers[0, start:stop] = number
        segments.append(Segment(number, category, stop - start))
    return FlatMap(numbers, tuple(segments))


def test_the_truth_itself_is_perfect() -> None:
    truth = flat(20, (RED, 0, 5), (RED, 6, 9), (BLUE, 10, 20))
    tally = PanopticTally()
    tally.add(truth, truth, {RED, BLUE})
    assert tally.quality() == {RED: 1.0, BLUE: 1.0}


def test_quality_is_the_matched_iou_over_the_mean_of_found_and_true() -> None:
    truth = flat(40, (RED, 0, 10), (RED, 20, 30))
    found = flat(40, (RED, 0, 8), (RED, 31, 40), (BLUE, 20, 30))
    tally = PanopticTally()
    tally.add(found, truth, {RED, BLUE})
    # One match of IoU 0.8, one false, one missed; blue was found where it is not.
    assert tally.quality() == {RED: pytest.approx(0.8 / 2), BLUE: 0.0}


def test_half_an_overlap_is_no_match() -> None:
    tally = PanopticTally()
    tally.add(flat(20, (RED, 0, 5)), flat(20, (RED, 0, 10)), {RED})
    assert tally.quality() == {RED: 0.0}


def test_a_category_that_is_not_annotated_throughout_has_no_false_finds() -> None:
    truth, found = flat(20, (RED, 0, 5)), flat(20, (RED, 0, 5), (RED, 10, 15), (BLUE, 15, 20))
    tally = PanopticTally()
    tally.add(found, truth, known=set())
    assert tally.quality() == {RED: 1.0}


def test_void_pixels_count_neither_for_nor_against() -> None:
    void = np.zeros((1, 30), np.bool_)
    void[0, 10:] = True
    tally = PanopticTally()
    # The first reaches into the void, the second lies in it.
    tally.add(flat(30, (RED, 0, 15), (BLUE, 16, 30)), flat(30, (RED, 0, 10)), {RED, BLUE}, void)
    assert tally.quality() == {RED: 1.0}


def test_pixels_are_summed_over_images_before_they_are_divided() -> None:
    tally = PixelTally()
    region = np.zeros((1, 20), np.bool_)
    region[0, :10] = True
    tally.add(flat(20, (RED, 0, 10)), {RED: region}, {RED, BLUE})
    tally.add(flat(20, (RED, 0, 5), (BLUE, 5, 10)), {RED: region}, {RED, BLUE})
    tally.add(flat(20, (RED, 0, 20)), {}, {BLUE})
    assert tally.iou([RED, BLUE]) == {RED: 15 / 20, BLUE: 0.0}
    assert tally.iou([3]) == {}
