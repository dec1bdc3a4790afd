"""Architecture presets. Frozen values only: modules never see them, ``model.build`` reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from dinov.errors import CheckpointMismatch


@dataclass(frozen=True)
class SwinConfig:
    """Swin transformer backbone (arXiv 2103.14030)."""

    embed_dim: int = 96
    depths: tuple[int, ...] = (2, 2, 6, 2)
    num_heads: tuple[int, ...] = (3, 6, 12, 24)
    window_size: int = 7
    drop_path_rate: float = 0.3


@dataclass(frozen=True)
class LiteBackboneConfig:
    """A small convolutional backbone taken from timm, by its name there."""

    timm_name: str = "tf_efficientnet_lite0"


@dataclass(frozen=True)
class Dinov2Config:
    """A DINOv2 vision transformer with patches of 14 pixels, taken from timm by its name there."""

    timm_name: str = "vit_small_patch14_dinov2"
    embed_dim: int = 384
    depth: int = 12
    num_heads: int = 6


@dataclass(frozen=True)
class PixelDecoderConfig:
    """Multi-scale deformable encoder and mask features (section 3 of the paper, Mask DINO's)."""

    in_features: tuple[str, ...] = ("res3", "res4", "res5")
    layers: int = 6
    feedforward_dim: int = 2048


@dataclass(frozen=True)
class DecoderConfig:
    """Prompt encoder and transformer decoder."""

    layers: int = 9
    feedforward_dim: int = 2048
    num_queries: int = 300
    projection_dim: int = 512
    granularities: int = 6
    content_independent: bool = True


@dataclass(frozen=True)
class ConceptHeadConfig:
    """Layers of the backbone that a concept head takes, with their channels.

    ``fine`` ones have stride 8 and lend detail; ``coarse`` ones, of stride 16 and 32, are compared
    with the prompts.
    """

    fine: Mapping[str, int]
    coarse: Mapping[str, int]


@dataclass(frozen=True)
class ModelConfig:
    """One variant: its parts, and the input size and score threshold that suit it.

    ``input_size`` is the length in pixels of the image side named by ``resize`` after resizing.
    A checkpoint may come without the ``concept_head``.
    """

    backbone: SwinConfig | LiteBackboneConfig | Dinov2Config = field(default_factory=SwinConfig)
    pixel_decoder: PixelDecoderConfig = field(default_factory=PixelDecoderConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    width: int = 256
    heads: int = 8
    points: int = 4
    input_size: int = 640
    resize: Literal["shortest", "longest"] = "shortest"
    score_threshold: float = 0.12
    concept_head: ConceptHeadConfig | None = None


_TINY_DECODER = DecoderConfig(layers=3, feedforward_dim=128, num_queries=30, projection_dim=64)
_TINY_SWIN = SwinConfig(
    embed_dim=24, depths=(1, 2, 2, 1), num_heads=(1, 2, 4, 8), drop_path_rate=0.0
)
_TINY5_SWIN = SwinConfig(
    embed_dim=24, depths=(1, 2, 2, 1), num_heads=(1, 2, 4, 8), window_size=12, drop_path_rate=0.0
)
_FOUR_STAGES = ("res2", "res3", "res4", "res5")

VARIANTS: dict[str, ModelConfig] = {
    "swin-t": ModelConfig(),
    "swin-l": ModelConfig(
        backbone=SwinConfig(
            embed_dim=192, depths=(2, 2, 18, 2), num_heads=(6, 12, 24, 48), window_size=12
        ),
        pixel_decoder=PixelDecoderConfig(in_features=_FOUR_STAGES),
    ),
    "lite": ModelConfig(
        backbone=LiteBackboneConfig(),
        pixel_decoder=PixelDecoderConfig(layers=2, feedforward_dim=512),
        decoder=DecoderConfig(layers=3, feedforward_dim=512, num_queries=100, projection_dim=256),
        width=128,
        input_size=384,
        resize="longest",
        score_threshold=0.3,
        concept_head=ConceptHeadConfig(
            fine={"res3": 40},
            coarse={
                "blocks.3.1": 80,
                "blocks.3.2": 80,
                "blocks.4.1": 112,
                "res4": 112,
                "blocks.5.2": 192,
                "blocks.5.3": 192,
                "res5": 320,
            },
        ),
    ),
    "dinov2-s": ModelConfig(backbone=Dinov2Config()),
    "dinov2-b": ModelConfig(
        backbone=Dinov2Config("vit_base_patch14_dinov2", embed_dim=768, num_heads=12)
    ),
    "dinov2-l": ModelConfig(
        backbone=Dinov2Config("vit_large_patch14_dinov2", embed_dim=1024, depth=24, num_heads=16)
    ),
    "tiny": ModelConfig(
        backbone=_TINY_SWIN,
        pixel_decoder=PixelDecoderConfig(layers=2, feedforward_dim=128),
        decoder=_TINY_DECODER,
        width=64,
        input_size=128,
        concept_head=ConceptHeadConfig(fine={"res3": 48}, coarse={"res4": 96, "res5": 192}),
    ),
    "tiny5": ModelConfig(
        backbone=_TINY5_SWIN,
        pixel_decoder=PixelDecoderConfig(in_features=_FOUR_STAGES, layers=2, feedforward_dim=128),
        decoder=_TINY_DECODER,
        width=64,
        input_size=128,
    ),
    "tiny-dinov2": ModelConfig(
        backbone=Dinov2Config(embed_dim=64, depth=4, num_heads=2),
        pixel_decoder=PixelDecoderConfig(layers=2, feedforward_dim=128),
        decoder=_TINY_DECODER,
        width=64,
        input_size=128,
    ),
}
"""Every architecture this project knows. Those called ``tiny`` are for tests."""


def recognise_variant(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Find the variant whose tensor shapes stand in a state dict.

    Args:
        shapes: tensor shapes by our parameter names (see ``upstream`` for the official ones).

    Returns:
        A key of ``VARIANTS``.

    Raises:
        CheckpointMismatch: if no variant has this backbone, width and number of queries.
    """
    found = _signature(shapes)
    for name, config in VARIANTS.items():
        if found == _expected_signature(config):
            return name
    known = ", ".join(VARIANTS)
    raise CheckpointMismatch(
        f"The weights fit none of the known variants ({known}); their signature is {found}. "
        "Use a DINOv checkpoint: python -m dinov download swin-t"
    )


def _signature(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, object]:
    patch = shapes.get("backbone.patch_embed.proj.weight")
    blocks = {
        key.split(".blocks.")[0] + key.split(".blocks.")[1].split(".")[0]
        for key in shapes
        if key.startswith("backbone.layers.") and ".blocks." in key
    }
    positions = shapes.get("backbone.body.pos_embed")
    depth = sum(
        re.fullmatch(r"backbone\.body\.blocks\.\d+\.ls1\.gamma", key) is not None for key in shapes
    )
    return {
        "swin": (patch[0], len(blocks)) if patch else None,
        "dinov2": (positions[-1], depth) if positions else None,
        "levels": shapes.get("pixel_decoder.level_embed"),
        "queries": shapes.get("queries.query_feat.weight"),
        "projection": shapes.get("heads.class_embed_openset"),
    }


def _expected_signature(config: ModelConfig) -> dict[str, object]:
    swin = config.backbone if isinstance(config.backbone, SwinConfig) else None
    vit = config.backbone if isinstance(config.backbone, Dinov2Config) else None
    decoder = config.decoder
    return {
        "swin": (swin.embed_dim, sum(swin.depths)) if swin else None,
        "dinov2": (vit.embed_dim, vit.depth) if vit else None,
        "levels": (len(config.pixel_decoder.in_features) + 1, config.width),
        "queries": (decoder.num_queries, config.width),
        "projection": (config.width, decoder.projection_dim),
    }
