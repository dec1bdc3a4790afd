"""Denoising queries: noised truth boxes that the decoder learns to repair.

They need no matching, so the decoder gets a clear signal from the first step on.
Source: DN-DETR (arXiv 2203.01305), as DINOv uses it: boxes and masks only, no labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dinov.model.queries import DenoiseQueries
from dinov.training.losses import UniformDraw
from dinov.training.matcher import Truth


def make_denoise_queries(
    truths: Sequence[Truth], *, queries: int, noise: float, uniform: UniformDraw
) -> DenoiseQueries | None:
    """Noise every true box once per group.

    Args:
        truths: the instances of each image of the batch.
        queries: how many queries an image may have; groups = queries // largest instance count,
            at least one.
        noise: largest shift of a centre over half the box, and of a side over its length.
        uniform: source of random numbers.

    Returns:
        Groups of N boxes, N the largest instance count of the batch; None if there are no
        instances. Images with fewer instances are filled up with boxes of the whole image.
    """
    largest = max(len(truth) for truth in truths)
    if largest == 0:
        return None
    groups = max(1, queries // largest)
    boxes = [_noised(truth.boxes_cxcywh, groups, largest, noise, uniform) for truth in truths]
    return DenoiseQueries(torch.stack(boxes), groups)


def noise_boxes(boxes: Tensor, noise: float, uniform: UniformDraw) -> Tensor:
    """Shift and resize boxes [..., 4] cxcywh within ``noise``, see ``make_denoise_queries``."""
    shift = 2 * uniform(tuple(boxes.shape)) - 1
    reach = torch.cat([boxes[..., 2:] / 2, boxes[..., 2:]], dim=-1)
    return (boxes + noise * shift * reach).clamp(0, 1)


def _noised(boxes: Tensor, groups: int, largest: int, noise: float, uniform: UniformDraw) -> Tensor:
    count = len(boxes)
    filled = boxes.new_tensor([0.5, 0.5, 1.0, 1.0]).repeat(groups, largest, 1)
    if count:
        repeated = boxes.repeat(groups, 1)
        noised = noise_boxes(repeated, noise, uniform)
        filled[:, :count] = noised.view(groups, count, 4)
    return filled.flatten(0, 1)
