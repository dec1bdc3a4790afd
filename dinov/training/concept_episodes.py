"""Episodes for the concept head, drawn from photos whose backbone maps are computed once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from dinov.errors import InvalidDataset
from dinov.images import ImageTransform, read_rgb
from dinov.model.dinov import DINOv
from dinov.training.augmentation import View, draw_view, jitter_colour, pad_mask, to_input
from dinov.training.config import DataConfig
from dinov.training.prompt_sampling import PROMPT_TYPES, sample_prompt_mask
from dinov.training.samples import Sample
from dinov.types import Mask, PromptType, SizeHW

_T = TypeVar("_T")

MASK_STRIDE = 4
"""Masks are kept as the share of each 4 x 4 pixels of the input that they cover."""

_SCALES = (0.7, 1.8)
"""Length of the whole photo's longest side, in a view of a part of it, over that of the input."""
_DIVISOR = 32
"""Images are padded to multiples of it before they are padded to squares."""
_KINDS = (0.4, 0.2, 0.2, 0.2)
"""How often a prompt is a mask, a box, a scribble, a point."""
_MOST_REFERENCES = 4
_ELSEWHERE = 0.3
"""Of the photos without a concept so many are of another data set, if its own has some, too."""
_LEAST_SHARE = 0.25
"""Of one position: an object that covers less of every one is too small to be an example."""


@dataclass(frozen=True)
class Photo:
    """What is kept of a photo, all of it in squares with an empty rest."""

    path: Path
    maps: tuple[Tensor, ...]  # [C, S / stride, S / stride] float16 each
    inside: Tensor  # [S / 4, S / 4] bool, false on the padding
    masks: Tensor  # [N, S / 4, S / 4] uint8 shares of 255, the largest object first
    categories: tuple[str, ...]  # N
    absent: frozenset[str]

    def examples(self, category: str) -> list[int]:
        """Objects that can be marked: the larger half, unless they are tiny."""
        own = [i for i, name in enumerate(self.categories) if name == category]
        larger = own[: (len(own) + 1) // 2]
        return [i for i in larger if self.masks[i].amax() >= 255 * _LEAST_SHARE]

    def union(self, category: str) -> Tensor:
        """[S / 4, S / 4] uint8 of all objects of a category."""
        own = [i for i, name in enumerate(self.categories) if name == category]
        return self.masks[own].amax(0) if own else torch.zeros_like(self.inside, dtype=torch.uint8)


@dataclass(frozen=True)
class ConceptBatch:
    """Targets [B], each with a concept of one or more references [R] and where it is."""

    reference_maps: tuple[Tensor, ...]  # [R, C, h, w], all in squares
    prompt_shares: Tensor  # [R, S / 4, S / 4] in 0–1
    target_of: Tensor  # [R] int64
    target_maps: tuple[Tensor, ...]  # [B, C, h, w]
    truth: Tensor  # [B, S / 4, S / 4] in 0–1
    inside: Tensor  # [B, S / 4, S / 4], 1 on the photo and 0 on the padding


def compute_photos(
    model: DINOv,
    samples: Iterable[Sample],
    *,
    size: int,
    views: int,
    seed: int,
    device: torch.device,
) -> list[Photo]:
    """Read photos and run the backbone on views of each, at 384 pixels 1 MB of memory per view.

    The first view is the whole photo, the others are parts of it, scaled and coloured otherwise.
    """
    config = DataConfig(crop_size=size, scale_range=_SCALES)
    photos = []
    for number, sample in enumerate(one.loaded() for one in samples):
        image = read_rgb(sample.path)
        masks = [truth.mask() for truth in sample.truths]
        rng = np.random.default_rng([seed, number])
        for i in range(views):
            view = _part(sample.size_hw, masks, config, rng) if i else _all_of(sample.size_hw, size)
            shown = view.of_image(image)
            pixels = to_input(jitter_colour(shown, rng) if i else shown, size)
            seen = [pad_mask(view.of_mask(mask), size) for mask in masks]
            photos.append(_photo(model, sample, pixels, view.size_hw, seen, device))
    return photos


def _all_of(size_hw: SizeHW, size: int) -> View:
    fit = ImageTransform.fit(size_hw, size, resize="longest")
    return View(slice(0, size_hw[0]), slice(0, size_hw[1]), fit.input_hw, flipped=False)


def _part(
    size_hw: SizeHW, masks: Sequence[Mask], config: DataConfig, rng: np.random.Generator
) -> View:
    """A view of one of the objects and its surroundings."""
    present = [mask for mask in masks if mask.any()] or [np.ones(size_hw, np.bool_)]
    rows, columns = np.nonzero(_any_of(present, rng))
    pick = int(rng.integers(len(rows)))
    return draw_view(size_hw, (int(rows[pick]), int(columns[pick])), config, rng)


@torch.no_grad()
def _photo(
    model: DINOv,
    sample: Sample,
    pixels: NDArray[np.float32],
    size_hw: SizeHW,
    masks: Sequence[Mask],
    device: torch.device,
) -> Photo:
    """Compute one view, [3, S, S] with masks [S, S]; beyond ``size_hw`` it is padding."""
    side = len(pixels[0])
    height, width = (-(-length // _DIVISOR) * _DIVISOR for length in size_hw)
    inside = torch.zeros(side, side, dtype=torch.bool)
    inside[:height, :width] = True
    maps = model.backbone(torch.from_numpy(pixels[None]).to(device))
    own = [maps[name][0].to("cpu", torch.float16) for name in model.concept_features]
    strides = [side // m.shape[-1] for m in own]
    order = [i for i, mask in enumerate(masks) if mask.any()]
    order.sort(key=lambda i: -int(masks[i].sum()))
    shares = torch.zeros(len(order), side, side)
    for share, i in zip(shares, order, strict=True):
        share[:] = torch.from_numpy(masks[i])
    pooled = 255 * F.avg_pool2d(shares[:, None], MASK_STRIDE)[:, 0]
    categories = tuple(sample.truths[i].category for i in order)
    return Photo(
        sample.path,
        tuple(m * inside[::stride, ::stride] for m, stride in zip(own, strides, strict=True)),
        inside[::MASK_STRIDE, ::MASK_STRIDE].clone(),
        pooled.to(torch.uint8),
        categories,
        sample.known - set(categories),
    )


class ConceptEpisodes:
    """Draws batches; a category's chance does not depend on how many photos show it.

    References and target of an episode come from one data set, if the target shows the concept. A
    batch depends on seed and step only.

    Args:
        folders: the photos of each data set.
        weights: of each data set: a category of one with 2 is drawn twice as often.
        batch_size: targets per batch.
        absent_share: of targets that do not show the concept, where such are known.
        more_share: of episodes with more than one reference.
        seed: of everything random.
        apart: numbers of data sets of a domain of their own: their photos show no concept of the
            others, unless a category of theirs has a name like it.

    Raises:
        InvalidDataset: if there is nothing to draw.
    """

    def __init__(
        self,
        folders: Sequence[Sequence[Photo]],
        weights: Sequence[float],
        *,
        batch_size: int,
        absent_share: float,
        more_share: float,
        seed: int,
        apart: Collection[int] = (),
    ) -> None:
        self.batch_size, self.seed = batch_size, seed
        self.absent_share, self.more_share = absent_share, more_share
        self._present: dict[tuple[int, str], list[Photo]] = defaultdict(list)
        self._absent: dict[tuple[int, str], list[Photo]] = defaultdict(list)
        for number, photos in enumerate(folders):
            for photo in photos:
                for category in sorted(set(photo.categories)):
                    self._present[number, category].append(photo)
                for category in sorted(photo.absent):
                    self._absent[number, category].append(photo)
        self._marked = {
            concept: [photo for photo in photos if photo.examples(concept[1])]
            for concept, photos in self._present.items()
        }
        self.concepts = [
            concept
            for concept, photos in self._present.items()
            if len({photo.path for photo in photos}) > 1 and self._marked[concept]
        ]
        """Data set and category of all that can be drawn."""
        if not self.concepts:
            raise InvalidDataset(
                "No category has objects in two photos, one to learn from and one to find them in. "
                "Add photos with masks."
            )

        names = [_names(photos) for photos in folders]
        self._elsewhere = {
            (number, category): [
                folders[other]
                for other in sorted(set(apart) - {number})
                if not any(_is_like(category, name) for name in names[other])
            ]
            for number, category in self.concepts
        }
        chances = np.array([weights[number] for number, _ in self.concepts])
        self._chances = chances / chances.sum()

    def batch(self, step: int) -> ConceptBatch:
        """The batch of a step."""
        rng = np.random.default_rng([self.seed, step])
        references: list[Photo] = []
        prompts: list[Tensor] = []
        target_of: list[int] = []
        targets: list[tuple[Photo, Tensor]] = []
        while len(targets) < self.batch_size:
            concept = self.concepts[int(rng.choice(len(self.concepts), p=self._chances))]
            target = self._target(concept, rng)
            shown = [p for p in self._marked[concept] if p.path != target.path]
            if not shown:
                continue
            several = rng.random() < self.more_share
            for _ in range(int(rng.integers(2, _MOST_REFERENCES + 1)) if several else 1):
                photo = _any_of(shown, rng)
                references.append(photo)
                mask = photo.masks[_any_of(photo.examples(concept[1]), rng)]
                prompts.append(_prompt(mask, rng))
                target_of.append(len(targets))
            targets.append((target, target.union(concept[1])))
        mirrored = rng.random(len(references)) < 0.5
        flipped = rng.random(len(targets)) < 0.5
        photos = [photo for photo, _ in targets]
        return ConceptBatch(
            _stacked_maps(references, mirrored),
            _stacked(prompts, mirrored) / 255,
            torch.tensor(target_of),
            _stacked_maps(photos, flipped),
            _stacked([truth for _, truth in targets], flipped) / 255,
            _stacked([photo.inside for photo in photos], flipped),
        )

    def _target(self, concept: tuple[int, str], rng: np.random.Generator) -> Photo:
        if rng.random() >= self.absent_share:
            return _any_of(self._present[concept], rng)
        known, elsewhere = self._absent[concept], self._elsewhere[concept]
        if elsewhere and (not known or rng.random() < _ELSEWHERE):
            return _any_of(_any_of(elsewhere, rng), rng)
        return _any_of(known or self._present[concept], rng)


def _any_of(values: Sequence[_T], rng: np.random.Generator) -> _T:
    return values[int(rng.integers(len(values)))]


def _names(photos: Sequence[Photo]) -> set[str]:
    """Of all categories that are annotated in a data set."""
    return {name for photo in photos for name in (*photo.categories, *photo.absent)}


def _is_like(one: str, other: str) -> bool:
    """Is one name a part of the other, as "truck" of "fire truck"?"""
    one, other = one.casefold(), other.casefold()
    return one in other or other in one


def _prompt(mask: Tensor, rng: np.random.Generator) -> Tensor:
    """Mark an object [h, w] of uint8 shares in one of the ways in which people do."""
    kind = PROMPT_TYPES[int(rng.choice(len(PROMPT_TYPES), p=_KINDS))]
    inside = (mask > 127).numpy()
    if kind is PromptType.MASK or not inside.any():
        return mask
    return torch.from_numpy(sample_prompt_mask(inside, kind, rng)).to(torch.uint8) * 255


def _stacked_maps(photos: Sequence[Photo], flips: NDArray[np.bool_]) -> tuple[Tensor, ...]:
    return tuple(_stacked(m, flips) for m in zip(*(photo.maps for photo in photos), strict=True))


def _stacked(squares: Sequence[Tensor], flips: NDArray[np.bool_]) -> Tensor:
    """[N, ...] float32, some of them mirrored from left to right."""
    rows = [s.flip(-1) if flip else s for s, flip in zip(squares, flips, strict=True)]
    return torch.stack(rows).float()
