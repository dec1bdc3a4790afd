"""How good an example is: do the other examples of its category find the object it marks?

The leave-one-out score of a positive prompt is the best, over all proposals of the prompt's own
image, of three factors, each from 0 to 1:

- the probability that the proposal is of the category, when the category is the mean of its other
  prompts and nothing else competes;
- the quality of the proposal's mask (``postprocess.mask_quality``);
- its agreement with the prompt: the IoU with a mask or polygon, the IoU of the tight boxes for a
  box, the share of the marked pixels that it covers for a point or scribble.

A high score says that the example could be found by the others. A low one says that it was marked
badly, belongs to another category, or looks like nothing that was marked yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dinov.images import ImageTransform
from dinov.masks import rasterise
from dinov.postprocess import MASK_STRIDE, mask_quality
from dinov.predictor import Comparison
from dinov.prompt_bank import PromptBank
from dinov.types import Image, Prompt, PromptType, Reference


@dataclass(frozen=True)
class ExampleScore:
    """The score of one positive prompt; None if its category has no other."""

    reference: str
    prompt: Prompt
    score: float | None


class Comparing(Protocol):
    """What is needed of ``dinov.predictor.Predictor``."""

    @property
    def fingerprint(self) -> str:
        """Names everything that an embedding depends on."""

    def compare(self, image: Image, concepts: Tensor) -> Comparison:
        """Compare concepts [K, C] with everything that is proposed in an image."""


def leave_one_out(
    predictor: Comparing, references: Iterable[Reference], bank: PromptBank
) -> list[ExampleScore]:
    """Score every positive prompt, in the order of the references.

    Args:
        predictor: encodes each image, or has it in its cache.
        references: what ``bank`` was made from, in the same order.
        bank: of ``predictor.embed_references(references)``.

    Raises:
        FingerprintMismatch: if the bank was made with another model or input size.
    """
    bank.require(predictor.fingerprint)
    seen = dict.fromkeys(bank.positives, 0)
    scores = []
    for reference in references:
        positive = [prompt for prompt in reference.prompts if prompt.positive]
        others = []
        for prompt in positive:
            group, index = bank.positives[prompt.category_id], seen[prompt.category_id]
            others.append(torch.cat((group[:index], group[index + 1 :])))
            seen[prompt.category_id] += 1
        found = score_examples(predictor, reference.image, positive, others)
        scores += [
            ExampleScore(reference.name, prompt, score)
            for prompt, score in zip(positive, found, strict=True)
        ]
    return scores


@torch.inference_mode()
def score_examples(
    predictor: Comparing, image: Image, prompts: Sequence[Prompt], others: Sequence[Tensor]
) -> list[float | None]:
    """Score positive prompts on one image.

    Args:
        predictor: encodes the image, or has it in its cache.
        image: [H, W, 3] uint8 RGB.
        prompts: drawn on it.
        others: for each prompt the embeddings [N, C] of the other examples of its category.

    Returns:
        The score of each prompt, from 0 to 1; None where there are no others.
    """
    judged = [
        (index, prompt, group.mean(0))
        for index, (prompt, group) in enumerate(zip(prompts, others, strict=True))
        if len(group)
    ]
    scores: list[float | None] = [None] * len(prompts)
    if not judged:
        return scores
    found = predictor.compare(image, torch.stack([mean for _, _, mean in judged]))
    quality = mask_quality(found.mask_logits)
    inside = (found.mask_logits > 0).float()
    for k, (index, prompt, _) in enumerate(judged):
        marked = _marked_cells(prompt, found.transform, inside)
        agreement = _agreement(inside, marked, prompt.type)
        scores[index] = float((found.logits[:, k].sigmoid() * quality * agreement).max())
    return scores


def _marked_cells(prompt: Prompt, transform: ImageTransform, like: Tensor) -> Tensor:
    """[h, w] how much of each cell of the mask logits a prompt marks, 0 to 1."""
    mask = transform.apply_mask(rasterise(prompt, transform.original_hw))
    pixels = torch.from_numpy(mask.astype(np.float32)).to(like.device)
    return F.avg_pool2d(pixels[None], MASK_STRIDE)[0]


def _agreement(inside: Tensor, marked: Tensor, kind: PromptType) -> Tensor:
    """[Q] agreement of [Q, h, w] masks, 0 or 1, with [h, w] shares of marked pixels."""
    if kind is PromptType.BOX:
        inside, marked = _box_filled(inside), _box_filled((marked[None] > 0).float())[0]
    elif kind in (PromptType.POINT, PromptType.SCRIBBLE):
        return (inside * marked).sum((1, 2)) / marked.sum()
    else:  # cells that are marked by half; of something smaller than a cell, all
        marked = (marked >= min(0.5, float(marked.max()))).float()
    common = torch.minimum(inside, marked).sum((1, 2))
    return common / torch.maximum(inside, marked).sum((1, 2))


def _box_filled(masks: Tensor) -> Tensor:
    """[Q, h, w] the tight boxes of masks, filled."""
    rows, columns = masks.amax(2), masks.amax(1)
    rows, columns = (_between(sides) for sides in (rows, columns))
    return rows[:, :, None] * columns[:, None, :]


def _between(sides: Tensor) -> Tensor:
    """[Q, n] 1 from the first to the last cell that is 1."""
    return torch.minimum(sides.cummax(1).values, sides.flip(1).cummax(1).values.flip(1))
