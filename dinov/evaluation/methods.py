"""What is compared: DINOv, and two baselines that need no training."""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from dinov.device import autocast
from dinov.evaluation.coco import proposed_masks
from dinov.evaluation.episodes import Episode
from dinov.evaluation.metrics import Coverage, Curve, instance_coverage, map_coverage
from dinov.feature_cache import FeatureCache
from dinov.images import ImageTransform, read_rgb
from dinov.masks import decode_rle, rasterise
from dinov.model.dinov import DINOv
from dinov.predictor import Predictor
from dinov.training.samples import Sample
from dinov.types import Image, Mask, PromptType, Segmentation

_CACHE_BYTES = 1 << 30


class Method(Protocol):
    """A way to solve an episode."""

    name: str
    thresholds: Curve

    def cover(self, episode: Episode, kind: PromptType) -> Coverage:
        """Solve an episode with prompts of one kind, at every threshold."""
        ...


class PredictorMethod:
    """DINOv as users get it: the union of all instances found."""

    name = "DINOv"
    thresholds: Curve = np.round(np.arange(0.05, 0.9, 0.025), 3)

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    def cover(self, episode: Episode, kind: PromptType) -> Coverage:
        """See ``Method``."""
        found = self.segment(episode, kind, float(self.thresholds[0]))
        masks = [decode_rle(instance.rle) for instance in found.instances]
        scores = [instance.score for instance in found.instances]
        return instance_coverage(masks, scores, episode.truth(), self.thresholds)

    def segment(self, episode: Episode, kind: PromptType, score_threshold: float) -> Segmentation:
        """All instances found in the target."""
        bank = self._predictor.embed_references(episode.references(kind))
        image = read_rgb(episode.target.path)
        return self._predictor.segment(image, bank, score_threshold=score_threshold)


class BestProposalMethod:
    """Of everything DINOv proposes in a target, the one mask that covers the truth best.

    It knows the truth: no choice of scores and thresholds that shows one mask could do better.
    What it lacks was not proposed; what it is ahead of DINOv is lost in recognising the concept.
    """

    name = "best single proposal"
    thresholds: Curve = np.zeros(1)

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._done: tuple[Episode, Coverage] | None = None

    def cover(self, episode: Episode, kind: PromptType) -> Coverage:
        """See ``Method``; the proposals are the same for every kind."""
        if self._done is None or self._done[0] is not episode:
            self._done = episode, self._cover(episode, kind)
        return self._done[1]

    def _cover(self, episode: Episode, kind: PromptType) -> Coverage:
        truth = episode.truth()
        nothing = map_coverage(np.full(truth.shape, -1.0), truth, self.thresholds)
        if not truth.any():
            return nothing
        bank = self._predictor.embed_references(episode.references(kind))
        masks = proposed_masks(self._predictor, read_rgb(episode.target.path), bank).numpy()
        covers = [map_coverage(mask - 1.0, truth, self.thresholds) for mask in masks]
        return max(covers, key=lambda cover: float(cover.iou[0]), default=nothing)


class CosineMethod:
    """Pool the frozen backbone's features under the prompt, compare with every place.

    The similarity map is the mean over the two coarsest levels (strides 16 and 32), which was the
    best choice on the validation data, brought to the target's size bilinearly.
    """

    name = "cosine similarity"
    thresholds: Curve = np.round(np.arange(0.0, 1.0, 0.02), 3)
    levels = ("res4", "res5")

    def __init__(
        self,
        model: DINOv,
        *,
        input_size: int,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._backbone = model.backbone
        self._input_size, self._device, self._dtype = input_size, device, dtype
        self._cache: FeatureCache[_Features] = FeatureCache(_CACHE_BYTES)

    def cover(self, episode: Episode, kind: PromptType) -> Coverage:
        """See ``Method``."""
        pooled: dict[str, list[Tensor]] = {name: [] for name in self.levels}
        for (sample, _), reference in zip(episode.examples, episode.references(kind), strict=True):
            features = self._encode(sample, reference.image)
            for prompt in reference.prompts:
                mask = rasterise(prompt, sample.size_hw)
                for name, vector in features.pool(mask).items():
                    pooled[name].append(vector)
        target = self._encode(episode.target, read_rgb(episode.target.path))
        similarity = sum(
            target.similarity(name, torch.stack(vectors).mean(0))
            for name, vectors in pooled.items()
        )
        score_map = np.asarray(similarity) / len(self.levels)
        return map_coverage(score_map, episode.truth(), self.thresholds)

    @torch.inference_mode()
    def _encode(self, sample: Sample, image: Image) -> _Features:
        def compute() -> _Features:
            transform = ImageTransform.fit(sample.size_hw, self._input_size, resize="longest")
            pixels = torch.from_numpy(transform.apply_image(image))[None].to(self._device)
            with autocast(self._device, self._dtype):
                maps = self._backbone(pixels)
            kept = {name: maps[name][0].float().cpu() for name in self.levels}
            return _Features(kept, transform)

        return self._cache.get_or_compute(str(sample.path), compute)


class _Features:
    """Backbone maps [C, h, w] of one photo by level."""

    def __init__(self, maps: dict[str, Tensor], transform: ImageTransform) -> None:
        self.maps, self.transform = maps, transform
        self.nbytes = sum(m.nbytes for m in maps.values())

    def pool(self, mask: Mask) -> dict[str, Tensor]:
        """[C] mean feature under a mask of the photo, by level."""
        inside = torch.from_numpy(self.transform.apply_mask(mask))[None, None].float()
        pooled = {}
        for name, features in self.maps.items():
            weight = F.adaptive_avg_pool2d(inside, (features.shape[1], features.shape[2]))[0]
            pooled[name] = (features * weight).sum((1, 2)) / weight.sum()
        return pooled

    def similarity(self, name: str, vector: Tensor) -> NDArray[np.float32]:
        """[H, W] cosine similarity at the photo's size."""
        cosine = F.cosine_similarity(self.maps[name], vector[:, None, None], dim=0).numpy()
        height, width = self.transform.padded_hw
        padded = cv2.resize(cosine, (width, height), interpolation=cv2.INTER_LINEAR)
        rows, columns = self.transform.input_hw
        original_h, original_w = self.transform.original_hw
        resized = cv2.resize(
            padded[:rows, :columns], (original_w, original_h), interpolation=cv2.INTER_LINEAR
        )
        return np.asarray(resized, np.float32)


class ForegroundMethod:
    """Everything is the object."""

    name = "everything"
    thresholds: Curve = np.zeros(1)

    def cover(self, episode: Episode, kind: PromptType) -> Coverage:  # noqa: ARG002
        """See ``Method``."""
        truth = episode.truth()
        return map_coverage(np.ones(truth.shape), truth, self.thresholds)
