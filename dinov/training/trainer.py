"""The training loop."""

from __future__ import annotations

import csv
import json
import logging
import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from dinov.checkpoints import load_model, save_model
from dinov.config import VARIANTS
from dinov.device import autocast
from dinov.errors import CheckpointCorrupt, CheckpointMismatch, InvalidDataset
from dinov.model.build import build_model
from dinov.model.dinov import DINOv
from dinov.model.lite import LiteBackbone
from dinov.training.config import TrainingConfig
from dinov.training.ema import WeightAverage
from dinov.training.episodes import Batch, EpisodeSampler, to_device
from dinov.training.imagenet import load_imagenet
from dinov.training.samples import Folder
from dinov.training.tasks import Tasks
from dinov.training.validation import Validator

_LOG = logging.getLogger(__name__)
_LOG_EVERY = 20
_STAGES = ("res2", "res3", "res4", "res5")
_VALIDATION_EPISODES = 64
_NO_DECAY = (nn.LayerNorm, nn.GroupNorm, nn.BatchNorm2d, nn.Embedding)
_NO_DECAY_NAMES = ("relative_position_bias_table", "level_embed")
_PROJECTIONS = ("class_embed_openset", "class_embed")


class Trainer:
    """Trains one model on both tasks and writes to one output folder.

    ``last.pt`` holds all that is needed to go on after the step it was written at; batches and
    random numbers depend on seed and step only, so a resumed run repeats an unbroken one.
    ``best.safetensors`` holds the averaged weights with the best validation score.
    """

    def __init__(
        self,
        config: TrainingConfig,
        train: Sequence[Folder],
        val: Sequence[Folder],
        output: Path,
        device: torch.device,
        init: str | None = None,
    ) -> None:
        if config.steps is None and config.minutes is None:
            raise InvalidDataset("A training run needs an end. Give --steps or --minutes.")
        torch.manual_seed(config.seed)
        self.config, self.output, self.device = config, output, device
        self.model = build_model(VARIANTS[config.variant])
        if isinstance(self.model.backbone, LiteBackbone):
            load_imagenet(self.model.backbone)
        if init is not None:
            initialise(self.model, config.variant, init)
        freeze_stages(self.model.backbone, config.frozen_stages)
        self.model.to(device)
        self.optimizer = make_optimizer(self.model, config)
        self.average = WeightAverage(self.model, config.ema_decay)
        self.tasks = Tasks(config)
        self.sampler = EpisodeSampler(train, config.data, config.seed, config.refer)
        self.validator = Validator(
            train, val, size=config.data.crop_size, episodes=_VALIDATION_EPISODES, seed=config.seed
        )
        self.step, self.elapsed, self.best_iou = 0, 0.0, -1.0
        self.validated = 0

    @property
    def progress(self) -> float:
        """Share of the budget that is used up, 0 to 1."""
        steps, minutes = self.config.steps, self.config.minutes
        by_steps = self.step / steps if steps else 0.0
        by_time = self.elapsed / (60 * minutes) if minutes else 0.0
        return min(1.0, max(by_steps, by_time))

    def run(self) -> Path:
        """Train to the end of the budget; returns ``best.safetensors``."""
        self.output.mkdir(parents=True, exist_ok=True)
        settings = json.dumps(asdict(self.config), indent=2)
        (self.output / "config.json").write_text(settings, encoding="utf-8")
        started = time.monotonic() - self.elapsed
        with _prefetched(self.sampler, self.step) as batches:
            while self.progress < 1:
                losses, norm = self.train_step(to_device(next(batches), self.device))
                self.step += 1
                self.average.update(self.step)
                self.elapsed = time.monotonic() - started
                if self.step % _LOG_EVERY == 0:
                    self._log(losses, norm)
                if self.step % self.config.checkpoint_every == 0:
                    self.save()
                if self.progress * self.config.validations >= self.validated + 1:
                    self._validate()
        if self.validated < self.config.validations:
            self._validate()
        self.save()
        return self.output / "best.safetensors"

    def train_step(self, batch: Batch) -> tuple[dict[str, Tensor], float]:
        """One optimiser step; returns the losses and the gradient norm before clipping."""
        config = self.config
        generator = torch.Generator(self.device).manual_seed(config.seed + 7919 * self.step)

        def uniform(shape: tuple[int, ...]) -> Tensor:
            return torch.rand(shape, generator=generator, device=self.device)

        factor = learning_rate_factor(
            self.step, config.warmup_steps, self.progress, config.decay_steps
        )
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        self.model.train()
        if config.frozen_stages:
            self.model.backbone.eval()  # the statistics of its batch norms stay, too
        with autocast(self.device, torch.bfloat16 if config.bfloat16 else torch.float32):
            pyramid = self.model.encode_image(batch.pixels)
            predictions = self.tasks.predict(self.model, pyramid, batch, uniform)
        losses = self.tasks.losses(predictions, batch, uniform)
        self.optimizer.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()
        norm = nn.utils.clip_grad_norm_(self.average.parameters.values(), config.max_grad_norm)
        self.optimizer.step()
        return losses, float(norm)

    def _validate(self) -> None:
        self.validated += 1
        self.model.eval()
        with self.average.applied():
            score = self.validator.score(self.model, self.device)
            _append_row(
                self.output / "validation.csv",
                {
                    "step": self.step,
                    "minutes": round(self.elapsed / 60, 2),
                    "iou": round(score.iou, 4),
                    "score_threshold": round(score.score_threshold, 3),
                },
            )
            _LOG.info("step %d: validation IoU %.4f", self.step, score.iou)
            if score.iou > self.best_iou:
                self.best_iou = score.iou
                metadata = {
                    "score_threshold": f"{score.score_threshold:.3f}",
                    "training_steps": str(self.step),
                }
                save_model(self.model, self.output / "best.safetensors", metadata)

    def _log(self, losses: dict[str, Tensor], norm: float) -> None:
        values = {name: float(loss.detach()) for name, loss in sorted(losses.items())}
        total = sum(values.values())
        left = self.elapsed / max(self.progress, 1e-9) - self.elapsed
        row = {
            "step": self.step,
            "minutes": round(self.elapsed / 60, 2),
            "learning_rate": f"{self.optimizer.param_groups[0]['lr']:.3e}",
            "gradient_norm": round(norm, 3),
            "loss": round(total, 3),
        }
        _append_row(
            self.output / "log.csv",
            row | {name: round(value, 4) for name, value in values.items()},
        )
        _LOG.info("step %d loss %.2f, %.0f min left", self.step, total, left / 60)

    def save(self) -> None:
        """Write ``last.pt``; the file is either the old one or the whole new one."""
        partial = self.output / "last.pt.part"
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "elapsed": self.elapsed,
            "best_iou": self.best_iou,
            "validated": self.validated,
            "memory": self.tasks.memory.embeddings,
        }
        torch.save(state, partial)
        partial.replace(self.output / "last.pt")

    def resume(self) -> None:
        """Go on from ``last.pt`` if there is one.

        Raises:
            CheckpointCorrupt: if it cannot be read or belongs to another architecture.
        """
        file = self.output / "last.pt"
        if not file.is_file():
            return
        try:
            state = torch.load(file, map_location=self.device, weights_only=True)
            self.model.load_state_dict(state["model"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
        except Exception as e:
            raise CheckpointCorrupt(
                f"Cannot resume from {file} ({e}). Use another --output to start anew."
            ) from e
        self.step, self.elapsed = state["step"], state["elapsed"]
        self.best_iou, self.validated = state["best_iou"], state["validated"]
        self.tasks.memory.embeddings = state["memory"]


def freeze_stages(backbone: nn.Module, count: int) -> None:
    """Keep the weights of a backbone's first ``count`` stages of four, or of all of it."""
    if count >= len(_STAGES):
        backbone.requires_grad_(False)
    elif count:
        for stage in backbone.stages()[:count]:  # type: ignore[operator]
            for module in stage:
                module.requires_grad_(False)


def initialise(model: DINOv, variant: str, checkpoint: str) -> None:
    """Start from the weights of a checkpoint, by name or path, of the same variant.

    Raises:
        CheckpointError: if it is missing, damaged or of another variant.
    """
    loaded = load_model(checkpoint)
    if loaded.variant != variant:
        raise CheckpointMismatch(
            f"Checkpoint '{checkpoint}' is a '{loaded.variant}', the recipe trains a '{variant}'. "
            f"Use --preset {loaded.variant} or another --init."
        )
    model.load_state_dict(loaded.model.state_dict())


def make_optimizer(model: DINOv, config: TrainingConfig) -> torch.optim.AdamW:
    """AdamW with the rates of the config's factors, and no decay of norms and embeddings."""
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for module_name, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad:
                decays = not isinstance(module, _NO_DECAY) and name not in _NO_DECAY_NAMES
                factor = 1.0
                if module_name.startswith("backbone"):
                    factor = config.backbone_factor
                elif name in _PROJECTIONS:
                    factor = config.projection_factor
                groups.setdefault((factor, decays), []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "base_lr": config.learning_rate * factor,
                "weight_decay": config.weight_decay if decays else 0.0,
            }
            for (factor, decays), parameters in groups.items()
        ],
        lr=config.learning_rate,
    )


def learning_rate_factor(
    step: int, warmup_steps: int, progress: float, decay_steps: Sequence[int] = ()
) -> float:
    """Linear warm-up times a cosine from 1 to 0 over the run, or a tenth more per decay step."""
    warmup = min(1.0, (step + 1) / max(1, warmup_steps))
    if decay_steps:
        return float(warmup * 0.1 ** sum(step >= decay for decay in decay_steps))
    return warmup * 0.5 * (1 + math.cos(math.pi * progress))


@contextmanager
def _prefetched(sampler: EpisodeSampler, first: int) -> Iterator[Iterator[Batch]]:
    """Batches from step ``first`` on, made one ahead in another thread."""

    def batches(pool: ThreadPoolExecutor) -> Iterator[Batch]:
        step = first
        ahead: Future[Batch] = pool.submit(sampler.batch, step)
        while True:
            step += 1
            ready, ahead = ahead, pool.submit(sampler.batch, step)
            yield ready.result()

    with ThreadPoolExecutor(max_workers=1) as pool:
        yield batches(pool)


def _append_row(path: Path, row: dict[str, object]) -> None:
    is_new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        if is_new:
            writer.writerow(row)
        writer.writerow(row.values())
