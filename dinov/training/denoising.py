"""Denoising queries: noised truth boxes that the decoder learns to repair.

They need no matching, so the decoder gets a clear signal from the first step on.
Source: DN-DETR (arXiv 2203.01305), as DINOv uses it: boxes and masks only, no labels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dinov.model.queries import DenoiseQueries
from dinov.training.losses import UniformDraw
from dinov.training.truths import Truths


def make_denoise_queries(
    truths: Truths, *, queries: int, noise: float, uniform: UniformDraw
) -> DenoiseQueries | None:
    """Noise every true box once per group.

    Args:
        truths: the instances of B images.
        queries: how many queries an image may have; groups = queries // largest instance count,
            at least one.
        noise: largest shift of a centre over half the box, and of a side over its length.
        uniform: source of random numbers.

    Returns:
        Groups of N boxes, N the largest instance count of the batch; None if there are no
        instances. Images with fewer instances are filled up with boxes of the whole image.
    """
    if truths.largest == 0:
        return None
    groups = max(1, queries // truths.largest)
    noised = noise_boxes(truths.boxes_cxcywh.repeat(groups, 1), noise, uniform)
    image, number = truths.places.T
    whole = noised.new_tensor([0.5, 0.5, 1.0, 1.0])
    filled = whole.repeat(len(truths.counts), groups, truths.largest, 1)
    filled[image, :, number] = noised.view(groups, len(truths), 4).transpose(0, 1)
    return DenoiseQueries(filled.flatten(1, 2), groups)


def noise_boxes(boxes: Tensor, noise: float, uniform: UniformDraw) -> Tensor:
    """Shift and resize boxes [..., 4] cxcywh within ``noise``, see ``make_denoise_queries``."""
    shift = 2 * uniform(tuple(boxes.shape)) - 1
    reach = torch.cat([boxes[..., 2:] / 2, boxes[..., 2:]], dim=-1)
    return (boxes + noise * shift * reach).clamp(0, 1)
