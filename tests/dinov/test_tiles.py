"""Tiles: what is whole, what a seam cuts, and that nothing is reported twice."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from dinov import tiles
from dinov.errors import InvalidImage
from dinov.masks import decode_rle, instance_of, mask_iou
from dinov.options import InstanceOptions
from dinov.tiles import Tile, tiles_of
from dinov.types import Image, Mask, Segmentation

OPTIONS = InstanceOptions()
SIDE = 128


def segment_in_tiles(
    image: Image, segment: Callable[[Image], Segmentation], side: int, options: InstanceOptions
) -> Segmentation:
    """With what segments one image."""
    return tiles.segment_in_tiles(image, lambda parts: list(map(segment, parts)), side, options)


@pytest.mark.parametrize("size_hw", [(128, 128), (50, 700), (129, 128), (1000, 641), (300, 90)])
@pytest.mark.parametrize("side", [64, 128, 200])
def test_tiles_cover_everything_and_overlap(size_hw: tuple[int, int], side: int) -> None:
    cover = tiles_of(size_hw, side)
    seen = np.zeros(size_hw, np.bool_)
    for tile in cover:
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
            for t in cover
        )


def test_a_part_goes_on_behind_seams_and_not_behind_the_border_of_the_image() -> None:
    mask = np.zeros((300, 300), np.bool_)
    mask[0:20, 110:128] = True
    instance = instance_of(mask, 1, 0.5)
    assert Tile(0, 0, 300, 300).beyond(instance, (300, 300)) == []
    assert Tile(0, 0, 128, 128).beyond(instance, (300, 300)) == [Tile(0, 128, 20, 129)]
    assert Tile(0, 64, 128, 192).beyond(instance, (300, 300)) == []
    corner = Tile(0, 108, 20, 236)
    strips = corner.beyond(instance, (300, 300))
    assert strips == [Tile(0, 107, 20, 108), Tile(20, 110, 21, 128)]
    assert not any(corner.shows(strip) for strip in strips)
    assert [Tile(0, 0, 128, 128).shows(strip) for strip in strips] == [True, True]


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

    def __call__(self, image: Image) -> Segmentation:
        least = (self.least_share * max(image.shape[:2])) ** 2
        instances = [
            instance_of(self._blurred(mask), 1, self.score)
            for mask in masks_of(image)
            if mask.sum() >= least
        ]
        return Segmentation((image.shape[0], image.shape[1]), tuple(instances))

    def _blurred(self, mask: Mask) -> Mask:
        """Grown by a few pixels, as much as fits."""
        square = np.ones((2 * self.blur + 1, 2 * self.blur + 1), np.uint8)
        return cv2.dilate(mask.astype(np.uint8), square) > 0


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


def blob(rng: np.random.Generator, size_hw: tuple[int, int], longest: int) -> Image:
    """A connected object of any shape: blocks that touch one another, anywhere in the image."""
    (height, width), (h, w) = size_hw, rng.integers(12, longest + 1, 2)
    h, w = min(h, height), min(w, width)
    y, x = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
    image = scene(size_hw)
    middle = (rng.integers(h), rng.integers(w))
    for _ in range(3):
        (y0, y1), (x0, x1) = (
            sorted((at, int(rng.integers(length))))
            for at, length in zip(middle, (h, w), strict=True)
        )
        image[y + y0 : y + y1 + 9, x + x0 : x + x1 + 9][: h - y0, : w - x0] = 1
    return image


@pytest.mark.parametrize("least_share", [0.0, 0.9])
@pytest.mark.parametrize("seed", range(60))
def test_any_object_anywhere_comes_out_once_and_whole(seed: int, least_share: float) -> None:
    """Whatever the size of image, tiles and object, and if the whole image shows it or not."""
    rng = np.random.default_rng(seed)
    size_hw = (int(rng.integers(70, 330)), int(rng.integers(70, 330)))
    image = blob(rng, size_hw, longest=330)
    side = int(rng.integers(64, 200))

    class Blind(FakeModel):
        def __call__(self, part: Image) -> Segmentation:
            hidden = least_share and part.shape[:2] == size_hw and len(tiles_of(size_hw, side)) > 1
            return Segmentation(size_hw) if hidden else super().__call__(part)

    assert_found(image, segment_in_tiles(image, Blind(), side, OPTIONS))


def test_a_fragment_that_the_neighbour_does_not_continue_is_no_object() -> None:
    image = scene((128, 300), (100, 40, 180, 80))
    first = image[:, :128]

    def only_in_the_first(part: Image) -> Segmentation:
        found = FakeModel()(part)
        return found if np.array_equal(part, first) else Segmentation(found.size_hw)

    assert len(only_in_the_first(np.ascontiguousarray(first))) == 1
    assert len(segment_in_tiles(image, only_in_the_first, SIDE, OPTIONS)) == 0


def test_what_only_the_whole_image_shows_is_found_however_small() -> None:
    image = scene((300, 400), (60, 60, 66, 66), (200, 100, 230, 110))

    def only_in_the_whole(part: Image) -> Segmentation:
        found = FakeModel()(part)
        return found if part.shape == image.shape else Segmentation(found.size_hw)

    assert_found(image, segment_in_tiles(image, only_in_the_whole, SIDE, OPTIONS))


@pytest.mark.parametrize(("score", "shift"), [(0.3, 3), (0.9, 0)])
def test_what_the_whole_image_shows_roughly_and_a_tile_exactly_is_one_object(
    score: float, shift: int
) -> None:
    image = scene((300, 400), (60, 60, 72, 72))

    def rough_in_the_whole(part: Image) -> Segmentation:
        if part.shape != image.shape:
            return FakeModel()(part)
        mask = np.zeros((300, 400), np.bool_)
        mask[60 - shift : 72 - shift, 60 - shift : 72 - shift] = True
        return Segmentation((300, 400), (instance_of(mask, 1, score),))

    assert_found(image, segment_in_tiles(image, rough_in_the_whole, SIDE, OPTIONS))


def test_objects_of_different_categories_may_lie_on_each_other() -> None:
    """The larger of them is known from the whole image, the other from a tile."""
    image = scene((300, 400), (20, 20, 380, 280))
    small = np.zeros((300, 400), np.bool_)
    small[60:70, 60:70] = True

    def window_on_a_house(part: Image) -> Segmentation:
        if part.shape == image.shape:
            return FakeModel()(part)
        if not np.array_equal(part, image[:SIDE, :SIDE]):
            return Segmentation((part.shape[0], part.shape[1]))
        return Segmentation((SIDE, SIDE), (instance_of(small[:SIDE, :SIDE], 2, 0.5),))

    found = segment_in_tiles(image, window_on_a_house, SIDE, OPTIONS)
    assert [i.category_id for i in found.instances] == [1, 2]


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
