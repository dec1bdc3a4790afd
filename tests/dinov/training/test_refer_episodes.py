from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from dinov.training.config import ReferConfig
from dinov.training.refer_episodes import SeenObject, draw_refer, point_boxes
from dinov.types import Mask

SIDE = 32
CONFIG = ReferConfig(points=6, prompts=2, prompt_types=("mask",))


def block(rows: slice, columns: slice) -> Mask:
    mask = np.zeros((SIDE, SIDE), np.bool_)
    mask[rows, columns] = True
    return mask


BIG, SMALL, FAR = (
    block(slice(0, 20), slice(0, 20)),
    block(slice(4, 8), slice(4, 8)),
    block(slice(24, 32), slice(24, 32)),
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def middle(shape: tuple[int, ...]) -> Tensor:
    return torch.full(shape, 0.5)


def test_points_lie_in_the_objects_that_they_stand_for(rng: np.random.Generator) -> None:
    objects = [SeenObject("a", mask, name) for mask, name in ((BIG, "1"), (SMALL, "2"), (FAR, "3"))]
    refer = draw_refer([objects], SIDE, CONFIG, rng)
    (asked,) = refer.asked
    assert asked.covered.shape == (6, 3)
    for (x, y, *_), covered in zip(refer.points_cxcywh[0], asked.covered, strict=True):
        at = (round(y.item() * SIDE), round(x.item() * SIDE))
        assert covered.tolist() == [bool(seen.mask[at]) for seen in objects]
    # Two points in each, and whatever lies inside the small block lies inside the big one, too.
    assert asked.covered.sum(0).tolist()[1:] == [2, 2]
    assert asked.covered.sum(0)[0] >= 4
    masks = [objects[int(i)].mask for i in asked.wanted]
    assert len(set(asked.wanted.tolist())) == 2
    assert torch.equal(refer.prompt_masks, torch.from_numpy(np.stack(masks)))


def test_few_objects_are_asked_for_once_however_many_prompts_there_may_be(
    rng: np.random.Generator,
) -> None:
    refer = draw_refer([[SeenObject("a", FAR, "1")]], SIDE, CONFIG, rng)
    assert refer.asked[0].wanted.tolist() == [0]
    assert refer.asked[0].covered.tolist() == [[True]] * 6


def test_a_mask_of_many_objects_is_not_asked_for(rng: np.random.Generator) -> None:
    images = [[SeenObject("grass", BIG, None), SeenObject("a", SMALL, "1")], []]
    refer = draw_refer(images, SIDE, CONFIG, rng)
    assert refer.points_cxcywh.shape == (2, 6, 4)
    assert refer.asked[0].covered.tolist() == [[False, True]] * 6
    assert refer.asked[0].wanted.tolist() == [1]
    assert refer.asked[1].covered.shape == (6, 0)
    assert refer.asked[1].wanted.tolist() == []


def test_an_object_seen_in_two_images_is_prompted_on_either() -> None:
    images = [[SeenObject("a", BIG, "1")], [SeenObject("a", FAR, "1")]]
    drawn = [
        draw_refer(images, SIDE, CONFIG, np.random.default_rng(i)).prompt_image.tolist()
        for i in range(12)
    ]
    assert {place for places in drawn for place in places[:1]} == {0, 1}
    assert {place for places in drawn for place in places[1:]} == {0, 1}


def test_a_batch_without_objects_has_points_but_no_prompts(rng: np.random.Generator) -> None:
    refer = draw_refer([[], []], SIDE, CONFIG, rng)
    assert refer.points_cxcywh.shape == (2, 6, 4)
    assert refer.prompt_masks.shape == (0, SIDE, SIDE)


def test_a_point_is_a_box_of_six_pixels() -> None:
    boxes = point_boxes(torch.tensor([[[16, 8]]]), (32, 64), middle)
    assert boxes[0, 0].tolist() == [16 / 64, 8 / 32, 6 / 64, 6 / 32]
