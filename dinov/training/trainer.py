"""The training loop."""

from __future__ import annotations

import csv
import json
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor, nn

from dinov.checkpoints import load_model, save_model
from dinov.config import VARIANTS
from dinov.device import autocast
from dinov.errors import CheckpointCorrupt, CheckpointMismatch, InvalidDataset
from dinov.model.build import build_model
from dinov.model.dinov import DINOv
from dinov.model.dinov2 import Dinov2Backbone
from dinov.model.lite import LiteBackbone
from dinov.training.batches import made_ahead
from dinov.training.config import TrainingConfig
from dinov.training.dinov2 import load_dinov2
from dinov.training.distributed import ALONE, Processes
from dinov.training.ema import WeightAverage
from dinov.training.episodes import Batch, EpisodeSampler, to_device
from dinov.training.imagenet import load_imagenet
from dinov.training.losses import UniformDraw
from dinov.training.samples import Folder
from dinov.training.tasks import Tasks
from dinov.training.validation import Validator

_LOG = logging.getLogger(__name__)
_LOG_EVERY = 20
_STAGES = ("res2", "res3", "res4", "res5")
_VALIDATION_EPISODES = 64
_NO_DECAY = (nn.LayerNorm, nn.GroupNorm, nn.BatchNorm2d, nn.Embedding)
_NO_DECAY_NAMES = ("relative_position_bias_table", "level_embed", "pos_embed", "cls_token", "gamma")
_PROJECTIONS = ("class_embed_openset", "class_embed")


class Trainer:
    """Trains one model on both tasks and writes to one output folder.

    ``last.pt`` holds all that is needed to go on after the step it was written at; batches and
    random numbers depend on seed and step only, so a resumed run repeats an unbroken one.
    ``best.safetensors`` holds the averaged weights with the best validation score.

    Several ``processes`` share the images of each step. Categories are those of all of them, losses
    are divided by numbers averaged over them, and gradients are averaged: together they do what
    one process would.
    """

    def __init__(
        self,
        config: TrainingConfig,
        train: Sequence[Folder],
        val: Sequence[Folder],
        output: Path,
        device: torch.device,
        init: str | None = None,
        processes: Processes = ALONE,
        backbone: Path | None = None,
    ) -> None:
        if config.steps is None and config.minutes is None:
            raise InvalidDataset("A training run needs an end. Give --steps or --minutes.")
        torch.manual_seed(config.seed)
        self.config, self.output, self.device = config, output, device
        self.processes = processes
        self.model = build_model(VARIANTS[config.variant])
        if isinstance(self.model.backbone, LiteBackbone):
            load_imagenet(self.model.backbone)
        if isinstance(self.model.backbone, Dinov2Backbone) and backbone is not None:
            load_dinov2(self.model.backbone, backbone)
        if init is not None:
            initialise(self.model, config.variant, init)
        freeze_stages(self.model.backbone, config.frozen_stages)
        self.model.to(device)
        self.optimizer = make_optimizer(self.model, config)
        self.average = WeightAverage(self.model, config.ema_decay)
        processes.copy_from_first(self.model)
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "float16")
        self.tasks = Tasks(config, processes)
        share = replace(config.data, batch_size=images_per_part(config, processes.count))
        self.sampler = EpisodeSampler(train, share, config.seed, config.refer, processes.rank)
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
        config = self.config
        if self.processes.is_first:
            self.output.mkdir(parents=True, exist_ok=True)
            settings = json.dumps(asdict(config), indent=2)
            (self.output / "config.json").write_text(settings, encoding="utf-8")
        started = time.monotonic() - self.elapsed
        with made_ahead(self.sampler, self.step, config.accumulate, config.workers) as steps:
            while self.progress < 1:
                losses, norm = self.train_step(*next(steps))
                self.step += 1
                self.average.update(self.step)
                # By one clock, so that all processes stop after the same step.
                self.elapsed = self.processes.from_first(time.monotonic() - started)
                if self.step % _LOG_EVERY == 0:
                    self._log(losses, norm)
                if self.step % config.checkpoint_every == 0:
                    self.save()
                if self.progress * config.validations >= self.validated + 1:
                    self._validate()
        if self.validated < config.validations:
            self._validate()
        self.save()
        return self.output / "best.safetensors"

    def train_step(self, *parts: Batch) -> tuple[dict[str, Tensor], float]:
        """One optimiser step with the mean gradient of its parts.

        Returns:
            The losses of the last part, and the gradient norm before clipping.
        """
        config = self.config
        factor = learning_rate_factor(
            self.step, config.warmup_steps, self.progress, config.decay_steps
        )
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        self.model.train()
        if config.frozen_stages:
            self.model.backbone.eval()  # the statistics of its batch norms stay, too
        self.optimizer.zero_grad(set_to_none=True)
        for number, part in enumerate(parts):
            losses = self._losses(part, number)
            loss = torch.stack(list(losses.values())).sum() / len(parts)
            self.scaler.scale(loss).backward()
        trained = self.average.parameters.values()
        self.processes.average_gradients(trained)
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(trained, config.max_grad_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return losses, float(norm)

    def _losses(self, batch: Batch, part: int) -> dict[str, Tensor]:
        config, processes = self.config, self.processes
        names = dict.fromkeys(chain(*processes.gather(batch.categories)))
        batch = to_device(batch.among(list(names)), self.device)
        uniform = self._uniform(part * processes.count + processes.rank)
        with autocast(self.device, getattr(torch, config.precision)):
            pyramid = self.model.encode_image(batch.pixels)
            predictions = self.tasks.predict(self.model, pyramid, batch, uniform)
        return self.tasks.losses(predictions, batch, uniform)

    def _uniform(self, number: int) -> UniformDraw:
        """Random numbers that depend on seed, step and ``number`` only."""
        seed = self.config.seed + 7919 * self.step + 104_729 * number
        generator = torch.Generator(self.device).manual_seed(seed)
        torch.manual_seed(seed)  # for the layers that a backbone leaves out at random
        return lambda shape: torch.rand(shape, generator=generator, device=self.device)

    def _validate(self) -> None:
        self.validated += 1
        if not self.processes.is_first:
            return
        self.model.eval()
        with self.average.applied():
            score = self.validator.score(self.model, self.device)
            append_row(
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
        if not self.processes.is_first:
            return
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
        append_row(
            self.output / "log.csv",
            row | {name: round(value, 4) for name, value in values.items()},
        )
        _LOG.info("step %d loss %.2f, %.0f min left", self.step, total, left / 60)

    def save(self) -> None:
        """Write ``last.pt``; the file is either the old one or the whole new one."""
        if not self.processes.is_first:
            return
        partial = self.output / "last.pt.part"
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
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
            self.scaler.load_state_dict(state.get("scaler", {}))
        except Exception as e:
            raise CheckpointCorrupt(
                f"Cannot resume from {file} ({e}). Use another --output to start anew."
            ) from e
        self.step, self.elapsed = state["step"], state["elapsed"]
        self.best_iou, self.validated = state["best_iou"], state["validated"]
        self.tasks.memory.embeddings = state["memory"]


def freeze_stages(backbone: nn.Module, count: int) -> None:
    """Keep the weights of a backbone's first ``count`` stages of four, or of all of it.

    What makes a pyramid of DINOv2's map is trained in any case: no weights come with it.
    """
    if count >= len(_STAGES) and not isinstance(backbone, Dinov2Backbone):
        backbone.requires_grad_(False)
    elif count:
        for stage in backbone.stages()[:count]:  # type: ignore[operator]
            for part in stage:
                part.requires_grad_(False)


def images_per_part(config: TrainingConfig, processes: int) -> int:
    """How many images one process encodes at a time.

    Raises:
        InvalidDataset: if the images of a step cannot be shared out evenly.
    """
    shares = processes * config.accumulate
    if config.accumulate < 1 or config.data.batch_size % shares:
        raise InvalidDataset(
            f"{config.data.batch_size} images per step cannot be shared out among {processes} "
            f"processes in {config.accumulate} parts each. Set data.batch_size or accumulate."
        )
    return config.data.batch_size // shares


def initialise(model: DINOv, variant: str, checkpoint: str) -> None:
    """Start from the weights of a checkpoint, by name or path, of the same variant.

    A concept head is left: it fits the backbone that it was trained on (see ``concept_training``).

    Raises:
        CheckpointError: if it is missing, damaged or of another variant.
    """
    loaded = load_model(checkpoint)
    if loaded.variant != variant:
        raise CheckpointMismatch(
            f"Checkpoint '{checkpoint}' is a '{loaded.variant}', the recipe trains a '{variant}'. "
            f"Use --preset {loaded.variant} or another --init."
        )
    weights = loaded.model.state_dict()
    model.load_state_dict({name: weights[name] for name in model.state_dict()})


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


def append_row(path: Path, row: dict[str, object]) -> None:
    """Add a line to a CSV file, which begins with the names."""
    is_new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        if is_new:
            writer.writerow(row)
        writer.writerow(row.values())
