from __future__ import annotations

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from dinov import masks
from dinov.errors import InvalidPrompt
from dinov.types import Mask, Prompt, PromptType, Rle

SIZE = (40, 60)


def prompt(kind: str, *points: float, width: float | None = None, rle: Rle | None = None) -> Prompt:
    return Prompt(1, PromptType(kind), points, width, rle)


def block(top: int, left: int, bottom: int, right: int, size: tuple[int, int] = SIZE) -> Mask:
    mask = np.zeros(size, np.bool_)
    mask[top:bottom, left:right] = True
    return mask


def random_masks() -> list[Mask]:
    """Specks, blobs, stripes, touching corners and borders."""
    generator = np.random.default_rng(7)
    drawn = []
    for density in (0.02, 0.3, 0.5, 0.7, 0.98):
        drawn.append(generator.random((13, 17)) < density)
        noise = cv2.GaussianBlur(generator.random((60, 80)), (0, 0), 4)
        drawn.append(noise > np.quantile(noise, 1 - density))
    return [*drawn, np.ones((5, 9), np.bool_), np.eye(8, dtype=np.bool_), block(0, 0, 40, 1)]


def test_point_marks_the_pixel_it_falls_in() -> None:
    mask = masks.rasterise(prompt("point", 7.9, 3.0), SIZE)
    np.testing.assert_array_equal(np.argwhere(mask), [[3, 7]])
    assert masks.rasterise(prompt("point", 60.0, 40.0), SIZE)[39, 59]  # on the very border


def test_box_takes_its_corners_in_any_order_and_is_clipped() -> None:
    for points in ((5, 10, 15, 30), (15, 30, 5, 10), (5, 30, 15, 10)):
        np.testing.assert_array_equal(
            masks.rasterise(prompt("box", *points), SIZE), block(10, 5, 30, 15)
        )
    clipped = masks.rasterise(prompt("box", -20, -5, 3.2, 1000), SIZE)
    np.testing.assert_array_equal(clipped, block(0, 0, 40, 4))


def test_scribble_has_its_width_and_reaches_its_ends() -> None:
    thin = masks.rasterise(prompt("scribble", 10.5, 20.5, 30.5, 20.5), SIZE)
    np.testing.assert_array_equal(thin, block(20, 10, 21, 31))
    wide = masks.rasterise(prompt("scribble", 10.5, 20.5, 30.5, 20.5, width=7), SIZE)
    np.testing.assert_array_equal(wide[:, 20], block(17, 0, 24, 60)[:, 20])
    np.testing.assert_array_equal(wide[20], block(0, 7, 40, 34)[20])


def test_scribble_along_the_far_border_is_inside() -> None:
    mask = masks.rasterise(prompt("scribble", 60, 5, 60, 40), SIZE)
    np.testing.assert_array_equal(mask, block(5, 59, 40, 60))


def test_scribble_of_one_point_is_a_dot() -> None:
    assert masks.rasterise(prompt("scribble", 10.5, 20.5), SIZE)[20, 10]
    dot = masks.rasterise(prompt("scribble", 10.5, 20.5, width=9), SIZE)
    assert 50 < dot.sum() < 80
    np.testing.assert_array_equal(dot, dot & block(15, 5, 26, 16))


def test_scribble_that_leaves_the_image_keeps_its_inside() -> None:
    mask = masks.rasterise(prompt("scribble", -5000.5, 20.5, 70_000.5, 20.5), SIZE)
    np.testing.assert_array_equal(mask, block(20, 0, 21, 60))


def test_polygon_is_filled_and_clipped() -> None:
    square = masks.rasterise(prompt("polygon", 5, 5, 15, 5, 15, 15, 5, 15), SIZE)
    np.testing.assert_array_equal(square, block(5, 5, 15, 15))
    outside = masks.rasterise(prompt("polygon", -9, -9, 15, -9, 15, 99, -9, 99), SIZE)
    np.testing.assert_array_equal(outside, block(0, 0, 40, 15))


def test_mask_prompt_is_its_rle() -> None:
    drawn = block(3, 4, 9, 20)
    mask = masks.rasterise(prompt("mask", rle=masks.encode_rle(drawn)), SIZE)
    np.testing.assert_array_equal(mask, drawn)


@pytest.mark.parametrize(
    "bad",
    [
        prompt("point", 61, 5),
        prompt("point", 5, -0.1),
        prompt("point", 5),
        prompt("point", float("nan"), 5),
        prompt("box", 5, 5, 5, 20),
        prompt("box", 70, 5, 90, 20),
        prompt("box", -20, 5, -1, 20),
        prompt("box", 1, 2, 3),
        prompt("box", 1, 2, 3, 1e30),
        prompt("scribble"),
        prompt("scribble", 5, 5, 7),
        prompt("scribble", 500, 500, 600, 600),
        prompt("scribble", 5, 5, 7, 7, width=0),
        prompt("scribble", 5, 5, 7, 7, width=float("inf")),
        prompt("polygon", 5, 5, 9, 9),
        prompt("polygon", 5, 5, 10, 10, 20, 20),
        prompt("polygon", 500, 500, 600, 500, 600, 600),
        prompt("mask"),
        prompt("mask", rle=masks.encode_rle(np.zeros(SIZE, np.bool_))),
        prompt("mask", rle=masks.encode_rle(np.ones((60, 40), np.bool_))),
        prompt("mask", rle=Rle(size=[40, 60], counts="11")),
        prompt("mask", rle=Rle(size=[40, 60], counts="é")),
        prompt("mask", rle=Rle(size=[40, 60], counts="")),
        prompt("mask", rle=Rle(size=[40, 60], counts="oooo")),
        prompt("mask", rle=Rle(size=[40, 60], counts="ooooooooooooooooooo1")),
        prompt("mask", rle=Rle(size=[40, 60], counts=" !1")),
    ],
)
def test_prompts_that_mark_nothing_are_refused(bad: Prompt) -> None:
    with pytest.raises(InvalidPrompt):
        masks.rasterise(bad, SIZE)


@pytest.mark.parametrize("mask", random_masks())
def test_rle_round_trip_area_and_box(mask: Mask) -> None:
    rle = masks.encode_rle(mask)
    assert rle["size"] == list(mask.shape)
    assert all(type(side) is int for side in rle["size"])
    assert rle["counts"].isascii()
    np.testing.assert_array_equal(masks.decode_rle(rle), mask)
    reference = coco_mask.decode({"size": rle["size"], "counts": rle["counts"].encode()})
    np.testing.assert_array_equal(reference, mask)
    assert masks.rle_area(rle) == mask.sum()
    rows, columns = np.nonzero(mask)
    assert masks.rle_box_xyxy(rle) == (
        columns.min(),
        rows.min(),
        columns.max() + 1,
        rows.max() + 1,
    )


def test_an_empty_mask_has_no_area_box_or_polygon() -> None:
    rle = masks.encode_rle(np.zeros(SIZE, np.bool_))
    assert masks.rle_area(rle) == 0
    assert masks.rle_box_xyxy(rle) == (0, 0, 0, 0)
    assert not masks.decode_rle(rle).any()
    assert masks.polygons_of(np.zeros(SIZE, np.bool_)) == []
    assert not masks.mask_of_polygons([], SIZE).any()


@pytest.mark.parametrize("total", [39 * 60, 41 * 60])
def test_runs_must_fill_the_size(total: int) -> None:
    counts = coco_mask.encode(np.ones((total, 1), np.uint8, order="F"))["counts"].decode()
    with pytest.raises(ValueError, match="60x40"):
        masks.decode_rle(Rle(size=list(SIZE), counts=counts))


def test_iou() -> None:
    a, b, empty = block(0, 0, 10, 10), block(0, 5, 10, 15), block(0, 0, 0, 0)
    for one, other, expected in ((a, b, 1 / 3), (a, a, 1), (a, empty, 0), (empty, empty, 0)):
        assert masks.mask_iou(one, other) == pytest.approx(expected)
        rles = masks.encode_rle(one), masks.encode_rle(other)
        assert masks.rle_iou(*rles) == pytest.approx(expected)


def test_polygons_run_along_pixel_edges() -> None:
    polygons = masks.polygons_of(block(0, 0, 10, 10))
    assert polygons is not None
    assert len(polygons) == 1
    assert sorted(zip(polygons[0][::2], polygons[0][1::2], strict=True)) == [
        (0, 0),
        (0, 10),
        (10, 0),
        (10, 10),
    ]


def test_every_part_has_a_ring_and_corners_do_not_join() -> None:
    assert len(masks.polygons_of(np.eye(4, dtype=np.bool_)) or []) == 4
    assert len(masks.polygons_of(block(0, 0, 5, 5) | block(20, 20, 30, 40)) or []) == 2


def test_holes_cannot_be_polygons_unless_split() -> None:
    donut = block(5, 5, 35, 35) & ~block(15, 15, 25, 25)
    assert masks.polygons_of(donut) is None
    polygons = masks.polygons_of(donut, split_holes=True)
    assert polygons is not None
    np.testing.assert_array_equal(masks.mask_of_polygons(polygons, SIZE), donut)


@pytest.mark.parametrize("mask", random_masks())
def test_polygons_enclose_exactly_the_mask(mask: Mask) -> None:
    polygons = masks.polygons_of(mask, split_holes=True)
    assert polygons is not None
    assert all(len(polygon) >= 8 and len(polygon) % 2 == 0 for polygon in polygons)
    np.testing.assert_array_equal(masks.mask_of_polygons(polygons, mask.shape), mask)
    area = 0.0
    for polygon in polygons:
        x, y = np.array(polygon).reshape(-1, 2).T
        area += (x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
    assert area == mask.sum()


@pytest.mark.parametrize("polygon", [[1.0, 2.0, 3.0, 4.0], [1.0] * 7, []])
def test_what_is_no_polygon_is_refused(polygon: list[float]) -> None:
    # pycocotools would read four numbers as a box
    with pytest.raises(InvalidPrompt, match="three points"):
        masks.mask_of_polygons([polygon], SIZE)


def test_a_part_of_a_large_image_is_encoded_without_laying_the_image_out() -> None:
    for mask in random_masks():
        for top, left, bottom, right in ((0, 0, 0, 0), (3, 0, 2, 5), (0, 4, 0, 1), (0, 0, 0, 3)):
            full = np.pad(mask, ((top, bottom), (left, right)))
            size = (full.shape[0], full.shape[1])
            assert masks.encode_rle_inside(mask, (top, left), size) == masks.encode_rle(full)
    empty = masks.encode_rle_inside(np.zeros((3, 4), np.bool_), (1, 1), (9, 8))
    assert empty == masks.encode_rle(np.zeros((9, 8), np.bool_))


def test_a_crop_of_an_encoded_mask() -> None:
    for mask in random_masks():
        rle = masks.encode_rle(mask)
        for box in ((0, 0, *mask.shape), (1, 2, 4, 5), (2, 0, 5, 8), (3, 3, 3, 6)):
            top, left, bottom, right = box
            cropped = masks.crop_mask(rle, box)
            np.testing.assert_array_equal(cropped, mask[top:bottom, left:right])


def test_the_union_of_encoded_masks() -> None:
    a, b = block(2, 3, 10, 12), block(8, 8, 20, 30)
    united = masks.unite_rles([masks.encode_rle(a), masks.encode_rle(b)])
    np.testing.assert_array_equal(masks.decode_rle(united), a | b)
