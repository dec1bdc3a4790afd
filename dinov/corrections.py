"""What positive and negative prompts of a category mean together, where they lie on one another.

A negative prompt beside the positive ones is a concept of its own that competes with the category.
One on a positive prompt, such as a scribble on the background inside a box, says which part of it
is not the object. Where two of opposite sign overlap, the smaller one has the say: it was
drawn on the larger one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dinov.errors import InvalidPrompt
from dinov.masks import (
    encode_rle,
    intersect_rles,
    rasterise,
    rle_area,
    subtract_rles,
    unite_rles,
)
from dinov.types import Prompt, PromptType, Rle, SizeHW


def corrected(prompts: Sequence[Prompt], size_hw: SizeHW) -> list[Prompt | None]:
    """Resolve what lies on one another among the prompts on one image.

    - A negative prompt is cut out of each positive prompt of its category that is not smaller.
    - A positive prompt is cut out of each negative prompt of its category that is larger.
    - A negative prompt with more than half of its area on positive ones is a correction, and no
      concept that competes.

    Prompts of other categories, and those on which nothing lies, stay as they are.

    Args:
        prompts: all that are used on the image.
        size_hw: of the image.

    Returns:
        For each prompt, in order, what it means: itself, a mask prompt, or None for a correction.
        A positive prompt always means something.

    Raises:
        InvalidPrompt: if a prompt marks nothing on the image, or negative ones cover it altogether.
    """
    result: list[Prompt | None] = list(prompts)
    for category_id in {prompt.category_id for prompt in prompts}:
        own = [i for i, prompt in enumerate(prompts) if prompt.category_id == category_id]
        if len({prompts[i].positive for i in own}) == 2:
            masks = {i: encode_rle(rasterise(prompts[i], size_hw)) for i in own}
            positive = {i: masks[i] for i in own if prompts[i].positive}
            negative = {i: masks[i] for i in own if not prompts[i].positive}
            for i, mask in _resolved(positive, negative).items():
                result[i] = _meant(prompts[i], masks[i], mask)
    return result


def _resolved(positive: dict[int, Rle], negative: dict[int, Rle]) -> dict[int, Rle | None]:
    """The masks that are left of each; None for a correction."""
    marked = unite_rles(list(positive.values()))
    cut = {
        i: subtract_rles(mask, [p for p in positive.values() if rle_area(p) < rle_area(mask)])
        for i, mask in negative.items()
    }
    result: dict[int, Rle | None] = {
        i: subtract_rles(
            mask, [cut[n] for n, other in negative.items() if rle_area(other) <= rle_area(mask)]
        )
        for i, mask in positive.items()
    }
    for i, mask in negative.items():
        is_correction = 2 * rle_area(intersect_rles([mask, marked])) > rle_area(mask)
        result[i] = None if is_correction else cut[i]
    return result


def _meant(prompt: Prompt, drawn: Rle, left: Rle | None) -> Prompt | None:
    if left is None or left["counts"] == drawn["counts"]:
        return prompt if left else None
    if not rle_area(left):
        raise InvalidPrompt(
            f"Negative marks cover all of a {prompt.type} prompt of their category. Delete one of "
            "them, or make the negative ones smaller."
        )
    return replace(prompt, type=PromptType.MASK, points=(), width=None, rle=left)
