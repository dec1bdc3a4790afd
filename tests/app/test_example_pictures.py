from __future__ import annotations

import numpy as np
import pytest

from app.example_pictures import LONGEST_SIDE, example_picture
from dinov.errors import InvalidPrompt
from dinov.masks import encode_rle
from dinov.types import Prompt, PromptType

SIZE_HW = (300, 400)
MASK = np.zeros(SIZE_HW, np.bool_)
MASK[100:140, 200:260] = True
PROMPTS = [
    Prompt(1, PromptType.POINT, (230.0, 120.0)),
    Prompt(1, PromptType.BOX, (200.0, 100.0, 260.0, 140.0)),
    Prompt(1, PromptType.SCRIBBLE, (205.0, 120.0, 255.0, 120.0), 5.0),
    Prompt(1, PromptType.POLYGON, (200.0, 100.0, 260.0, 100.0, 230.0, 140.0)),
    Prompt(1, PromptType.MASK, rle=encode_rle(MASK)),
]


@pytest.mark.parametrize("prompt", PROMPTS, ids=lambda prompt: prompt.type.value)
def test_every_kind_of_mark_is_drawn_in_the_colour_of_its_category(prompt: Prompt) -> None:
    image = np.full((*SIZE_HW, 3), 90, np.uint8)
    picture = example_picture(image, prompt, "#00ff00")
    assert max(picture.shape[:2]) == LONGEST_SIDE
    assert picture.dtype == np.uint8
    green = (picture[..., 1] > 200) & (picture[..., 0] < 60)
    assert green.any()
    ys, xs = np.nonzero(green)
    # The mark lies in the middle of its surroundings.
    assert abs(xs.mean() - picture.shape[1] / 2) < 12
    assert abs(ys.mean() - picture.shape[0] / 2) < 16
    assert (picture[0, 0] == 90).all()
    assert (image == 90).all()


def test_at_an_edge_the_picture_stays_inside_the_image() -> None:
    image = np.zeros((40, 900, 3), np.uint8)
    picture = example_picture(image, Prompt(1, PromptType.BOX, (0.0, 0.0, 900.0, 40.0)), "#ff0000")
    assert picture.shape == (round(40 * LONGEST_SIDE / 900), LONGEST_SIDE, 3)
    corner = example_picture(image, Prompt(1, PromptType.POINT, (899.5, 0.5)), "#ff0000")
    assert max(corner.shape[:2]) == LONGEST_SIDE


def test_a_mark_outside_the_image_is_refused() -> None:
    with pytest.raises(InvalidPrompt):
        example_picture(
            np.zeros((10, 10, 3), np.uint8), Prompt(1, PromptType.POINT, (50.0, 5.0)), "#ff0000"
        )
