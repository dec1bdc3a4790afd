"""Batches in which categories recur, so that prompts on one image must find objects in others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dinov.images import read_rgb
from dinov.training.augmentation import draw_view, jitter_colour, pad_mask, to_input
from dinov.training.config import DataConfig, ReferConfig
from dinov.training.copy_paste import choose_objects, paste
from dinov.training.prompt_sampling import PROMPT_TYPES, sample_prompt_mask
from dinov.training.refer_episodes import ReferBatch, SeenObject, draw_refer
from dinov.training.samples import Folder, Sample
from dinov.training.truths import Truth
from dinov.types import Mask, SizeHW

_MIN_AREA = 16
"""Objects of fewer pixels in the input are not asked for."""

NO_REFER = ReferConfig(weight=0)


@dataclass(frozen=True)
class Batch:
    """One training step's worth of images, prompts and truth.

    Attributes:
        pixels: [B, 3, S, S] normalised and padded.
        truths: B of them; labels are numbers below K.
        prompt_masks: [P, S, S] bool.
        prompt_image: [P] the image of each prompt.
        prompt_category: [P] the category number of each prompt, 0 to K − 1.
        categories: K names.
        seen: per image, the category of each instance, prompted or not.
        known: per image, the names of the categories of which every object is annotated.
        is_generic: whether it serves the generic task; masks without categories do not.
        refer: what the refer task asks about the same images, unless it is left out.
    """

    pixels: Tensor
    truths: list[Truth]
    prompt_masks: Tensor
    prompt_image: Tensor
    prompt_category: Tensor
    categories: tuple[str, ...]
    seen: list[tuple[str, ...]]
    known: list[frozenset[str]]
    is_generic: bool
    refer: ReferBatch | None

    @property
    def num_categories(self) -> int:
        """K."""
        return len(self.categories)

    @property
    def visible(self) -> frozenset[str]:
        """The names of all annotated objects, prompted or not."""
        return frozenset(name for names in self.seen for name in names)

    def among(self, categories: Sequence[str]) -> Batch:
        """The same batch with all its categories, and others, numbered as they stand here."""
        number = {name: i for i, name in enumerate(categories)}
        moved = torch.tensor([number[name] for name in self.categories], dtype=torch.long)
        return replace(
            self,
            categories=tuple(categories),
            prompt_category=moved[self.prompt_category],
            truths=[
                replace(truth, labels=_labels(seen, number), known=_flags(known, number))
                for truth, seen, known in zip(self.truths, self.seen, self.known, strict=True)
            ],
        )


@dataclass(frozen=True)
class _View:
    """An augmented sample; the photo has the size ``size_hw`` in the upper left."""

    pixels: NDArray[np.float32]
    size_hw: SizeHW
    objects: list[SeenObject]
    known: frozenset[str]


class EpisodeSampler:
    """Draws batches; the same seed, step, part and rank always give the same batch.

    A batch is filled category by category: a folder by weight, one of its categories, then a few
    photos that show it, from any folder that has a category of that name. The second category
    is often from the folder of the first, which gives certain negatives. Every category then gets
    prompts on one or more of its photos and is looked for in all of them.
    """

    def __init__(
        self,
        folders: Sequence[Folder],
        config: DataConfig,
        seed: int,
        refer: ReferConfig = NO_REFER,
        rank: int = 0,
    ) -> None:
        self.config, self.refer, self.seed, self.rank = config, refer, seed, rank
        self._by_category: dict[str, list[Sample]] = defaultdict(list)
        self._counts: list[dict[str, int]] = []
        # Masks without categories are asked for in the refer task only.
        self._class_agnostic = [f for f in folders if f.is_class_agnostic and refer.weight]
        labelled = [folder for folder in folders if not folder.is_class_agnostic]
        for folder in labelled:
            counts: dict[str, int] = defaultdict(int)
            for sample in folder.samples:
                for category in sorted(sample.categories):
                    self._by_category[category].append(sample)
                    counts[category] += 1
            self._counts.append(counts)
        self._weights = np.array([_weight(folder, config) for folder in labelled])
        self._agnostic_weights = np.array([_weight(f, config) for f in self._class_agnostic])
        total = self._weights.sum() + self._agnostic_weights.sum()
        self._agnostic_rate = float(self._agnostic_weights.sum() / total)

    def batch(self, step: int, part: int = 0) -> Batch:
        """The batch of a step, or of one of its parts."""
        rng = np.random.default_rng([self.seed, step, part, self.rank])
        # All processes serve the same tasks at a time.
        common = np.random.default_rng([self.seed, step, part, 0, 1])
        is_generic = common.random() >= self._agnostic_rate
        size = self.config.batch_size
        first_views = max(1, size - round(self.refer.second_views * size))
        choose = self._choose if is_generic else self._choose_class_agnostic
        chosen = choose(first_views, rng)
        chosen += chosen[: size - first_views]
        views = [self._augmented(*choice, rng) for choice in chosen]
        if self.config.paste_rate > 0:
            views = self._pasted(views, rng)
        return self._assemble(views, is_generic, rng)

    def _choose_class_agnostic(
        self, count: int, rng: np.random.Generator
    ) -> list[tuple[Sample, Collection[str]]]:
        weights = self._agnostic_weights / self._agnostic_weights.sum()
        folders = rng.choice(len(weights), size=count, p=weights)
        chosen = [self._class_agnostic[int(folder)] for folder in folders]
        samples = [f.samples[int(rng.integers(len(f.samples)))].loaded() for f in chosen]
        return [(sample, sample.categories) for sample in samples]

    def _choose(self, count: int, rng: np.random.Generator) -> list[tuple[Sample, Collection[str]]]:
        """Photos, each with the categories of which its view must show an object."""
        chosen: list[tuple[Sample, Collection[str]]] = []
        folder = 0
        weights = self._weights / self._weights.sum()
        while len(chosen) < count:
            if not chosen or rng.random() < 0.5:
                folder = int(rng.choice(len(weights), p=weights))
            counts = self._counts[folder]
            frequency = np.sqrt(list(counts.values()))
            category = list(counts)[int(rng.choice(len(counts), p=frequency / frequency.sum()))]
            low, high = self.config.images_per_category
            wanted = min(int(rng.integers(low, high + 1)), count - len(chosen))
            pool = self._by_category[category]
            picked = rng.choice(len(pool), size=min(wanted, len(pool)), replace=False)
            chosen.extend((pool[int(index)], (category,)) for index in picked)
        return chosen

    def _augmented(
        self, sample: Sample, wanted: Collection[str], rng: np.random.Generator
    ) -> _View:
        config = self.config
        anchors = [truth for truth in sample.truths if truth.category in wanted]
        everywhere = np.ones(sample.size_hw, np.bool_)
        anchor = anchors[int(rng.integers(len(anchors)))].mask() if anchors else everywhere
        ys, xs = np.nonzero(anchor)
        pick = int(rng.integers(len(ys)))
        view = draw_view(sample.size_hw, (int(ys[pick]), int(xs[pick])), config, rng)
        objects = []
        for truth in sample.truths:
            mask = view.of_mask(truth.mask())
            if np.count_nonzero(mask) >= _MIN_AREA:
                padded = pad_mask(mask, config.crop_size)
                identity = None if truth.is_semantic else truth.identity
                objects.append(SeenObject(truth.category, padded, identity))
        known = sample.known
        if len(objects) > config.max_instances:
            order = rng.permutation(len(objects))
            dropped = {objects[i].category for i in order[config.max_instances :]}
            objects = [objects[i] for i in sorted(order[: config.max_instances])]
            known = known - dropped
        image = jitter_colour(view.of_image(read_rgb(sample.path)), rng)
        return _View(to_input(image, config.crop_size), view.size_hw, objects, known)

    def _pasted(self, views: Sequence[_View], rng: np.random.Generator) -> list[_View]:
        """Views of which some have objects of others; those are taken as they were before."""
        result = list(views)
        for index, view in enumerate(views):
            if len(views) < 2 or rng.random() >= self.config.paste_rate:
                continue
            source = views[(index + int(rng.integers(1, len(views)))) % len(views)]
            room = self.config.max_instances - len(view.objects)
            # An object that is there already would be one object in two places.
            here = {seen.identity for seen in view.objects}
            others = [seen for seen in source.objects if seen.identity not in here]
            chosen = choose_objects(others, min(room, self.config.paste_objects), rng)
            pixels, objects = paste(
                view.pixels, view.objects, view.size_hw, source.pixels, chosen, min_area=_MIN_AREA
            )
            result[index] = replace(view, pixels=pixels, objects=objects)
        return result

    def _assemble(
        self, views: Sequence[_View], is_generic: bool, rng: np.random.Generator
    ) -> Batch:
        places: dict[str, list[tuple[int, Mask]]] = defaultdict(list)
        for index, view in enumerate(views):
            for seen in view.objects if is_generic else ():
                places[seen.category].append((index, seen.mask))
        prompted = [name for name, where in places.items() if self._is_prompted(where, rng)]
        number = {name: i for i, name in enumerate(prompted)}
        masks, images, categories = [], [], []
        for name in prompted:
            for index, mask in self._examples(places[name], rng):
                kind = PROMPT_TYPES[int(rng.integers(len(PROMPT_TYPES)))]
                masks.append(sample_prompt_mask(mask, kind, rng))
                images.append(index)
                categories.append(number[name])
        size = self.config.crop_size
        stacked = np.stack(masks) if masks else np.zeros((0, size, size), np.bool_)
        return Batch(
            pixels=torch.from_numpy(np.stack([view.pixels for view in views])),
            truths=[self._truth(view, number) for view in views],
            prompt_masks=torch.from_numpy(stacked),
            prompt_image=torch.tensor(images, dtype=torch.long),
            prompt_category=torch.tensor(categories, dtype=torch.long),
            categories=tuple(prompted),
            seen=[tuple(seen.category for seen in view.objects) for view in views],
            known=[view.known for view in views],
            is_generic=is_generic,
            refer=draw_refer([view.objects for view in views], size, self.refer, rng)
            if self.refer.weight
            else None,
        )

    def _is_prompted(self, where: Sequence[tuple[int, Mask]], rng: np.random.Generator) -> bool:
        recurs = len({index for index, _ in where}) > 1
        return recurs or rng.random() < self.config.self_prompt_rate

    def _examples(
        self, where: list[tuple[int, Mask]], rng: np.random.Generator
    ) -> list[tuple[int, Mask]]:
        """A random 1 to N objects; of half the categories all from one image, as a user begins."""
        if rng.random() < 0.5:
            first = where[int(rng.integers(len(where)))][0]
            where = [place for place in where if place[0] == first]
        count = int(rng.integers(1, self.config.prompts_per_category + 1))
        picked = rng.permutation(len(where))[:count]
        return [where[int(i)] for i in picked]

    def _truth(self, view: _View, number: dict[str, int]) -> Truth:
        stride = self.config.mask_stride
        side = self.config.crop_size
        small = (side // stride, side // stride)
        masks = np.zeros((len(view.objects), *small), np.float32)
        boxes = np.zeros((len(view.objects), 4), np.float32)
        for i, seen in enumerate(view.objects):
            full = seen.mask.astype(np.float32)
            masks[i] = cv2.resize(full, small, interpolation=cv2.INTER_AREA)
            boxes[i] = _box_cxcywh(seen.mask)
        return Truth(
            labels=_labels([seen.category for seen in view.objects], number),
            boxes_cxcywh=torch.from_numpy(boxes),
            masks=torch.from_numpy(masks),
            known=_flags(view.known, number),
        )


def _labels(names: Sequence[str], number: dict[str, int]) -> Tensor:
    return torch.tensor([number.get(name, -1) for name in names], dtype=torch.long)


def _flags(known: Collection[str], number: dict[str, int]) -> Tensor:
    return torch.tensor([name in known for name in number], dtype=torch.bool)


def _weight(folder: Folder, config: DataConfig) -> float:
    """Large and varied folders count more, but less than in proportion."""
    annotated = {category for sample in folder.samples for category in sample.categories}
    varied = len(folder.samples) * max(1, len(annotated))
    factor = dict(config.folder_weights).get(folder.name, 1.0)
    semantic = config.semantic_weight if folder.is_semantic else 1.0
    return float(varied**config.weight_power * semantic * factor)


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The same batch on another device."""
    moved: Batch = _moved(batch, device)
    return moved


def _moved(value: Any, device: torch.device) -> Any:
    """All tensors within lists and dataclasses."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, list):
        return [_moved(item, device) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return replace(
            value, **{f.name: _moved(getattr(value, f.name), device) for f in fields(value)}
        )
    return value


def _box_cxcywh(mask: Mask) -> NDArray[np.float32]:
    """Tight box of a non-empty mask along pixel edges, in 0–1 of its frame."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    low = np.array([columns[0], rows[0]], np.float32)
    high = np.array([columns[-1] + 1, rows[-1] + 1], np.float32)
    size = np.array([mask.shape[1], mask.shape[0]], np.float32)
    return np.concatenate([(low + high) / 2 / size, (high - low) / size])
