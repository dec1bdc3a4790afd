"""A project of everything that readers of annotations are known to stumble over."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

from app.provenance import Brought
from app.segmentation import Studio
from dinov.masks import instance_of
from dinov.types import Mask
from tests.app.conftest import as_bytes, draw

CATEGORIES = ("red", "Größe 猫")


def blocks(size_hw: tuple[int, int], *boxes: tuple[int, int, int, int]) -> Mask:
    """A mask of boxes (left, top, right, bottom)."""
    mask = np.zeros(size_hw, np.bool_)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = True
    return mask


def difficult_masks() -> dict[str, dict[str, Mask]]:
    """By image and by what is difficult; masks on an image do not lie over each other."""
    rows, columns = np.mgrid[:60, :80]
    distance = np.hypot(rows - 30, columns - 40)
    corners = [(5, 5, 10, 10), (60, 5, 70, 10), (5, 50, 10, 55), (70, 50, 79, 59)]
    return {
        "shapes.png": {
            "donut": (distance < 20) & (distance > 10),
            "four parts": blocks((60, 80), *corners),
            "one pixel": blocks((60, 80), (39, 30, 40, 31)),
            "corner to corner": blocks((60, 80), (15, 40, 20, 45), (20, 45, 25, 50)),
        },
        "border.jpg": {
            "border": blocks((60, 80), (0, 0, 12, 60), (0, 0, 80, 9)),
            "last pixel": blocks((60, 80), (79, 59, 80, 60)),
        },
        "Größe 猫.png": {"unicode name": blocks((30, 20), (4, 5, 14, 15))},
        "portrait.jpg": {"EXIF portrait": blocks((90, 40), (10, 8, 38, 32))},
        "same.png": {"duplicate stem": blocks((10, 12), (1, 1, 5, 5))},
        "same.jpg": {"duplicate stem": blocks((11, 13), (2, 3, 9, 8))},
        "empty.png": {},
    }


class Difficult:
    """The project, and what is on each of its images by the image's id."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.id = studio.create_project("Difficult").id
        turned = PIL.Image.Exif()
        turned[0x0112] = 6
        files = []
        for number, (name, masks) in enumerate(difficult_masks().items()):
            size_hw = next((mask.shape for mask in masks.values()), (60, 80))
            shade = (30 * number, 200, 90)
            if name == "portrait.jpg":
                picture = draw(size_hw[::-1], background=shade)
                files.append((name, as_bytes(picture, "JPEG", exif=turned)))
            else:
                kind = "JPEG" if name.endswith("jpg") else "PNG"
                files.append((name, as_bytes(draw(size_hw, background=shade), kind)))
        self.images = studio.add_images(self.id, files).added
        self.categories = [studio.add_category(self.id, name) for name in CATEGORIES]
        # Two of the images are a video, and the first object of each one and the same.
        clip = studio.videos.make_sequence(self.id, "clip", [one.id for one in self.images[:2]])
        scores = iter(np.linspace(0.95, 0.55, 20))
        self.masks = {
            image.id: list(difficult_masks()[image.file_name].values()) for image in self.images
        }
        instances = {
            image_id: [
                Brought(
                    instance_of(mask, self.categories[index % 2].id, round(float(next(scores)), 3)),
                    sequence_id=clip.id if index == 0 and image_id in clip.image_ids else None,
                )
                for index, mask in enumerate(masks)
            ]
            for image_id, masks in self.masks.items()
        }
        self.count, _ = studio.editing.add_annotations(self.id, "made for a test", instances)


@pytest.fixture
def difficult(studio: Studio) -> Difficult:
    return Difficult(studio)
