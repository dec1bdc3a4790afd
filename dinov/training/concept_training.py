"""Trains the concept head of a model whose other parts stay as they are.

The backbone's maps of all photos are computed once and kept: a step costs the head alone, so that
tens of thousands of episodes are a matter of minutes on a CPU.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dinov.checkpoints import SOURCE_SHA256, LoadedCheckpoint, save_model
from dinov.config import VARIANTS
from dinov.errors import CheckpointCorrupt, CheckpointMismatch
from dinov.model.build import build_model
from dinov.model.concept_head import OUTPUT_STRIDE, ConceptHead
from dinov.model.dinov import DINOv
from dinov.training.concept_episodes import (
    MASK_STRIDE,
    ConceptBatch,
    ConceptEpisodes,
    Photo,
    compute_photos,
)
from dinov.training.ema import WeightAverage
from dinov.training.samples import Folder
from dinov.training.trainer import append_row
from dinov.training.validation import Validator

_LOG = logging.getLogger(__name__)
_LOG_EVERY = 50
_CHECKPOINT_EVERY = 200
_VALIDATION_EPISODES = 64


@dataclass(frozen=True)
class ConceptRecipe:
    """How the head is trained."""

    steps: int = 4000
    batch_size: int = 16
    learning_rate: float = 1e-3
    last_rate: float = 0.05  # of the learning rate, at the end of the cosine
    warmup_steps: int = 100
    weight_decay: float = 0.02
    max_grad_norm: float = 1.0
    ema_decay: float = 0.998
    absent_share: float = 0.25
    more_share: float = 0.3
    validations: int = 8
    views: int = 3
    seed: int = 0


class ConceptTrainer:
    """Trains a concept head and writes to one output folder.

    ``concepts.pt`` holds what is needed to go on; ``best.safetensors`` the whole model with the
    averaged head that has the best validation score.

    Raises:
        CheckpointMismatch: if the variant has no concept head.
        InvalidDataset: if there is nothing to learn from or to validate with.
    """

    def __init__(
        self,
        recipe: ConceptRecipe,
        loaded: LoadedCheckpoint,
        train: Sequence[Folder],
        val: Sequence[Folder],
        output: Path,
        device: torch.device,
        weights: Mapping[str, float] | None = None,
        apart: Collection[str] = (),
    ) -> None:
        """Compute what is kept of all photos.

        Args:
            recipe: how the head is trained.
            loaded: the model.
            train: the data sets to learn from.
            val: those to validate with.
            output: folder to write to.
            device: where to compute.
            weights: of data sets by name, 1 where none is given.
            apart: names of data sets whose photos show nothing of the others.
        """
        torch.manual_seed(recipe.seed)
        self.recipe, self.output, self.device = recipe, output, device
        self.metadata = {n: v for n, v in loaded.metadata.items() if n != SOURCE_SHA256}
        self._begun = {
            "init": loaded.sha256,
            "views": recipe.views,
            "batch_size": recipe.batch_size,
            "seed": recipe.seed,
            "apart": sorted(apart),
        }
        self.model = with_concept_head(loaded).requires_grad_(False).to(device).eval()
        assert self.model.concept_head is not None
        self.head: ConceptHead = self.model.concept_head.requires_grad_(True)
        size = int(loaded.metadata.get("input_size", VARIANTS[loaded.variant].input_size))
        self.validator = Validator(
            train, val, size=size, episodes=_VALIDATION_EPISODES, seed=recipe.seed
        )
        train = [folder for folder in train if not folder.is_class_agnostic]
        self.episodes = ConceptEpisodes(
            [self._photos(folder, size) for folder in train],
            [(weights or {}).get(folder.name, 1.0) for folder in train],
            batch_size=recipe.batch_size,
            absent_share=recipe.absent_share,
            more_share=recipe.more_share,
            seed=recipe.seed,
            apart=[i for i, folder in enumerate(train) if folder.name in apart],
        )
        self.optimizer = torch.optim.AdamW(
            self.head.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self.average = WeightAverage(self.head, recipe.ema_decay)
        self.step, self.best_iou = 0, -1.0

    def _photos(self, folder: Folder, size: int) -> list[Photo]:
        _LOG.info("computing the maps of %s, %d photos", folder.name, len(folder.samples))
        return compute_photos(
            self.model,
            folder.samples,
            size=size,
            views=self.recipe.views,
            seed=self.recipe.seed,
            device=self.device,
        )

    def run(self) -> Path:
        """Train to the end; returns ``best.safetensors``."""
        self.output.mkdir(parents=True, exist_ok=True)
        recipe = self.recipe
        every = max(1, recipe.steps // recipe.validations)
        started, first = time.monotonic(), self.step
        while self.step < recipe.steps:
            loss = self.train_step(self.episodes.batch(self.step))
            self.step += 1
            self.average.update(self.step)
            if self.step % _LOG_EVERY == 0:
                left = (time.monotonic() - started) / (self.step - first)
                left *= recipe.steps - self.step
                _LOG.info("step %d: loss %.3f, %d min left", self.step, loss, round(left / 60))
            if self.step % every == 0 or self.step == recipe.steps:
                self._validate()
            if self.step % _CHECKPOINT_EVERY == 0 or self.step == recipe.steps:
                self.save()
        return self.output / "best.safetensors"

    def train_step(self, batch: ConceptBatch) -> float:
        """One optimiser step; returns the loss."""
        recipe = self.recipe
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.learning_rate * _rate(self.step, recipe)
        self.head.train()
        loss = concept_loss(self.head, batch, self.device)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.head.parameters(), recipe.max_grad_norm)
        self.optimizer.step()
        return float(loss.detach())

    def save(self) -> None:
        """Write ``concepts.pt``; the file is either the old one or the whole new one."""
        partial = self.output / "concepts.pt.part"
        state = {
            "head": self.head.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "best_iou": self.best_iou,
            "begun": self._begun,
        }
        torch.save(state, partial)
        partial.replace(self.output / "concepts.pt")

    def resume(self) -> None:
        """Go on from ``concepts.pt`` if there is one.

        Raises:
            CheckpointCorrupt: if it cannot be read or belongs to another architecture.
            CheckpointMismatch: if the run began with another model or other options.
        """
        file = self.output / "concepts.pt"
        if not file.is_file():
            return
        try:
            state = torch.load(file, map_location=self.device, weights_only=True)
            begun = state["begun"]
            self.head.load_state_dict(state["head"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
        except Exception as e:
            raise CheckpointCorrupt(
                f"Cannot resume from {file} ({e}). Use another --output to start anew."
            ) from e
        if begun != self._begun:
            changed = [name for name, value in self._begun.items() if begun.get(name) != value]
            raise CheckpointMismatch(
                f"The run in {self.output} began with another {' and '.join(changed)}. "
                "Give what it began with, or another --output."
            )
        self.step, self.best_iou = state["step"], state["best_iou"]

    def _validate(self) -> None:
        self.head.eval()
        with self.average.applied():
            score = self.validator.score(self.model, self.device)
            _LOG.info("step %d: validation IoU %.4f", self.step, score.iou)
            append_row(
                self.output / "concept_validation.csv",
                {
                    "step": self.step,
                    "iou": round(score.iou, 4),
                    "score_threshold": round(score.score_threshold, 3),
                },
            )
            if score.iou > self.best_iou:
                self.best_iou = score.iou
                metadata = {
                    **self.metadata,
                    "score_threshold": f"{score.score_threshold:.3f}",
                    "concept_steps": str(self.step),
                }
                save_model(self.model, self.output / "best.safetensors", metadata)


def with_concept_head(loaded: LoadedCheckpoint) -> DINOv:
    """The same model with its own concept head, or a new one if it has none.

    Raises:
        CheckpointMismatch: if the variant has none.
    """
    config = VARIANTS[loaded.variant]
    if config.concept_head is None:
        raise CheckpointMismatch(
            f"{loaded.path} is a '{loaded.variant}', for which there is no concept head. "
            "Use a lite model."
        )
    if loaded.model.concept_head is not None:
        return loaded.model
    model = build_model(config, with_concept_head=True)
    model.load_state_dict(loaded.model.state_dict(), strict=False)
    return model


def concept_loss(head: ConceptHead, batch: ConceptBatch, device: torch.device) -> Tensor:
    """Cross-entropy of every position of the photos, and Dice where there is something to find."""
    reference_maps = [m.to(device) for m in batch.reference_maps]
    target_of = batch.target_of.to(device)
    prompts = head.encode_prompts(
        reference_maps,
        batch.prompt_shares.to(device),
        torch.arange(len(target_of), device=device),
    )
    counts = target_of.bincount(minlength=len(batch.truth))[:, None]
    concepts = prompts.new_zeros(len(batch.truth), head.dim).index_add(0, target_of, prompts)
    logits = head([m.to(device) for m in batch.target_maps], (concepts / counts)[:, None])[:, 0]
    factor = OUTPUT_STRIDE // MASK_STRIDE
    truth, inside = (
        F.avg_pool2d(m.to(device)[:, None], factor)[:, 0] for m in (batch.truth, batch.inside)
    )
    errors = F.binary_cross_entropy_with_logits(logits, truth, reduction="none") * inside
    entropy = errors.sum((1, 2)) / inside.sum((1, 2))
    found = logits.sigmoid() * inside
    common = 2 * (found * truth).sum((1, 2)) + 1
    dice = 1 - common / (found.sum((1, 2)) + truth.sum((1, 2)) + 1)
    is_there = truth.amax((1, 2)) > 0
    loss: Tensor = (2 * entropy + dice * is_there).mean()
    return loss


def _rate(step: int, recipe: ConceptRecipe) -> float:
    warmup = min(1.0, (step + 1) / recipe.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * step / recipe.steps))
    return warmup * (recipe.last_rate + (1 - recipe.last_rate) * cosine)
