"""The same maths without any of what makes the model fast: what its times are compared with.

Written as the public code of the paper and of Deformable DETR is: whole tensors, every sample held
before it is weighted, attention as a matrix of all by all, masks of all proposals.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from dinov.model.deformable_attention import MultiScaleDeformableAttention
from dinov.model.dinov import DINOv, FeaturePyramid
from dinov.model.queries import attention_allowed, point_grid
from dinov.model.sampling import LevelSizes


def plain_model(model: DINOv) -> DINOv:
    """A copy that samples plainly; to be run inside ``plain_arithmetic``."""
    plain = copy.deepcopy(model).requires_grad_(False)
    for module in plain.modules():
        if isinstance(module, MultiScaleDeformableAttention):
            module.sample = sample_plainly
    return plain


@contextmanager
def plain_arithmetic() -> Iterator[None]:
    """Nothing is computed in pieces, and attention holds its whole matrix of weights.

    With gradients there are no pieces; none are recorded, since no weight asks for any.
    """
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        yield


def sample_plainly(
    memory: Tensor,
    projection: nn.Linear | None,
    sizes: LevelSizes,
    places: Tensor,
    weights: Tensor,
) -> Tensor:
    """``sampling.project_and_sample`` by ``grid_sample``: all samples, then their weighted sum."""
    value = memory if projection is None else projection(memory)
    batch, queries, heads = places.shape[1:4]
    maps = value.float().unflatten(-1, (heads, -1)).permute(0, 2, 3, 1).flatten(0, 1)
    grids = places.permute(1, 3, 2, 4, 5, 0).flatten(0, 1)  # [B * h, Q, levels, points, 2]
    samples = []
    level_maps = maps.split([height * width for height, width in sizes.hw], dim=-1)
    for level, ((height, width), level_map) in enumerate(zip(sizes.hw, level_maps, strict=True)):
        grid = 2 * grids[:, :, level] / grids.new_tensor([width, height]) - 1
        level_map = level_map.unflatten(-1, (height, width))
        samples.append(F.grid_sample(level_map, grid, align_corners=False))  # [B * h, D, Q, p]
    weights = weights.transpose(1, 2).reshape(batch * heads, 1, queries, -1)
    total = (torch.stack(samples, dim=-2).flatten(-2) * weights).sum(-1)  # [B * h, D, Q]
    result: Tensor = total.unflatten(0, (batch, heads)).flatten(1, 2).transpose(1, 2)
    return result


def refer_plainly(
    model: DINOv, pyramid: FeaturePyramid, prompts: Tensor, *, grid: int
) -> tuple[Tensor, Tensor]:
    """The refer task as one decode of all queries, who see each other through a mask.

    Args:
        model: made by ``plain_model``.
        pyramid: one encoded target.
        prompts: [K, C] embeddings.
        grid: points per side.

    Returns:
        Match scores [1, K, Q] and the mask logits of all proposals, [1, Q, H / 4, W / 4], as
        ``DINOv.decode_refer`` gives them.
    """
    boxes = point_grid(grid, pyramid.padded_size_hw, prompts.device)[None]
    groups = [model.queries.points(boxes), model.queries.content(prompts, 1)]
    vectors = torch.cat([group.vectors for group in groups], dim=1)
    box_logits = torch.cat([group.box_logits for group in groups], dim=1)
    allowed = attention_allowed(groups, content_independent=True)
    z = model.decoder.norm(model.decoder(vectors, box_logits, allowed, pyramid.levels)[-1].vectors)
    points, content = z.split([group.vectors.shape[1] for group in groups], dim=1)
    scores = model.heads.refer_vectors(content) @ model.heads.refer_vectors(points).mT
    return scores, model.heads.masks(points, pyramid.mask_features)
