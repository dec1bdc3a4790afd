"""A quick score during training: one-shot episodes at the crop size, straight on tensors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from dinov.concept_maps import agreed_logits, agreed_masks
from dinov.errors import InvalidDataset
from dinov.images import ImageTransform, read_rgb
from dinov.model.dinov import DINOv, FeaturePyramid
from dinov.training.prompt_sampling import PROMPT_TYPES, sample_prompt_mask
from dinov.training.samples import Folder, Sample
from dinov.types import Mask

_THRESHOLDS = torch.linspace(0.05, 0.8, 16)
_EPISODES_PER_BATCH = 4


@dataclass(frozen=True)
class ValidationScore:
    """Mean union IoU over categories, at the score threshold that gives the best."""

    iou: float
    score_threshold: float


@dataclass(frozen=True)
class _Episode:
    pixels: Tensor  # [2, 3, S, S]: reference and target
    inside: Tensor  # [2, S, S] bool, false where a square is empty
    prompt_mask: Tensor  # [S, S] bool
    truth: Tensor  # [S / 4, S / 4] bool, all objects of the category in the target


class Validator:
    """Scores a model on one episode per category: a reference from training, a target from val.

    Episodes and prompts (all types in turn) are the same at every call.
    """

    def __init__(
        self, train: Sequence[Folder], val: Sequence[Folder], *, size: int, episodes: int, seed: int
    ) -> None:
        self.size = size
        rng = np.random.default_rng(seed)
        pairs = _draw_pairs(train, val, rng)
        if not pairs:
            raise InvalidDataset(
                "No category has objects both in training and in validation photos. "
                "Add photos, or name others with --val."
            )
        chosen = sorted(rng.permutation(len(pairs))[:episodes])
        self._pairs = [pairs[i] for i in chosen]
        self._seed = seed

    def __len__(self) -> int:
        return len(self._pairs)

    @torch.no_grad()
    def score(self, model: DINOv, device: torch.device) -> ValidationScore:
        """Mean IoU of the model, which must be in evaluation mode."""
        curves = []
        for start in range(0, len(self._pairs), _EPISODES_PER_BATCH):
            numbers = range(start, min(start + _EPISODES_PER_BATCH, len(self._pairs)))
            curves.append(_iou_curves(model, [self._episode(i) for i in numbers], device))
        mean = torch.cat(curves).mean(0)
        best = int(mean.argmax())
        return ValidationScore(float(mean[best]), float(_THRESHOLDS[best]))

    def _episode(self, number: int) -> _Episode:
        category, reference, target = self._pairs[number]
        rng = np.random.default_rng([self._seed, number])
        fits = [
            ImageTransform.fit(s.size_hw, self.size, resize="longest") for s in (reference, target)
        ]
        pixels = [
            _fit_square(fit.apply_image(read_rgb(sample.path)), self.size)
            for fit, sample in zip(fits, (reference, target), strict=True)
        ]
        example = max((t for t in reference.truths if t.category == category), key=lambda t: t.area)
        kind = PROMPT_TYPES[number % len(PROMPT_TYPES)]
        prompt = sample_prompt_mask(example.mask(), kind, rng)
        truth = fits[1].apply_mask(_union(target, category))
        return _Episode(
            torch.from_numpy(np.stack(pixels)),
            torch.from_numpy(
                np.stack([_square_mask(np.ones(f.padded_hw, np.bool_), self.size) for f in fits])
            ),
            torch.from_numpy(_square_mask(fits[0].apply_mask(prompt), self.size)),
            F.avg_pool2d(torch.from_numpy(_square_mask(truth, self.size))[None].float(), 4)[0]
            >= 0.5,
        )


def _draw_pairs(
    train: Sequence[Folder], val: Sequence[Folder], rng: np.random.Generator
) -> list[tuple[str, Sample, Sample]]:
    references: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    names = {folder.name for folder in train}
    for folder in train:
        for sample in folder.samples:
            for category in sample.categories:
                references[folder.name, category].append(sample)
                references["", category].append(sample)
    pairs = []
    for folder in val:
        for category in folder.categories:
            targets = [s for s in folder.samples if category in s.categories]
            # Validation data of another name take their references from all training data.
            known = references[folder.name if folder.name in names else "", category]
            if targets and known:
                reference = known[int(rng.integers(len(known)))]
                pairs.append((category, reference, targets[int(rng.integers(len(targets)))]))
    return pairs


def _iou_curves(model: DINOv, episodes: Sequence[_Episode], device: torch.device) -> Tensor:
    """IoU of every episode at every threshold, [E, T]."""
    count = len(episodes)
    pixels = torch.cat([e.pixels[:1] for e in episodes] + [e.pixels[1:] for e in episodes])
    inside = torch.cat([e.inside[:1] for e in episodes] + [e.inside[1:] for e in episodes])
    pyramid = _emptied(model.encode_image(pixels.to(device)), inside.to(device))
    prompts = torch.stack([e.prompt_mask for e in episodes]).to(device)
    embeddings = model.embed_prompts(pyramid, prompts, torch.arange(count, device=device))
    prediction = model.decode_generic(pyramid, embeddings)
    logits, masks = prediction.logits[count:], prediction.mask_logits[count:]
    own = torch.arange(count, device=device)
    if model.concept_head is not None:
        maps = model.decode_concepts(pyramid, embeddings)[count:]
        logits = torch.stack(list(map(agreed_logits, logits, masks, maps)))
        masks = torch.stack(
            [
                agreed_masks(m, one[i].expand(len(m), -1, -1))
                for i, (m, one) in enumerate(zip(masks, maps, strict=True))
            ]
        )
    scores = logits[own, :, own].sigmoid()
    proposed = masks > 0  # [E, Q, h, w]
    truth = torch.stack([e.truth for e in episodes]).to(device)
    curve = []
    for threshold in _THRESHOLDS:
        found = (proposed & (scores > threshold)[..., None, None]).any(1)
        curve.append((found & truth).sum((1, 2)) / (found | truth).sum((1, 2)).clamp(min=1))
    return torch.stack(curve, dim=1).float().cpu()


def _emptied(pyramid: FeaturePyramid, inside: Tensor) -> FeaturePyramid:
    """Without what the backbone makes of padding: elsewhere images are not padded to squares."""
    side = inside.shape[-1]
    maps = [
        m * inside[:, None, :: side // m.shape[-1], :: side // m.shape[-1]]
        for m in pyramid.concept_maps
    ]
    return replace(pyramid, concept_maps=tuple(maps))


def _fit_square(pixels: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """[3, h, w] to [3, size, size], zeros at the bottom and right."""
    return np.pad(pixels, ((0, 0), (0, size - pixels.shape[1]), (0, size - pixels.shape[2])))


def _square_mask(mask: Mask, size: int) -> Mask:
    """[h, w] to [size, size], false at the bottom and right."""
    return np.pad(mask, ((0, size - mask.shape[0]), (0, size - mask.shape[1])))


def _union(sample: Sample, category: str) -> Mask:
    masks = [truth.mask() for truth in sample.truths if truth.category == category]
    union: Mask = np.logical_or.reduce(masks)
    return union
