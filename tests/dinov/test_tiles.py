"""Tiles: what is whole, what a seam cuts, and that nothing is reported twice."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from dinov.errors import InvalidImage
from dinov.masks import decode_rle, instance_of, mask_iou
from dinov.options import InstanceOptions
from dinov.tiles import Tile, segment_in_tiles, tiles_of
from dinov.types import Image, Mask, Segmentation

OPTIONS = InstanceOptions()
SIDE = 128


@pytest.mark.parametrize("size_hw", [(128, 128), (50, 700), (129, 128), (1000, 641), (300, 90)])
@pytest.mark.parametrize("side", [64, 128, 200])
def test_tiles_cover_everything_and_overlap(size_hw: tuple[int, int], side: int) -> None:
    tiles = tiles_of(size_hw, side)
    seen = np.zeros(size_hw, np.bool_)
    for tile in tiles:
        assert 0 <= tile.top < tile.bottom <= size_hw[0]
        assert 0 <= tile.left < tile.right <= size_hw[1]
        assert tile.bottom - tile.top == min(side, size_hw[0])
        assert tile.right - tile.left == min(side, size_hw[1])
        seen[tile.top : tile.bottom, tile.left : tile.right] = True
    assert seen.all()
    # Whatever fits into the overlap lies whole in a tile, wherever it is.
    small = side // 4 - 1
    for y, x in itertools.product(range(0, size_hw[0] - small, 7), range(0, size_hw[1] - small, 7)):
        assert any(
            t.top <= y and y + small <= t.bottom and t.left <= x and x + small <= t.right
            for t in tiles
        )


def test_only_sides_inside_the_image_cut() -> None:
    mask = np.zeros((300, 300), np.bool_)
    mask[0:20, 110:128] = True
    instance = instance_of(mask, 1, 0.5)
    assert not Tile(0, 0, 300, 300).cuts(instance, (300, 300))
    assert Tile(0, 0, 128, 128).cuts(instance, (300, 300))
    assert not Tile(0, 64, 128, 192).cuts(instance, (300, 300))


def scene(size_hw: tuple[int, int], *boxes: tuple[int, int, int, int]) -> Image:
    """A black image with one object per box (x0, y0, x1, y1), each of its own colour."""
    image = np.zeros((*size_hw, 3), np.uint8)
    for number, (x0, y0, x1, y1) in enumerate(boxes, start=1):
        image[y0:y1, x0:x1] = number
    return image


def masks_of(image: Image) -> list[Mask]:
    return [image[..., 0] == number for number in np.unique(image[..., 0]) if number]


class FakeModel:
    """Finds every colour; of what is small for its input it sees nothing."""

    def __init__(self, least_share: float = 0.0, score: float = 0.8, blur: int = 0) -> None:
        self.least_share, self.score, self.blur = least_share, score, blur
        self.largest = 0

    def __call__(self, image: Image) -> Segmentation:
        self.largest = max(self.largest, image.size)
        least = (self.least_share * max(image.shape[:2])) ** 2
        instances = [
            instance_of(self._blurred(mask), 1, self.score)
            for mask in masks_of(image)
            if mask.sum() >= least
        ]
        return Segmentation((image.shape[0], image.shape[1]), tuple(instances))

    def _blurred(self, mask: Mask) -> Mask:
        """Grown by a few pixels, as much as fits."""
        rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
        grown = mask.copy()
        grown[
            max(rows[0] - self.blur, 0) : rows[-1] + 1 + self.blur,
            max(columns[0] - self.blur, 0) : columns[-1] + 1 + self.blur,
        ] = True
        return grown


def assert_found(image: Image, found: Segmentation, least_iou: float = 0.999) -> None:
    """One instance for each colour, and no other."""
    truths = masks_of(image)
    masks = [decode_rle(instance.rle) for instance in found.instances]
    assert len(masks) == len(truths)
    for truth in truths:
        assert max(mask_iou(truth, mask) for mask in masks) >= least_iou
    for instance, mask in zip(found.instances, masks, strict=True):
        assert instance.area == mask.sum()


@pytest.mark.parametrize(
    "box",
    [
        (60, 60, 80, 80),  # inside the first tile
        (100, 10, 120, 30),  # in the overlap
        (115, 100, 145, 140),  # over the corner of four tiles
        (0, 0, 15, 15),  # at the border of the image
        (385, 285, 400, 300),
        (10, 50, 390, 70),  # longer than three tiles
        (20, 20, 380, 280),  # nearly all
    ],
)
@pytest.mark.parametrize("blur", [0, 1])
def test_an_object_anywhere_is_one_instance(box: tuple[int, int, int, int], blur: int) -> None:
    image = scene((300, 400), box)
    found = segment_in_tiles(image, FakeModel(blur=blur), SIDE, OPTIONS)
    assert_found(image, found, least_iou=0.8)
    assert [i.score for i in found.instances] == [pytest.approx(0.8)]


def test_many_small_objects_that_the_whole_image_does_not_show() -> None:
    boxes = [(x, y, x + 8, y + 8) for x in range(3, 390, 21) for y in range(2, 290, 23)]
    image = scene((300, 400), *boxes)
    model = FakeModel(least_share=0.04)
    assert len(model(image)) == 0
    assert_found(image, segment_in_tiles(image, model, SIDE, OPTIONS))


def test_an_object_across_a_seam_is_joined_where_the_whole_image_does_not_show_it() -> None:
    # A thin one, longer than a tile: it is complete nowhere.
    image = scene((300, 400), (20, 200, 380, 203))
    model = FakeModel(least_share=0.1)
    assert len(model(image)) == 0
    assert_found(image, segment_in_tiles(image, FakeModel(least_share=0.1), SIDE, OPTIONS))


def test_neighbours_at_a_seam_stay_apart() -> None:
    image = scene((300, 400), (80, 10, 110, 40), (112, 10, 142, 40), (80, 42, 110, 72))
    assert_found(image, segment_in_tiles(image, FakeModel(), SIDE, OPTIONS))


def test_the_model_never_sees_more_than_a_tile_besides_the_whole() -> None:
    image = scene((300, 400), (60, 60, 80, 80))
    sizes: list[tuple[int, ...]] = []

    def watch(part: Image) -> Segmentation:
        sizes.append(part.shape)
        return FakeModel()(part)

    segment_in_tiles(image, watch, SIDE, OPTIONS)
    assert sizes[0] == (300, 400, 3)
    assert set(sizes[1:]) == {(SIDE, SIDE, 3)}
    assert len(sizes) == 1 + len(tiles_of((300, 400), SIDE))


def test_an_image_no_larger_than_a_tile_is_segmented_once() -> None:
    calls: list[Any] = []

    def count(part: Image) -> Segmentation:
        calls.append(part)
        return FakeModel()(part)

    image = scene((100, 128), (10, 10, 30, 30))
    assert_found(image, segment_in_tiles(image, count, SIDE, OPTIONS))
    assert len(calls) == 1


def test_nothing_found_is_an_answer() -> None:
    found = segment_in_tiles(scene((300, 400)), FakeModel(), SIDE, OPTIONS)
    assert found == Segmentation((300, 400))


def test_what_is_emptied_in_a_tile_is_passed_on() -> None:
    def segment(part: Image) -> Segmentation:
        nothing = np.zeros(part.shape[:2], np.bool_)
        return Segmentation(nothing.shape, (), (instance_of(nothing, 1, 0.4),))

    found = segment_in_tiles(scene((100, 150)), segment, 100, OPTIONS)
    assert found.instances == ()
    assert [instance.rle["size"] for instance in found.emptied] == [[100, 150]] * 2


def test_at_most_so_many() -> None:
    boxes = [(x, 20, x + 8, 28) for x in range(3, 390, 21)]
    options = InstanceOptions(max_instances=5)
    assert len(segment_in_tiles(scene((300, 400), *boxes), FakeModel(), SIDE, options)) == 5


def test_tiny_tiles_are_refused() -> None:
    with pytest.raises(InvalidImage, match="Use 64 or more"):
        segment_in_tiles(scene((300, 400)), FakeModel(), 10, OPTIONS)
