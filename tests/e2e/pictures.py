"""Pictures with a known truth: discs of one colour each on a plain ground."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from dinov.types import Mask

RED = (200, 30, 40)
BLUE = (30, 70, 200)
GREY = (150, 150, 150)


@dataclass(frozen=True)
class Disc:
    """A filled circle, in pixels."""

    x: int
    y: int
    radius: int
    colour: tuple[int, int, int] = RED

    def mask(self, size_hw: tuple[int, int]) -> Mask:
        rows, columns = np.mgrid[: size_hw[0], : size_hw[1]]
        inside: Mask = (columns - self.x) ** 2 + (rows - self.y) ** 2 <= self.radius**2
        return inside


THREE_RED = (Disc(80, 80, 40), Disc(220, 90, 50), Disc(150, 190, 35))
TWO_RED_ONE_BLUE = (Disc(70, 150, 45), Disc(200, 60, 40), Disc(260, 180, 30, BLUE))
ONE_BLUE = (Disc(150, 120, 60, BLUE),)


def draw(path: Path, discs: tuple[Disc, ...], size_hw: tuple[int, int] = (240, 320)) -> Path:
    """Write a picture of the discs; the format follows the file name."""
    pixels = np.full((*size_hw, 3), GREY, np.uint8)
    for disc in discs:
        pixels[disc.mask(size_hw)] = disc.colour
    PillowImage.fromarray(pixels).save(path)
    return path
