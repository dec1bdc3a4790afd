"""What the refer task asks about the images of a batch: points, and prompts of single objects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dinov.training.config import ReferConfig
from dinov.training.denoising import noise_boxes
from dinov.training.losses import UniformDraw
from dinov.training.prompt_sampling import sample_prompt_mask
from dinov.training.truths import ReferTruth
from dinov.types import Mask, PromptType, SizeHW

_POINT_SIDE = 6
"""Pixels of the input: a point is a box of this side, at inference, too."""
_POINT_NOISE = 0.4 * 0.01


@dataclass(frozen=True)
class SeenObject:
    """An annotation as it is seen in the input.

    Attributes:
        category: its name.
        mask: [S, S], not empty.
        identity: the same in other images of the same object; None if it is not a single object.
    """

    category: str
    mask: Mask
    identity: str | None


@dataclass(frozen=True)
class ReferBatch:
    """The refer task of one training step.

    Attributes:
        points_cxcywh: [B, N, 4] small boxes around the points.
        asked: B of them, what the points and prompts stand for.
        prompt_masks: [R, S, S] bool, image after image those of the objects wanted in it.
        prompt_image: [R] the image that each prompt is drawn on.
    """

    points_cxcywh: Tensor
    asked: list[ReferTruth]
    prompt_masks: Tensor
    prompt_image: Tensor


def draw_refer(
    images: Sequence[Sequence[SeenObject]],
    side: int,
    config: ReferConfig,
    rng: np.random.Generator,
) -> ReferBatch:
    """Ask about every image of a batch.

    Each gets points inside random objects, all of them in turn if they are few, and prompts of the
    first objects so chosen. A prompt is drawn on any image of the batch that shows the same object.
    """
    shown: dict[str, list[tuple[int, Mask]]] = defaultdict(list)
    for index, objects in enumerate(images):
        for seen in objects:
            if seen.identity is not None:
                shown[seen.identity].append((index, seen.mask))
    points, asked, prompts, places = [], [], [], []
    for objects in images:
        single = [i for i, seen in enumerate(objects) if seen.identity is not None]
        chosen = _take(rng.permutation(single).tolist(), config.points)
        wanted = chosen[: min(len(single), config.prompts)]
        pixels = [_pixel_inside(objects[i].mask, rng) for i in chosen]
        for i in wanted:
            where = shown[str(objects[i].identity)]
            index, mask = where[int(rng.integers(len(where)))]
            kind = config.prompt_types[int(rng.integers(len(config.prompt_types)))]
            prompts.append(sample_prompt_mask(mask, PromptType(kind), rng))
            places.append(index)
        # An image without objects is asked about its centre, where nothing is to be found.
        pixels = pixels or [(side // 2, side // 2)] * config.points
        points.append(torch.tensor(pixels)[:, [1, 0]])
        asked.append(ReferTruth(_covered(objects, pixels), np.array(wanted, np.int64)))

    def uniform(shape: tuple[int, ...]) -> Tensor:
        return torch.from_numpy(rng.random(shape, np.float32))

    return ReferBatch(
        point_boxes(torch.stack(points), (side, side), uniform),
        asked,
        torch.from_numpy(np.stack(prompts) if prompts else np.zeros((0, side, side), np.bool_)),
        torch.tensor(places, dtype=torch.long),
    )


def point_boxes(pixels_xy: Tensor, size_hw: SizeHW, uniform: UniformDraw) -> Tensor:
    """Slightly noised boxes [..., 4] cxcywh, in 0–1, around pixels [..., 2] of the input."""
    size = torch.tensor([size_hw[1], size_hw[0]])
    sides = (_POINT_SIDE / size).expand(*pixels_xy.shape[:-1], 2)
    return noise_boxes(torch.cat([pixels_xy / size, sides], dim=-1), _POINT_NOISE, uniform)


def _take(numbers: Sequence[int], count: int) -> list[int]:
    """The first ``count`` numbers, from the start again if there are fewer."""
    return [numbers[i % len(numbers)] for i in range(count)] if numbers else []


def _pixel_inside(mask: Mask, rng: np.random.Generator) -> tuple[int, int]:
    """Row and column of a random true pixel."""
    inside = np.flatnonzero(mask)
    row, column = divmod(int(inside[int(rng.integers(len(inside)))]), mask.shape[1])
    return row, column


def _covered(
    objects: Sequence[SeenObject], pixels_yx: Sequence[tuple[int, int]]
) -> NDArray[np.bool_]:
    """Which single objects cover which pixels, [pixels, objects] bool."""
    rows, columns = np.array(pixels_yx).T
    covered = np.zeros((len(pixels_yx), len(objects)), np.bool_)
    for i, seen in enumerate(objects):
        covered[:, i] = seen.mask[rows, columns] & (seen.identity is not None)
    return covered
