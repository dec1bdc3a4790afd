"""DINOv (arXiv 2311.13601): prompts on reference images find objects in target images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from dinov.model.concept_head import ConceptHead
from dinov.model.decoder import Decoder, LayerState
from dinov.model.heads import Heads, masks_of, predicted_boxes
from dinov.model.pixel_decoder import FeaturePyramid, PixelDecoder
from dinov.model.prompt_encoder import PromptEncoder
from dinov.model.queries import (
    DenoiseQueries,
    Queries,
    QueryGroup,
    attention_allowed,
    point_grid,
)

__all__ = [
    "DINOv",
    "DenoiseQueries",
    "FeaturePyramid",
    "GenericPrediction",
    "PointProposals",
    "Proposals",
]


_CONCEPTS_AT_ONCE = 16
"""So many maps are computed together: each takes megabytes until it is done."""


@dataclass(frozen=True)
class Proposals:
    """What the generic queries find in an image, whatever the prompts are.

    Kept for an image, they make a changed prompt cost a decode of the content queries only. Their
    masks are ``masks_of`` the mask vectors: a hundred times larger, and most are never shown.
    """

    vectors: Tensor  # [B, Q, projection]
    boxes_cxcywh: Tensor  # [B, Q, 4] in 0–1 of the padded input
    mask_vectors: Tensor  # [B, Q, C]

    @property
    def nbytes(self) -> int:
        """Memory of all its tensors."""
        return self.vectors.nbytes + self.boxes_cxcywh.nbytes + self.mask_vectors.nbytes


@dataclass(frozen=True)
class PointProposals:
    """What the point queries find in an image, whatever the prompts are.

    Their masks are ``mask_vectors`` times the mask features: only those that can still win are
    ever computed.
    """

    vectors: Tensor  # [B, Q, projection]
    ious: Tensor  # [B, Q], expected IoU of each mask, raw
    boxes_cxcywh: Tensor  # [B, Q, 4] in 0–1 of the padded input
    mask_vectors: Tensor  # [B, Q, C]

    @property
    def nbytes(self) -> int:
        """Memory of all its tensors."""
        tensors = (self.vectors, self.ious, self.boxes_cxcywh, self.mask_vectors)
        return sum(tensor.nbytes for tensor in tensors)


@dataclass(frozen=True)
class GenericPrediction:
    """Scores of every proposal for every category, raw, with its box and mask."""

    logits: Tensor  # [B, Q, K]
    boxes_cxcywh: Tensor  # [B, Q, 4]
    mask_logits: Tensor  # [B, Q, H / 4, W / 4]


@dataclass(frozen=True)
class BoxMaskPrediction:
    """Repaired denoising queries."""

    boxes_cxcywh: Tensor  # [B, G * N, 4]
    mask_logits: Tensor  # [B, G * N, H / 4, W / 4]


@dataclass(frozen=True)
class LayeredPrediction:
    """Predictions of every decoder layer, first to last."""

    layers: tuple[GenericPrediction, ...]
    denoise: tuple[BoxMaskPrediction, ...] = ()
    concept_masks: tuple[Tensor, ...] = ()  # [B, K, H / 4, W / 4] each, one mask per category


@dataclass(frozen=True)
class ReferPrediction:
    """Point proposals, ``granularities`` per point, and how well each fits each prompt."""

    match_scores: Tensor  # [B, K, Q]
    ious: Tensor  # [B, Q]
    boxes_cxcywh: Tensor  # [B, Q, 4]
    mask_logits: Tensor  # [B, Q, H / 4, W / 4]


class DINOv(nn.Module):
    """The whole model. Every method is a function of its arguments; nothing is remembered.

    A ``concept_head``, which takes the backbone's maps ``concept_features``, is no part of the
    paper's model. Where there is one, embeddings are longer: what it gathers follows.
    """

    def __init__(
        self,
        *,
        backbone: nn.Module,
        pixel_decoder: PixelDecoder,
        prompt_encoder: PromptEncoder,
        queries: Queries,
        decoder: Decoder,
        heads: Heads,
        content_independent: bool = True,
        concept_head: ConceptHead | None = None,
        concept_features: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.pixel_decoder = pixel_decoder
        self.prompt_encoder = prompt_encoder
        self.embedding_dim = prompt_encoder.content_tokens.embedding_dim
        self.queries = queries
        self.decoder = decoder
        self.heads = heads
        self.content_independent = content_independent
        self.concept_head = concept_head
        self.concept_features = tuple(concept_features)

    def encode_image(self, pixels: Tensor) -> FeaturePyramid:
        """[B, 3, H, W] normalised and padded pixels to a pyramid; H and W multiples of 32."""
        maps = self.backbone(pixels)
        pyramid: FeaturePyramid = self.pixel_decoder(maps)
        return replace(pyramid, concept_maps=tuple(maps[name] for name in self.concept_features))

    def encode_prompts(
        self, pyramid: FeaturePyramid, prompt_masks: Tensor, image_index: Tensor | None = None
    ) -> Tensor:
        """Turn the prompts drawn on encoded references into embeddings.

        Args:
            pyramid: the encoded references, batch size B.
            prompt_masks: [P, H, W] bool in the padded input frame. An all-false mask attends
                everywhere.
            image_index: [P] int64, the reference each prompt was drawn on; all 0 if left out.

        Returns:
            [P, C], one embedding per prompt, not normalised. A category is their mean.

        Source: DINOv section 3.2, masked cross-attention over the pyramid.
        """
        return self.prompt_encoder(pyramid, prompt_masks, image_index)

    def embed_prompts(
        self, pyramid: FeaturePyramid, prompt_masks: Tensor, image_index: Tensor | None = None
    ) -> Tensor:
        """As ``encode_prompts``, and what the concept head gathers: [P, C + concept_head.dim].

        All methods that take embeddings take these; ``decode_concepts`` alone needs all of them.
        """
        embeddings = self.encode_prompts(pyramid, prompt_masks, image_index)
        if self.concept_head is None:
            return embeddings
        seen = self.concept_head.encode_prompts(pyramid.concept_maps, prompt_masks, image_index)
        return torch.cat([embeddings, seen.to(embeddings.dtype)], dim=1)

    def of_decoder(self, embeddings: Tensor) -> Tensor:
        """The part [..., C] of embeddings that the paper's model made and understands."""
        return embeddings[..., : self.embedding_dim]

    def decode_concepts(self, pyramid: FeaturePyramid, embeddings: Tensor) -> Tensor:
        """Where each category is, by the concept head: [B, K, H / 8, W / 8] raw logits.

        Args:
            pyramid: the encoded targets, batch size B.
            embeddings: [K, C + concept_head.dim], means of those of ``embed_prompts``.
        """
        assert self.concept_head is not None
        gathered = embeddings[:, self.embedding_dim :].split(_CONCEPTS_AT_ONCE)
        maps = [self.concept_head(pyramid.concept_maps, some) for some in gathered]
        return torch.cat(maps, dim=1)

    def decode_proposals(self, pyramid: FeaturePyramid) -> Proposals:
        """Decode the generic queries alone: they do not depend on any prompt."""
        state = self._decode(pyramid, [self.queries.generic(len(pyramid.mask_features))])[-1]
        z = self.decoder.norm(state.vectors)
        return Proposals(
            self.heads.generic_vectors(z),
            self._boxes(state),
            self.heads.mask_vectors(z),
        )

    def decode_categories(self, pyramid: FeaturePyramid, category_embeddings: Tensor) -> Tensor:
        """Decode [K, C] category embeddings on a target: [B, K, projection].

        The logits are ``proposals.vectors @ categories.mT``. Only for models whose content queries
        are independent of the generic ones.
        """
        if not self.content_independent:
            raise ValueError("Categories of this model depend on proposals: use decode_generic.")
        return self.heads.generic_vectors(self._decode_content(pyramid, category_embeddings))

    def decode_generic(
        self, pyramid: FeaturePyramid, category_embeddings: Tensor
    ) -> GenericPrediction:
        """Find all objects of each category.

        Args:
            pyramid: the encoded targets, batch size B.
            category_embeddings: [K, C], the mean prompt embedding of each category.

        Returns:
            The last layer's prediction: logits [B, Q, K] among others.

        Source: DINOv section 3.3, open-set (generic) segmentation.
        """
        return self._generic(pyramid, category_embeddings, None, last_only=True).layers[0]

    def decode_generic_layers(
        self,
        pyramid: FeaturePyramid,
        category_embeddings: Tensor,
        denoise: DenoiseQueries | None = None,
        *,
        concept_masks: bool = False,
    ) -> LayeredPrediction:
        """As ``decode_generic``, of every decoder layer, with denoising queries for training.

        ``concept_masks`` asks for the one mask that each category's own query predicts, too.
        """
        return self._generic(
            pyramid, category_embeddings, denoise, last_only=False, concept_masks=concept_masks
        )

    def decode_points(self, pyramid: FeaturePyramid, *, grid: int = 20) -> PointProposals:
        """Decode a grid of points alone: they do not depend on any prompt.

        Args:
            pyramid: the encoded targets, batch size B.
            grid: points per side.

        Returns:
            Q = granularities * grid² proposals, those of one point consecutive.

        Source: DINOv section 3.3, referring segmentation.
        """
        boxes = point_grid(grid, pyramid.padded_size_hw, pyramid.mask_features.device)
        points = self.queries.points(boxes.expand(len(pyramid.mask_features), -1, -1))
        # Nobody else sees the queries of a point: no mask of all by all is needed.
        return self._points(self._decode_apart(pyramid, points, self.queries.granularities))

    def decode_prompts(self, pyramid: FeaturePyramid, prompt_embeddings: Tensor) -> Tensor:
        """Decode [K, C] prompt embeddings on a target for the refer task: [B, K, projection].

        The match scores are ``prompts @ points.vectors.mT``.
        """
        return self.heads.refer_vectors(self._decode_content(pyramid, prompt_embeddings))

    def decode_refer(
        self, pyramid: FeaturePyramid, prompt_embeddings: Tensor, *, grid: int = 20
    ) -> ReferPrediction:
        """Propose masks at a grid of points and compare each with each prompt.

        Args:
            pyramid: the encoded targets, batch size B.
            prompt_embeddings: [K, C], one per object looked for.
            grid: points per side.

        Returns:
            Proposals Q = granularities * grid², those of one point consecutive.

        Source: DINOv section 3.3, referring segmentation.
        """
        points = self.decode_points(pyramid, grid=grid)
        return _compare(points, self.decode_prompts(pyramid, prompt_embeddings), pyramid)

    def decode_refer_layers(
        self, pyramid: FeaturePyramid, prompt_embeddings: Tensor, points_cxcywh: Tensor
    ) -> tuple[ReferPrediction, ...]:
        """As ``decode_refer``, of every decoder layer, first to last, at points of one's choice.

        Args:
            pyramid: the encoded targets, batch size B.
            prompt_embeddings: [K, C], looked for in all targets, or [B, K, C], each in its own.
            points_cxcywh: [B, N, 4], small boxes around the points.
        """
        points = self.queries.points(points_cxcywh)
        content = self._content(pyramid, prompt_embeddings)
        count = points.vectors.shape[1]
        layers = []
        for state in self._decode(pyramid, [points, content]):
            vectors, boxes = state.vectors, state.boxes_cxcywh
            proposals = self._points(LayerState(vectors[:, :count], boxes[:, :count]))
            prompts = self.heads.refer_vectors(self.decoder.norm(vectors[:, count:]))
            layers.append(_compare(proposals, prompts, pyramid))
        return tuple(layers)

    def _generic(
        self,
        pyramid: FeaturePyramid,
        category_embeddings: Tensor,
        denoise: DenoiseQueries | None,
        *,
        last_only: bool,
        concept_masks: bool = False,
    ) -> LayeredPrediction:
        batch = len(pyramid.mask_features)
        generic = self.queries.generic(batch)
        content = self._content(pyramid, category_embeddings)
        repaired = [] if denoise is None else [self.queries.denoise(denoise)]
        states = self._decode(pyramid, [*repaired, generic, content])
        first = 0 if denoise is None else denoise.boxes_cxcywh.shape[1]
        last = first + generic.vectors.shape[1]
        layers, denoised, concepts = [], [], []
        for state in states[-1:] if last_only else states:
            z = self.decoder.norm(state.vectors)  # the state is normed once already
            vectors = self.heads.generic_vectors(z[:, first:])
            found, categories = vectors[:, : last - first], vectors[:, last - first :]
            masks = self.heads.masks(z[:, :last], pyramid.mask_features)
            boxes = self._boxes(state)[:, :last]
            layers.append(
                GenericPrediction(found @ categories.mT, boxes[:, first:], masks[:, first:])
            )
            if denoise is not None:
                denoised.append(BoxMaskPrediction(boxes[:, :first], masks[:, :first]))
            if concept_masks:
                concepts.append(self.heads.masks(z[:, last:], pyramid.mask_features))
        return LayeredPrediction(tuple(layers), tuple(denoised), tuple(concepts))

    def _content(self, pyramid: FeaturePyramid, embeddings: Tensor) -> QueryGroup:
        return self.queries.content(self.of_decoder(embeddings), len(pyramid.mask_features))

    def _decode_content(self, pyramid: FeaturePyramid, embeddings: Tensor) -> Tensor:
        content = self._content(pyramid, embeddings)
        return self.decoder.norm(self._decode_apart(pyramid, content, block=1).vectors)

    def _decode_apart(self, pyramid: FeaturePyramid, group: QueryGroup, block: int) -> LayerState:
        run: Callable[..., list[LayerState]] = self.decoder
        return run(group.vectors, group.box_logits, None, pyramid.levels, block=block)[-1]

    def _decode(self, pyramid: FeaturePyramid, groups: list[QueryGroup]) -> list[LayerState]:
        allowed = attention_allowed(groups, content_independent=self.content_independent)
        vectors = torch.cat([g.vectors for g in groups], dim=1)
        box_logits = torch.cat([g.box_logits for g in groups], dim=1)
        run: Callable[..., list[LayerState]] = self.decoder
        return run(vectors, box_logits, allowed, pyramid.levels)

    def _boxes(self, state: LayerState) -> Tensor:
        return predicted_boxes(self.decoder.bbox_embed(state.vectors), state.boxes_cxcywh)

    def _points(self, state: LayerState) -> PointProposals:
        z = self.decoder.norm(state.vectors)
        return PointProposals(
            self.heads.refer_vectors(z),
            self.heads.ious(z),
            # Boxes come from the twice normed queries here, unlike in the generic task.
            predicted_boxes(self.decoder.bbox_embed(z), state.boxes_cxcywh),
            self.heads.mask_vectors(z),
        )


def _compare(points: PointProposals, prompts: Tensor, pyramid: FeaturePyramid) -> ReferPrediction:
    """All proposals with [B, K, projection] decoded prompts."""
    return ReferPrediction(
        prompts @ points.vectors.mT,
        points.ious,
        points.boxes_cxcywh,
        masks_of(points.mask_vectors, pyramid.mask_features),
    )
