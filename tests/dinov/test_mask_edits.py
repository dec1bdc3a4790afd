from __future__ import annotations

import numpy as np
import pytest

from dinov.errors import InvalidPrompt
from dinov.mask_edits import (
    Stroke,
    brush_rle,
    brushed,
    change_rle,
    connected_parts,
    cut,
    cut_rle,
    fill_holes,
    fill_rings,
    remove_specks,
    simplify,
)
from dinov.masks import decode_rle, encode_rle, mask_iou, rings_of, rle_area

SIZE = (40, 60)


def block(x0: int, y0: int, x1: int, y1: int, size_hw=SIZE) -> np.ndarray:
    mask = np.zeros(size_hw, np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


def blobs(seed: int, size_hw=SIZE) -> np.ndarray:
    """Some overlapping blocks with some holes, also at the border."""
    random = np.random.default_rng(seed)
    mask = np.zeros(size_hw, np.bool_)
    for value in (True, True, True, False, True, False):
        x, y = random.integers(-5, size_hw[1]), random.integers(-5, size_hw[0])
        w, h = random.integers(3, 25, 2)
        mask[max(y, 0) : y + h, max(x, 0) : x + w] = value
    return mask


def test_a_stroke_adds_what_it_paints_and_an_erasing_one_takes_it_away() -> None:
    mask = block(10, 10, 20, 20)
    grown = brushed(mask, [Stroke((30, 15), 9)])
    assert grown[10:20, 10:20].all()
    assert grown[15, 30]
    assert grown[11, 30]
    assert not grown[9, 30]
    bitten = brushed(grown, [Stroke((5, 15, 55, 15), 3, erases=True)])
    assert not bitten[14:17].any()
    assert np.array_equal(bitten[:14], grown[:14])
    assert np.array_equal(mask, block(10, 10, 20, 20))


@pytest.mark.parametrize("seed", range(8))
def test_brushing_the_encoded_mask_is_brushing_the_mask(seed: int) -> None:
    mask = blobs(seed)
    random = np.random.default_rng(seed)
    strokes = [
        Stroke(tuple(random.uniform(0, [60, 40] * 3)), float(random.uniform(1, 30)), erases)
        for erases in (False, True, False)
    ]
    expected = brushed(mask, strokes)
    assert np.array_equal(decode_rle(brush_rle(encode_rle(mask), strokes)), expected)


def test_a_brush_wider_than_the_image_fills_it() -> None:
    empty = encode_rle(np.zeros(SIZE, np.bool_))
    assert rle_area(brush_rle(empty, [Stroke((30, 20), 500)])) == SIZE[0] * SIZE[1]


def test_rings_inside_others_are_holes() -> None:
    outer, hole = [5, 5, 45, 5, 45, 35, 5, 35], [15, 15, 25, 15, 25, 25, 15, 25]
    mask = fill_rings([outer, hole], SIZE)
    assert np.array_equal(mask, block(5, 5, 45, 35) & ~block(15, 15, 25, 25))
    with pytest.raises(InvalidPrompt):
        fill_rings([[1, 1, 2, 2]], SIZE)


@pytest.mark.parametrize("seed", range(8))
def test_an_outline_filled_again_is_the_mask(seed: int) -> None:
    mask = blobs(seed)
    rings = [ring.ravel().tolist() for ring in rings_of(mask)]
    assert np.array_equal(fill_rings(rings, SIZE), mask)


def test_holes_are_filled_and_bays_stay_open() -> None:
    mask = block(5, 5, 45, 35) & ~block(15, 15, 25, 25) & ~block(40, 10, 45, 20)
    assert np.array_equal(fill_holes(mask), block(5, 5, 45, 35) & ~block(40, 10, 45, 20))
    assert np.array_equal(fill_holes(block(0, 0, 60, 40)), block(0, 0, 60, 40))


def test_specks_go_and_the_largest_part_stays_whatever_its_size() -> None:
    mask = block(5, 5, 15, 15) | block(30, 30, 32, 32) | block(50, 5, 54, 9)
    assert np.array_equal(remove_specks(mask, 10), block(5, 5, 15, 15) | block(50, 5, 54, 9))
    assert np.array_equal(remove_specks(mask, 10_000), block(5, 5, 15, 15))
    assert not remove_specks(np.zeros(SIZE, np.bool_), 10).any()


def test_a_simpler_outline_has_fewer_corners_and_keeps_holes() -> None:
    rows, columns = np.mgrid[0:200, 0:200]
    ring = np.abs(np.hypot(rows - 100, columns - 100) - 60) < 25
    simpler = simplify(ring, 2.0)
    assert sum(map(len, rings_of(simplify(block(5, 5, 45, 35), 2)))) == 4
    assert mask_iou(simpler, ring) > 0.95
    assert not simpler[100, 100]
    assert simpler[100, 40]
    speck = block(3, 3, 4, 4)
    assert np.array_equal(simplify(speck, 50), speck)


def test_a_stroke_across_cuts_in_two_and_no_pixel_is_lost() -> None:
    mask = block(10, 10, 50, 30)
    large, small = cut(mask, [20, 5, 20, 35])
    assert np.array_equal(large | small, mask)
    assert not (large & small).any()
    assert not small[:, 21:].any()
    assert not large[:, :20].any()


@pytest.mark.parametrize(
    "stroke", [[20, 5, 20, 20], [0, 0, 60, 0], [30, 20], [20, 15, 30, 15, 30, 20], [5, 10, 55, 10]]
)
def test_a_stroke_that_does_not_cut_through_leaves_one_piece(stroke: list[float]) -> None:
    mask = block(10, 10, 50, 30)
    (piece,) = cut(mask, stroke)
    assert np.array_equal(piece, mask)


def test_parts_that_the_stroke_misses_go_with_the_nearest_piece() -> None:
    body, left, right = block(20, 10, 40, 30), block(5, 10, 10, 30), block(50, 10, 55, 30)
    pieces = cut(body | left | right, [30, 0, 30, 40])
    assert len(pieces) == 2
    by_side = sorted(pieces, key=lambda piece: int(np.nonzero(piece)[1].min()))
    assert by_side[0][left].all()
    assert by_side[1][right].all()


@pytest.mark.parametrize("seed", range(8))
def test_pieces_are_disjoint_and_make_up_the_mask(seed: int) -> None:
    mask = blobs(seed)
    random = np.random.default_rng(seed + 100)
    for stroke in (random.uniform(0, [60, 40] * 4).tolist(), [0, 20, 60, 20], [30, 0, 30, 40]):
        pieces = [cut(mask, stroke), [decode_rle(rle) for rle in cut_rle(encode_rle(mask), stroke)]]
        for some in pieces:
            assert np.array_equal(np.sum(some, axis=0), mask.astype(int))
    assert [piece.sum() for piece in pieces[0]] == [piece.sum() for piece in pieces[1]]


def test_an_empty_mask_stays_empty() -> None:
    empty = np.zeros(SIZE, np.bool_)
    assert [piece.any() for piece in cut(empty, [0, 0, 60, 40])] == [False]
    for change in (fill_holes, lambda mask: simplify(mask, 1), lambda mask: remove_specks(mask, 1)):
        assert rle_area(change_rle(encode_rle(empty), change)) == 0


@pytest.mark.parametrize("seed", range(8))
def test_changing_the_encoded_mask_is_changing_the_mask(seed: int) -> None:
    mask = blobs(seed)
    for change in (fill_holes, lambda mask: remove_specks(mask, 30), lambda m: simplify(m, 1.5)):
        assert np.array_equal(decode_rle(change_rle(encode_rle(mask), change)), change(mask))


def test_connected_parts_come_largest_first() -> None:
    small, large = block(0, 0, 5, 5), block(20, 20, 40, 30)
    assert [part.sum() for part in connected_parts(small | large)] == [200, 25]
