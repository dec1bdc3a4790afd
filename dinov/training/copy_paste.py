"""Objects of one image of a batch pasted into another: more crowds, and new neighbours.

Images are scaled, cropped and flipped each in its own way before, so objects keep their place.
Source: Ghiasi et al., Simple Copy-Paste (arXiv 2012.07177).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dinov.training.refer_episodes import SeenObject
from dinov.types import Mask, SizeHW


def choose_objects(
    objects: Sequence[SeenObject], count: int, rng: np.random.Generator
) -> list[SeenObject]:
    """A random 1 to ``count`` of the single objects, or none if there are none."""
    single = [seen for seen in objects if seen.identity is not None]
    if not single or count < 1:
        return []
    number = int(rng.integers(1, min(count, len(single)) + 1))
    return [single[i] for i in sorted(rng.permutation(len(single))[:number])]


def paste(
    pixels: NDArray[np.float32],
    objects: Sequence[SeenObject],
    size_hw: SizeHW,
    source: NDArray[np.float32],
    pasted: Sequence[SeenObject],
    *,
    min_area: int,
) -> tuple[NDArray[np.float32], list[SeenObject]]:
    """Lay objects of another input over an input.

    What they hide is taken off the masks below; a mask of which fewer than ``min_area`` pixels
    are left is dropped.

    Args:
        pixels: [3, S, S] of the lower input.
        objects: what is seen there.
        size_hw: of the photo in its upper left; nothing is pasted on the padding.
        source: [3, S, S] of the other input.
        pasted: objects of that one.
        min_area: of an object that is still asked for.

    Returns:
        The new input and what is seen in it, the pasted objects last.
    """
    photo = np.zeros(pixels.shape[1:], np.bool_)
    photo[: size_hw[0], : size_hw[1]] = True
    inside = [replace(seen, mask=seen.mask & photo) for seen in pasted]
    inside = [seen for seen in inside if np.count_nonzero(seen.mask) >= min_area]
    covered: Mask = np.logical_or.reduce([seen.mask for seen in inside], initial=False)
    below = [replace(seen, mask=seen.mask & ~covered) for seen in objects]
    visible = [seen for seen in below if np.count_nonzero(seen.mask) >= min_area]
    return np.where(covered, source, pixels), visible + inside
