"""What a training run is made of: frozen values, one default each."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from dinov.errors import InvalidDataset

Precision = Literal["float32", "bfloat16", "float16"]
"""What forward passes compute in; weights and losses are float32 always."""


@dataclass(frozen=True)
class LossWeights:
    """Factors of the loss terms; the defaults are the paper's.

    The paper has no ``contrast`` and no ``concept``: a factor on the mask terms of the one mask
    that a category's own query predicts of all its objects.
    """

    label: float = 4.0
    mask_bce: float = 5.0
    mask_dice: float = 5.0
    box_l1: float = 5.0
    box_giou: float = 2.0
    contrast: float = 0.0
    iou: float = 1.0
    match: float = 2.0
    concept: float = 0.0


@dataclass(frozen=True)
class DataConfig:
    """How batches are drawn. Lengths are pixels of the model's input.

    ``scale_range`` is the length of the whole photo's longest side over ``crop_size``;
    ``weight_power`` tempers how much larger folders count. ``self_prompt_rate`` is the chance that
    a category seen in one image of the batch only is prompted: that teaches nothing about others.
    ``folder_weights`` are (name, factor) pairs that make folders count more or less than that.
    ``paste_rate`` is the chance that an image gets up to ``paste_objects`` single objects of
    another one of the batch pasted in.
    """

    batch_size: int = 8
    crop_size: int = 288
    scale_range: tuple[float, float] = (0.75, 2.0)
    aspect_jitter: float = 1.2
    weight_power: float = 0.5
    folder_weights: tuple[tuple[str, float], ...] = ()
    semantic_weight: float = 0.5
    images_per_category: tuple[int, int] = (2, 4)
    prompts_per_category: int = 4
    self_prompt_rate: float = 0.4
    max_instances: int = 40
    paste_rate: float = 0.0
    paste_objects: int = 4
    mask_stride: int = 2


@dataclass(frozen=True)
class ReferConfig:
    """The refer task: find the very object that is prompted.

    ``weight`` is the factor of its losses, 0 leaves it out. Every image is asked about at
    ``points`` inside its objects and for up to ``prompts`` of them. ``softmax`` lets proposals
    compete for an object (Swin-T), otherwise each is judged alone (Swin-L). ``second_views`` is the
    share of a batch that shows photos of the same batch again, cropped and coloured otherwise: an
    object seen in several images is prompted on any of them.
    """

    weight: float = 1.0
    points: int = 50
    prompts: int = 8
    prompt_types: tuple[str, ...] = ("scribble",)
    softmax: bool = True
    second_views: float = 0.0


@dataclass(frozen=True)
class TrainingConfig:
    """One run. ``variant`` names the architecture in ``dinov.config.VARIANTS``.

    Every batch serves both tasks from one encoding; ``generic_weight`` and ``refer.weight`` are the
    factors of their losses.

    The learning rate warms up linearly and then follows a cosine to zero over ``steps`` or
    ``minutes``, whichever ends first; ``None`` means no such limit. With ``decay_steps`` it falls
    to a tenth at each of these steps instead. ``backbone_factor`` and ``projection_factor`` scale
    it for the backbone and for the projection in which queries and categories are
    compared. The first ``frozen_stages`` of the backbone's four stay as they are, and so do all its
    batch statistics.

    ``remembered_categories`` of earlier batches are looked for beside those of the batch: a small
    batch shows too few concepts to learn what tells them apart.

    ``data.batch_size`` images make one step, shared out among all processes; each does its share in
    ``accumulate`` parts one after the other. A part looks for the categories of its own images.
    ``workers`` make batches ahead.
    """

    variant: str
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossWeights = field(default_factory=LossWeights)
    generic_weight: float = 1.0
    refer: ReferConfig = field(default_factory=ReferConfig)
    mask_points: int = 12544
    duplicate_iou: float | None = None
    focal_alpha: float = 0.25
    denoise_queries: int = 100
    denoise_noise: float = 0.4
    frozen_stages: int = 0
    remembered_categories: int = 0
    learning_rate: float = 1e-4
    backbone_factor: float = 0.1
    projection_factor: float = 1.0
    weight_decay: float = 0.05
    max_grad_norm: float = 0.01
    warmup_steps: int = 100
    decay_steps: tuple[int, ...] = ()
    ema_decay: float = 0.999
    precision: Precision = "float32"
    accumulate: int = 1
    workers: int = 1
    steps: int | None = None
    minutes: float | None = None
    checkpoint_every: int = 100
    validations: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        if self.precision not in get_args(Precision):
            known = ", ".join(get_args(Precision))
            raise InvalidDataset(f"Precision '{self.precision}' is not one of: {known}.")


_PAPER = TrainingConfig(
    variant="swin-t",
    data=DataConfig(batch_size=64, crop_size=1024, scale_range=(0.1, 2.0), max_instances=100),
    precision="bfloat16",
    workers=8,
    warmup_steps=10,
    decay_steps=(67_778, 105_092),
    steps=168_750,
    checkpoint_every=1000,
    validations=30,
)

PRESETS: dict[str, TrainingConfig] = {
    # Two CPU cores: frozen ImageNet backbone, small inputs, few points, a high learning rate.
    "lite": TrainingConfig(
        variant="lite",
        # Whole photos, as they are seen later: parts of them taught recognition less.
        data=DataConfig(crop_size=320, scale_range=(0.9, 1.15)),
        # The focal loss alone hardly sees a wrong category before objects are scored high.
        loss=LossWeights(label=2.0, contrast=2.0, concept=2.0),
        refer=ReferConfig(points=8, prompt_types=("mask", "box", "scribble", "point")),
        mask_points=1024,
        # Queries learn one by one who answers for an object only in runs far longer than this.
        duplicate_iou=0.6,
        # At the usual 0.25 the scores of a short run stay so low that a threshold is hard to set.
        focal_alpha=0.5,
        denoise_queries=32,
        frozen_stages=2,
        remembered_categories=24,
        learning_rate=6e-4,
        # Logits grow with the square of the projection: at the full rate they never settle.
        projection_factor=0.1,
        max_grad_norm=1.0,
        ema_decay=0.995,
        precision="bfloat16",
        minutes=80,
    ),
    # The paper's schedule; its data are COCO and SA-1B.
    "swin-t": _PAPER,
    "swin-l": replace(_PAPER, variant="swin-l", refer=ReferConfig(softmax=False)),
    # DINOv2's features serve as they are; `--set frozen_stages=0` tunes them, too.
    "dinov2-s": replace(_PAPER, variant="dinov2-s", frozen_stages=4),
    "dinov2-b": replace(_PAPER, variant="dinov2-b", frozen_stages=4),
    "dinov2-l": replace(_PAPER, variant="dinov2-l", frozen_stages=4),
}
"""Recipes by the name that ``--preset`` takes."""


def fine_tuning(variant: str) -> TrainingConfig:
    """The recipe that trains a checkpoint further on a few photos: its own, but gentle."""
    recipe = PRESETS.get(variant, PRESETS["swin-t"])
    return replace(
        recipe,
        variant=variant,
        data=replace(recipe.data, batch_size=4, crop_size=min(512, recipe.data.crop_size)),
        learning_rate=recipe.learning_rate / 5,
        decay_steps=(),
        workers=1,
        warmup_steps=20,
        steps=None,
        minutes=20,
    )
