"""Where configuration and modules meet."""

from __future__ import annotations

from torch import nn

from dinov.config import (
    ConceptHeadConfig,
    Dinov2Config,
    LiteBackboneConfig,
    ModelConfig,
    SwinConfig,
)
from dinov.model.concept_head import ConceptHead
from dinov.model.decoder import Decoder
from dinov.model.dinov import DINOv
from dinov.model.dinov2 import Dinov2Backbone
from dinov.model.heads import Heads
from dinov.model.lite import LiteBackbone
from dinov.model.pixel_decoder import PixelDecoder
from dinov.model.prompt_encoder import PromptEncoder
from dinov.model.queries import Queries
from dinov.model.swin import SwinTransformer


def build_model(config: ModelConfig, *, with_concept_head: bool = False) -> DINOv:
    """A model of this architecture with random weights, on the CPU, in training mode."""
    backbone, channels = _build_backbone(config.backbone)
    head = config.concept_head if with_concept_head else None
    levels = len(config.pixel_decoder.in_features) + 1
    return DINOv(
        backbone=backbone,
        pixel_decoder=PixelDecoder(
            channels,
            in_features=config.pixel_decoder.in_features,
            width=config.width,
            layers=config.pixel_decoder.layers,
            feedforward_dim=config.pixel_decoder.feedforward_dim,
            heads=config.heads,
            points=config.points,
        ),
        prompt_encoder=PromptEncoder(dim=config.width, levels=levels, heads=config.heads),
        queries=Queries(
            dim=config.width,
            num_queries=config.decoder.num_queries,
            granularities=config.decoder.granularities,
        ),
        # Heads and points of the decoder are 8 and 4 whatever the other parts use.
        decoder=Decoder(
            dim=config.width,
            layers=config.decoder.layers,
            feedforward_dim=config.decoder.feedforward_dim,
            levels=levels,
            heads=8,
            points=4,
        ),
        heads=Heads(dim=config.width, projection_dim=config.decoder.projection_dim),
        content_independent=config.decoder.content_independent,
        concept_head=build_concept_head(head) if head else None,
        concept_features=(*head.fine, *head.coarse) if head else (),
    )


def build_concept_head(config: ConceptHeadConfig) -> ConceptHead:
    """A concept head with random weights."""
    return ConceptHead(fine=list(config.fine.values()), coarse=list(config.coarse.values()))


def _build_backbone(
    config: SwinConfig | LiteBackboneConfig | Dinov2Config,
) -> tuple[nn.Module, dict[str, int]]:
    backbone: SwinTransformer | LiteBackbone | Dinov2Backbone
    match config:
        case SwinConfig():
            backbone = SwinTransformer(
                embed_dim=config.embed_dim,
                depths=config.depths,
                num_heads=config.num_heads,
                window_size=config.window_size,
                drop_path_rate=config.drop_path_rate,
            )
        case LiteBackboneConfig():
            backbone = LiteBackbone(config.timm_name)
        case Dinov2Config():
            backbone = Dinov2Backbone(
                config.timm_name,
                embed_dim=config.embed_dim,
                depth=config.depth,
                num_heads=config.num_heads,
            )
    return backbone, {f"res{i + 2}": c for i, c in enumerate(backbone.channels)}
