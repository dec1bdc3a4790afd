"""The model's time stage by stage, beside a plain implementation of the same maths."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from dinov.device import autocast, synchronise
from dinov.images import ImageTransform
from dinov.model.dinov import DINOv, FeaturePyramid
from dinov.model.heads import masks_of
from dinov.plain import plain_arithmetic, refer_plainly
from dinov.postprocess import to_instances

GRID = 20
SHOWN_MASKS = 50
"""So many proposals still need a mask after they were compared; a crowded photo has as many."""
MANY = 16
"""The cost of one more prompt or category is that of so many more, divided."""

_T = TypeVar("_T")
Stages = Mapping[str, Callable[[], object]]


@dataclass(frozen=True)
class Workload:
    """One target with one prompt drawn on it."""

    pixels: Tensor  # [1, 3, H, W], normalised and padded
    prompt_mask: Tensor  # [1, H, W] bool
    transform: ImageTransform


@dataclass(frozen=True)
class Way:
    """A model, and how it is run: a ``plain`` one as its maths is written down."""

    model: DINOv
    device: torch.device
    dtype: torch.dtype = torch.float32
    plain: bool = False

    def run(self, step: Callable[[], _T]) -> _T:
        """Run a step this way, and wait for the device."""
        with ExitStack() as stack:
            stack.enter_context(plain_arithmetic() if self.plain else torch.no_grad())
            stack.enter_context(autocast(self.device, self.dtype))
            result = step()
        synchronise(self.device)
        return result


def stages_of(way: Way, work: Workload) -> Stages:
    """The stages by name, each ready to run on what those before it give."""
    model = way.model.requires_grad_(False)
    features = way.run(lambda: model.backbone(work.pixels))
    pyramid = way.run(lambda: model.encode_image(work.pixels))
    prompt = way.run(lambda: model.embed_prompts(pyramid, work.prompt_mask))
    shown = way.run(lambda: model.decode_generic(pyramid, prompt)).mask_logits[0, :SHOWN_MASKS]
    probabilities = torch.ones(len(shown), 1, device=way.device)
    refer = refer_plainly if way.plain else refer_fast

    def changed_prompt() -> object:
        if way.plain:  # everything is decoded again
            return model.decode_generic(pyramid, prompt)
        return compared(model, pyramid, prompt)

    return {
        "backbone": lambda: model.backbone(work.pixels),
        "pixel_decoder": lambda: model.pixel_decoder(features),
        "prompt": lambda: model.embed_prompts(pyramid, work.prompt_mask),
        "generic_decode": lambda: model.decode_generic(pyramid, prompt),
        "changed_prompt": changed_prompt,
        "refer_decode": lambda: refer(model, pyramid, prompt, grid=GRID),
        "post_processing": lambda: to_instances(
            probabilities, shown.float(), [1], work.transform, score_thresholds=[0.0]
        ),
    }


def further_of(way: Way, work: Workload, batch_size: int) -> Stages:
    """More of everything: prompts, categories, and targets in a batch."""
    model = way.model
    pyramid = way.run(lambda: model.encode_image(work.pixels))
    prompt = way.run(lambda: model.embed_prompts(pyramid, work.prompt_mask))
    masks = work.prompt_mask.expand(1 + MANY, -1, -1)
    pixels = work.pixels.expand(batch_size, -1, -1, -1).contiguous()
    return {
        "prompts": lambda: model.embed_prompts(pyramid, masks),
        "categories": lambda: compared(model, pyramid, prompt.expand(1 + MANY, -1)),
        "batch": lambda: model.decode_proposals(model.encode_image(pixels)),
    }


def compared(model: DINOv, pyramid: FeaturePyramid, embeddings: Tensor) -> tuple[Tensor, ...]:
    """All that is decoded of categories: vectors to compare, and maps where there is a head."""
    vectors = model.decode_categories(pyramid, embeddings)
    if model.concept_head is None:
        return (vectors,)
    return vectors, model.decode_concepts(pyramid, embeddings)


def refer_fast(model: DINOv, pyramid: FeaturePyramid, prompts: Tensor, *, grid: int) -> Tensor:
    """Compare prompts with a grid of points; masks of the best proposals only."""
    points = model.decode_points(pyramid, grid=grid)
    scores = model.decode_prompts(pyramid, prompts) @ points.vectors.mT
    best = points.ious[0].topk(min(SHOWN_MASKS, points.ious.shape[1])).indices
    masks_of(points.mask_vectors[:, best], pyramid.mask_features)
    return scores


def measure_stages(
    way: Way, work: Workload, *, runs: int, batch_size: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Median seconds of every stage, and what one more prompt, category and image cost."""
    seconds = _medians(_alternately({"": (way, stages_of(way, work))}, runs)[""])
    more = _medians(_alternately({"": (way, further_of(way, work, batch_size))}, runs)[""])
    costs = {
        "one_more_prompt": (more["prompts"] - seconds["prompt"]) / MANY,
        "one_more_category": (more["categories"] - seconds["changed_prompt"]) / MANY,
        "one_more_target_in_a_batch": more["batch"] / batch_size,
    }
    return seconds, costs


def compare_stages(way: Way, plain: Way, work: Workload, *, runs: int) -> dict[str, float]:
    """How many times faster than the plain way each stage is, both measured in turns.

    "encode" is the backbone and the pixel decoder together.
    """
    taken = _alternately({w: (w, stages_of(w, work)) for w in (way, plain)}, runs)
    for times in taken.values():
        both = zip(times["backbone"], times["pixel_decoder"], strict=True)
        times["encode"] = [sum(pair) for pair in both]
    return {
        name: statistics.median(b / a for a, b in zip(times, taken[plain][name], strict=True))
        for name, times in taken[way].items()
    }


_K = TypeVar("_K")


def _alternately(
    ways: Mapping[_K, tuple[Way, Stages]], runs: int
) -> dict[_K, dict[str, list[float]]]:
    clock = _clock(next(iter(ways.values()))[0].device)
    taken: dict[_K, dict[str, list[float]]] = {
        key: {name: [] for name in stages} for key, (_, stages) in ways.items()
    }
    for i in range(runs + 1):
        for name in next(iter(taken.values())):
            for key, (way, stages) in ways.items():
                start = clock()
                way.run(stages[name])
                if i > 0:  # the first run warms up
                    taken[key][name].append(clock() - start)
    return taken


def _clock(device: torch.device) -> Callable[[], float]:
    """A single thread is timed by the processor's time, which other programs hardly disturb."""
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    return time.thread_time if alone else time.perf_counter


def _medians(taken: Mapping[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(times) for name, times in taken.items()}
