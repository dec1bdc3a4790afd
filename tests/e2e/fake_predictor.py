"""A predictor that finds what has the colour of the marks: no weights, milliseconds."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
from torch import Tensor

from dinov.images import ImageTransform
from dinov.masks import encode_rle, rasterise
from dinov.options import InstanceOptions
from dinov.postprocess import MASK_STRIDE
from dinov.predictor import Comparison
from dinov.prompt_bank import PromptBank
from dinov.types import Image, Instance, Prompt, Referral, Segmentation

REACH = 60.0
"""Colours farther than this from the marks' mean belong to something else."""


class ColourPredictor:
    """An embedding is the mean colour under a prompt; an instance is a connected patch of it.

    While ``gate`` is cleared, segmenting waits, so that a test can look at a job at work. ``tiles``
    notes in which tiles it was asked to look.
    """

    variant = "colour"
    input_size = 64
    score_threshold = 0.3
    likeness_threshold = -1.0
    fingerprint = "colour:1"
    checkpoint_hash = "c0" * 32
    device_name = "CPU"

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.tiles: list[int | None] = []

    def embed_prompts(
        self, image: Image, prompts: Sequence[Prompt], *, for_refer: bool = False
    ) -> Tensor:
        masks = [rasterise(prompt, image.shape[:2]) for prompt in prompts]
        return torch.tensor(np.array([image[mask].mean(0) for mask in masks]))

    def refer(
        self, image: Image, bank: PromptBank, *, max_candidates: int = 1, **_: object
    ) -> Referral:
        """Of all patches of an object's colour each has a share in being the object."""
        candidates = {}
        for category_id in bank.category_ids:
            colour = bank.positives[category_id].mean(0).numpy()
            ranked = sorted(_patches(image, category_id, colour), key=lambda one: -one.score)
            total = sum(one.score for one in ranked)
            shares = [replace(one, score=one.score / total) for one in ranked[:max_candidates]]
            candidates[category_id] = tuple(shares)
        return Referral(image.shape[:2], candidates)

    def compare(self, image: Image, concepts: Tensor) -> Comparison:
        """One proposal per concept, of that concept and no other: what has nearly its colour."""
        transform = ImageTransform.fit((image.shape[0], image.shape[1]), self.input_size)
        near = [np.linalg.norm(image - colour.numpy(), axis=2) < REACH for colour in concepts]
        masks = np.stack([transform.apply_mask(one)[::MASK_STRIDE, ::MASK_STRIDE] for one in near])
        logits = torch.from_numpy(masks.astype(np.float32)) * 20 - 10
        return Comparison(torch.eye(len(near)) * 20 - 10, logits, transform)

    def segment(
        self,
        image: Image,
        bank: PromptBank,
        *,
        score_threshold: float | None = None,
        options: InstanceOptions | None = None,
        tile: int | None = None,
    ) -> Segmentation:
        self.gate.wait(timeout=60)
        self.tiles.append(tile)
        least = self.score_threshold if score_threshold is None else score_threshold
        found = [
            instance
            for category_id in bank.category_ids
            for instance in _patches(
                image, category_id, bank.positives[category_id].mean(0).numpy()
            )
            if instance.score >= least
        ]
        return Segmentation(image.shape[:2], tuple(sorted(found, key=lambda one: -one.score)))


def _patches(image: Image, category_id: int, colour: np.ndarray) -> list[Instance]:
    smooth = cv2.medianBlur(image, 5).astype(np.float32)
    distance = np.linalg.norm(smooth - colour, axis=2)
    count, labels, stats, _ = cv2.connectedComponentsWithStats((distance < REACH).astype(np.uint8))
    instances = []
    for label in range(1, count):
        x, y, w, h, area = (int(v) for v in stats[label])
        if area < image.shape[0] * image.shape[1] / 2000:
            continue
        mask = labels == label
        score = 0.9 * float(1 - distance[mask].mean() / REACH)
        box = (float(x), float(y), float(x + w), float(y + h))
        instances.append(Instance(category_id, score, encode_rle(mask), box, area))
    return instances
