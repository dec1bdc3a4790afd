"""A tiny data folder that training and evaluation tests run on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from dinov.masks import encode_rle

SIDE = 96
COLORS = {"red": (220, 30, 30), "blue": (30, 30, 220), "green": (30, 200, 30)}
WriteFolder = Callable[..., Path]


def write_split(
    folder: Path, split: str, shown: Sequence[Sequence[str]], info: dict[str, Any]
) -> None:
    """Write photos with one disc per name, none touching; ``shown[i]`` names those of photo i."""
    rng = np.random.default_rng(len(split))
    (folder / "images").mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    y, x = np.mgrid[:SIDE, :SIDE]
    for number, names in enumerate(shown, start=1):
        pixels = np.full((SIDE, SIDE, 3), 128, np.uint8)
        for name, cell in zip(names, rng.permutation(9), strict=False):
            cy, cx = (32 * int(part) + 16 for part in divmod(cell, 3))
            mask = (x - cx) ** 2 + (y - cy) ** 2 <= 14**2
            pixels[mask] = COLORS[name]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": list(COLORS).index(name) + 1,
                    "segmentation": encode_rle(mask),
                    "iscrowd": 0,
                }
            )
        file_name = f"{split}_{number}.png"
        PIL.Image.fromarray(pixels).save(folder / "images" / file_name)
        images.append({"id": number, "file_name": file_name, "width": SIDE, "height": SIDE})
    categories = [{"id": i, "name": name} for i, name in enumerate(COLORS, start=1)]
    document = {
        "info": info,
        "images": images,
        "annotations": annotations,
        "categories": categories,
    }
    (folder / f"{split}.json").write_text(json.dumps(document))


@pytest.fixture
def write_folder(tmp_path: Path) -> WriteFolder:
    """Write a data folder; returns its path."""

    def write(
        name: str = "discs",
        train: Sequence[Sequence[str]] = (("red",), ("red", "blue"), ("blue",), ("green", "red")),
        val: Sequence[Sequence[str]] = (("red", "blue"), ("blue",), ("green",)),
        **info: Any,
    ) -> Path:
        folder = tmp_path / "data" / name
        write_split(folder, "train", train, info)
        write_split(folder, "val", val, info)
        return folder

    return write
