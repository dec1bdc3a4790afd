"""All categories of a data set at once: a bank of a few training examples, then AP, PQ and mIoU.

The model is measured as users get it: one segmentation per photo with all categories in the bank.
"""

from __future__ import annotations

import contextlib
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from dinov.errors import InvalidDataset
from dinov.evaluation.episodes import clear_example
from dinov.evaluation.panoptic_quality import PanopticTally, PixelTally
from dinov.images import read_rgb
from dinov.masks import encode_rle
from dinov.panoptic import FlatMap, Segment, lay_flat
from dinov.postprocess import resize_mask_logits
from dinov.predictor import Predictor
from dinov.prompt_bank import PromptBank
from dinov.training.prompt_sampling import sample_prompt
from dinov.training.samples import Folder, PanopticSegment, Sample, TrueMask
from dinov.types import Mask, Prompt, PromptType, Reference, Segmentation

_LEAST_SCORE = 0.05
"""Average precision ranks everything that is at least so sure."""
_RECALL_IOU = 0.5
_AP_NAMES = ("ap", "ap50", "ap75")


@dataclass
class CocoResult:
    """The figures of one folder; None where there is nothing that they could be measured on.

    ``by_image`` is the mean IoU of the regions of the categories that an image shows.
    """

    folder: str
    images: int
    categories: tuple[str, ...]
    without_examples: tuple[str, ...]
    figures: dict[str, float | None] = field(default_factory=dict)
    by_category: dict[str, dict[str, float]] = field(default_factory=dict)
    by_image: list[tuple[Sample, float]] = field(default_factory=list)


def draw_references(
    train: Sequence[Folder], folder: Folder, *, examples: int, kind: PromptType, seed: int
) -> list[tuple[Sample, list[Prompt]]]:
    """Draw up to ``examples`` objects of each of a folder's categories, one per training photo.

    They come from the training data of the same name or, if there are none, from all of them. A
    prompt's category id is the place of its name in ``folder.categories``, from 1.
    """
    rng = np.random.default_rng(seed)
    same = [known for known in train if known.name == folder.name]
    samples = [sample for known in same or train for sample in known.samples]
    own = {sample.path for sample in folder.samples}
    drawn: dict[int, list[Prompt]] = defaultdict(list)
    for number, category in enumerate(folder.categories, start=1):
        pool = [
            i
            for i, sample in enumerate(samples)
            if category in sample.categories and sample.path not in own
        ]
        for place in rng.permutation(len(pool))[:examples]:
            truth = clear_example(samples[pool[place]], category, rng)
            drawn[pool[place]].append(sample_prompt(truth.mask(), kind, rng, category_id=number))
    return [(samples[i], prompts) for i, prompts in sorted(drawn.items())]


def embed_bank(predictor: Predictor, drawn: Iterable[tuple[Sample, list[Prompt]]]) -> PromptBank:
    """The bank of such references."""
    return predictor.embed_references(
        Reference(read_rgb(sample.path), prompts) for sample, prompts in drawn
    )


def evaluate_folder(
    predictor: Predictor,
    folder: Folder,
    bank: PromptBank,
    samples: Iterable[Sample],
    score_threshold: float,
) -> CocoResult:
    """Segment the samples of a folder with a bank and count.

    A category that is not annotated throughout a photo has no false finds there, and
    semantic masks count as regions only, not as objects.

    Args:
        predictor: the model.
        folder: whose categories the bank's ids number from 1.
        bank: the examples.
        samples: those of the folder, or some of them.
        score_threshold: of what counts for PQ and mIoU; AP ranks nearly everything.

    Raises:
        InvalidDataset: if none of the categories has an example.
    """
    if not bank.category_ids:
        raise InvalidDataset(f"No category of {folder.name} has an example in the training data.")
    names = {i: name for i, name in enumerate(folder.categories, 1) if i in bank.category_ids}
    number = {name: i for i, name in names.items()}
    stuff = {
        number[truth.category]
        for sample in folder.samples
        for truth in sample.truths
        if truth.is_semantic and truth.category in number
    }
    tally, pixels, objects = PanopticTally(), PixelTally(), ObjectTally(names)
    result = CocoResult(
        folder.name, 0, tuple(names.values()), tuple(sorted({*folder.categories} - {*number}))
    )
    for sample in samples:
        truths = [truth for truth in sample.truths if truth.category in number]
        known = {number[name] for name in sample.known if name in number}
        image = read_rgb(sample.path)
        found = predictor.segment(image, bank, score_threshold=score_threshold)
        flat = lay_flat(found, {i: i for i in names}, stuff)
        regions = regions_of(truths, number)
        void = _void(sample)
        tally.add(flat, flat_truth(truths, number, sample.size_hw), known, void)
        pixels.add(flat, regions, known, void)
        sure = predictor.segment(image, bank, score_threshold=_LEAST_SCORE)
        objects.add(sample, truths, known, sure)
        objects.add_recall(truths, proposed_masks(predictor, image, bank))
        result.images += 1
        result.by_image.append((sample, _image_iou(flat, regions)))
    quality, iou = tally.quality(), pixels.iou(sorted(names))
    result.figures = {**objects.figures(), "pq": _mean(quality), "miou": _mean(iou)}
    result.by_category = {
        "pq": {names[i]: value for i, value in quality.items()},
        "iou": {names[i]: value for i, value in iou.items()},
    }
    return result


class ObjectTally:
    """Collects objects for pycocotools, and how many of the true ones are proposed at all.

    Where a category is not annotated throughout, the whole image is a crowd of it, and so is a
    semantic mask: what is found in a crowd and fits no annotated object does not count.
    """

    def __init__(self, names: Mapping[int, str]) -> None:
        self._document: dict[str, Any] = {
            "info": {},
            "images": [],
            "annotations": [],
            "categories": [{"id": i, "name": name} for i, name in names.items()],
        }
        self._number = {name: i for i, name in names.items()}
        self._found: list[dict[str, Any]] = []
        self._objects = self._proposed = 0

    def add(
        self, sample: Sample, truths: Sequence[TrueMask], known: set[int], found: Segmentation
    ) -> None:
        """Add a photo."""
        height, width = sample.size_hw
        image_id = len(self._document["images"]) + 1
        self._document["images"].append({"id": image_id, "height": height, "width": width})
        for truth in truths:
            category = self._number[truth.category]
            self._annotate(image_id, category, truth.mask(), crowd=truth.is_semantic)
        for category in sorted({*self._number.values()} - known):
            self._annotate(image_id, category, np.ones((height, width), np.bool_), crowd=True)
        self._found += [
            {
                "image_id": image_id,
                "category_id": instance.category_id,
                "segmentation": instance.rle,
                "score": instance.score,
            }
            for instance in found.instances
        ]

    def add_recall(self, truths: Sequence[TrueMask], proposed: torch.Tensor) -> None:
        """Count the true objects that one of the proposed masks [Q, H, W] covers with IoU 0.5."""
        masks = [truth.mask() for truth in truths if not truth.is_semantic]
        if not masks:
            return
        true = torch.from_numpy(np.stack(masks)).flatten(1).float()
        flat = proposed.flatten(1).float()
        both = true @ flat.mT
        either = true.sum(1)[:, None] + flat.sum(1) - both
        self._objects += len(masks)
        self._proposed += int((both >= _RECALL_IOU * either).any(1).sum())

    def figures(self) -> dict[str, float | None]:
        """AP at IoU 0.5 to 0.95, at 0.5, at 0.75, and the recall of the proposals at IoU 0.5."""
        if not self._objects:
            return dict.fromkeys((*_AP_NAMES, "recall50"))
        figures: dict[str, float | None] = dict.fromkeys(_AP_NAMES, 0.0)
        figures["recall50"] = self._proposed / self._objects
        if not self._found:
            return figures
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints as it goes
            truth = COCO()
            truth.dataset = self._document
            truth.createIndex()
            evaluation = COCOeval(truth, truth.loadRes(self._found), "segm")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        figures.update(zip(_AP_NAMES, map(float, evaluation.stats[:3]), strict=True))
        return figures

    def _annotate(self, image_id: int, category_id: int, mask: Mask, *, crowd: bool) -> None:
        rows = self._document["annotations"]
        area = int(np.count_nonzero(mask))
        rows.append(
            {
                "id": len(rows) + 1,
                "image_id": image_id,
                "category_id": category_id,
                "segmentation": encode_rle(mask),
                "area": area,
                "iscrowd": int(crowd),
            }
        )


def proposed_masks(predictor: Predictor, image: Any, bank: PromptBank) -> torch.Tensor:
    """[Q, H, W] bool: everything that the queries propose, whatever it may be."""
    compared = predictor.compare(image, bank.concept_embeddings()[:1])  # whatever is asked for
    masks: torch.Tensor = resize_mask_logits(compared.mask_logits, compared.transform) > 0
    return masks.cpu()


def regions_of(truths: Sequence[TrueMask], number: Mapping[str, int]) -> dict[int, Mask]:
    """The union [H, W] of the masks of each annotated category."""
    regions: dict[int, Mask] = {}
    for truth in truths:
        category = number[truth.category]
        mask = truth.mask()
        regions[category] = regions[category] | mask if category in regions else mask
    return regions


def flat_truth(
    truths: Sequence[TrueMask], number: Mapping[str, int], size_hw: tuple[int, int]
) -> FlatMap:
    """Annotations laid flat: smaller ones on top, semantic ones of a category united."""
    numbers = np.zeros(size_hw, np.int32)
    categories: list[int] = []
    of_stuff: dict[int, int] = {}
    for truth in sorted(truths, key=lambda truth: -truth.area):
        category = number[truth.category]
        segment = of_stuff.get(category) if truth.is_semantic else None
        if segment is None:
            categories.append(category)
            segment = len(categories)
            if truth.is_semantic:
                of_stuff[category] = segment
        numbers[truth.mask()] = segment
    areas = np.bincount(numbers.ravel(), minlength=len(categories) + 1)
    visible = [
        Segment(i, category, int(areas[i])) for i, category in enumerate(categories, 1) if areas[i]
    ]
    return FlatMap(numbers, tuple(visible))


def _void(sample: Sample) -> Mask | None:
    """In panoptic data every pixel is labelled, or nobody knows what it shows."""
    if not any(isinstance(truth.shape, PanopticSegment) for truth in sample.truths):
        return None
    labelled: Mask = np.logical_or.reduce([truth.mask() for truth in sample.truths])
    return ~labelled


def _image_iou(found: FlatMap, regions: Mapping[int, Mask]) -> float:
    tally = PixelTally()
    tally.add(found, regions, list(regions))
    return _mean(tally.iou(list(regions))) or 0.0


def _mean(values: Mapping[int, float]) -> float | None:
    return float(np.mean(list(values.values()))) if values else None
