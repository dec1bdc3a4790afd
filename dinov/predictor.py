"""The numpy door: photos and prompts in original pixels in, instances out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ParamSpec, TypeVar

import numpy as np
import torch
from torch import Tensor

from dinov.checkpoints import load_model
from dinov.compiling import compile_layers
from dinov.config import VARIANTS
from dinov.corrections import corrected
from dinov.device import (
    autocast,
    describe_device,
    lower_weights,
    resolve_device,
    resolve_precision,
)
from dinov.errors import InvalidImage
from dinov.feature_cache import FeatureCache
from dinov.images import ImageTransform
from dinov.masks import rasterise
from dinov.model.dinov import DINOv, FeaturePyramid, PointProposals, Proposals
from dinov.model.heads import masks_of
from dinov.options import (
    DEFAULT_INSTANCE_OPTIONS,
    MAX_EXAMPLES,
    SCORE_FLOOR,
    InstanceOptions,
)
from dinov.postprocess import category_probabilities, to_instances
from dinov.prompt_bank import PromptBank
from dinov.refer import ReferOptions, match_probabilities, surviving, take, to_referral
from dinov.tiles import segment_in_tiles
from dinov.types import (
    Category,
    Image,
    Instance,
    Prompt,
    PromptType,
    Reference,
    Referral,
    Segmentation,
)

_P = ParamSpec("_P")
_T = TypeVar("_T")

DEFAULT_CACHE_BYTES = 1 << 30
DEFAULT_REFER_OPTIONS = ReferOptions()

ANY_LIKENESS = -1.0
"""The lowest cosine there is: every candidate of the refer task is like enough."""


@dataclass(frozen=True)
class EncodedImage:
    """An image's features, and how its pixels became the model's input."""

    pyramid: FeaturePyramid
    transform: ImageTransform

    @property
    def nbytes(self) -> int:
        """Memory of the features."""
        return self.pyramid.nbytes


@dataclass(frozen=True)
class Comparison:
    """How well every proposal of an image fits each of K concepts, raw, with its mask."""

    logits: Tensor  # [Q, K]
    mask_logits: Tensor  # [Q, h, w] at stride 4 of the padded input
    transform: ImageTransform


class Predictor:
    """Finds what is marked on references in target images.

    Each image is encoded once and kept in a cache; so are a target's proposals, which do not
    depend on prompts. Lower precision halves the memory of weights and of what is kept, and is
    faster where the hardware knows it. Use one predictor from one thread at a time.
    """

    def __init__(
        self,
        model: DINOv,
        *,
        variant: str,
        checkpoint_hash: str,
        device: str = "auto",
        precision: str = "float32",
        input_size: int | None = None,
        score_threshold: float | None = None,
        likeness_threshold: float = ANY_LIKENESS,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
        compile: bool = False,  # noqa: A002 - as torch calls it
    ) -> None:
        config = VARIANTS[variant]
        self.variant = variant
        self.device = resolve_device(device)
        self.input_size = config.input_size if input_size is None else input_size
        if self.input_size < 32:
            raise InvalidImage(f"Input size {self.input_size} is too small. Use 32 or more.")
        self.score_threshold = (
            config.score_threshold if score_threshold is None else score_threshold
        )
        self.likeness_threshold = likeness_threshold
        self.checkpoint_hash = checkpoint_hash
        self._resize = config.resize
        self._dtype = resolve_precision(precision)
        self._model = model.to(self.device).eval()
        lower_weights(self._model, self._dtype)
        if compile:
            compile_layers(self._model, self.device)
        self._encoded: FeatureCache[EncodedImage] = FeatureCache(cache_bytes * 3 // 4)
        self._proposals: FeatureCache[Proposals] = FeatureCache(cache_bytes // 8)
        self._points: FeatureCache[PointProposals] = FeatureCache(cache_bytes // 8)

    @classmethod
    def from_checkpoint(
        cls,
        checkpoint: str = "lite",
        *,
        device: str = "auto",
        precision: str = "float32",
        input_size: int | None = None,
        likeness_threshold: float | None = None,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
        compile: bool = False,  # noqa: A002
    ) -> Predictor:
        """Load a checkpoint by name or path; the file says which variant it is.

        Args:
            checkpoint: "lite", "swin-t", "swin-l" or the path of a file.
            device: see ``device.resolve_device``.
            precision: one of ``options.PRECISIONS``.
            input_size: side in pixels to which images are resized; the checkpoint's own by default.
            likeness_threshold: of ``refer``; the checkpoint's own by default.
            cache_bytes: memory for features of images seen before.
            compile: have torch compile the transformer layers, which takes about a minute when they
                are used first; for GPUs and many images (see ``compiling``).

        Raises:
            CheckpointError: if the file is missing, damaged or of another architecture.
            DeviceUnavailable: if the device does not exist here, or the precision anywhere, or
                nothing can be compiled for the device on this machine.
        """
        loaded = load_model(checkpoint)
        threshold = loaded.metadata.get("score_threshold")
        size = loaded.metadata.get("input_size")
        if likeness_threshold is None:
            likeness_threshold = float(loaded.metadata.get("likeness_threshold", ANY_LIKENESS))
        return cls(
            loaded.model,
            variant=loaded.variant,
            checkpoint_hash=loaded.sha256,
            device=device,
            precision=precision,
            input_size=int(size) if input_size is None and size else input_size,
            score_threshold=float(threshold) if threshold else None,
            likeness_threshold=likeness_threshold,
            cache_bytes=cache_bytes,
            compile=compile,
        )

    @property
    def fingerprint(self) -> str:
        """Names everything that an embedding depends on: variant, weights, input size."""
        return f"{self.variant}-{self.checkpoint_hash[:16]}-{self.input_size}"

    @property
    def device_name(self) -> str:
        """The device, for people."""
        return describe_device(self.device)

    @property
    def kept_images(self) -> int:
        """How many images seen before need not be encoded again."""
        return len(self._encoded)

    @property
    def kept_bytes(self) -> int:
        """Memory of all that is kept of images seen before."""
        return self._encoded.nbytes + self._proposals.nbytes + self._points.nbytes

    def embed_references(
        self, references: Iterable[Reference], categories: Sequence[Category] = ()
    ) -> PromptBank:
        """Turn the prompts of all references into embeddings, grouped by category.

        Negative prompts on positive ones of their category correct these (see ``corrections``).

        Args:
            references: read one after the other; each is let go once it is embedded.
            categories: how they are called, for a bank that is to be stored.

        Raises:
            InvalidPrompt: if a prompt is outside its image, has no area, or there is none at all.
        """
        embedded: list[tuple[Prompt, Tensor]] = []
        for image, prompts in ((one.image, one.prompts) for one in references):
            meant = [p for p in corrected(prompts, image.shape[:2]) if p is not None]
            embedded += zip(meant, self.embed_prompts(image, meant), strict=True)
        return PromptBank.of(self.fingerprint, embedded, categories)

    @torch.inference_mode()
    def embed_prompts(self, image: Image, prompts: Sequence[Prompt]) -> Tensor:
        """[P, C] float32 embeddings of the prompts drawn on one image, on the CPU.

        There they meet those that are read from files; they are small, and go where they are used.

        Raises:
            InvalidPrompt: if a prompt is outside the image or has no area.
        """
        encoded = self._encode(image, _content_key(image))
        if not prompts:
            return torch.zeros(0, encoded.pyramid.levels[0].shape[1])
        masks = [encoded.transform.apply_mask(rasterise(p, image.shape[:2])) for p in prompts]
        stacked = torch.from_numpy(np.stack(masks)).to(self.device)
        return self._compute(self._model.encode_prompts, encoded.pyramid, stacked).float().cpu()

    @torch.inference_mode()
    def segment(
        self,
        image: Image,
        bank: PromptBank,
        *,
        score_threshold: float | Mapping[int, float] | None = None,
        options: InstanceOptions = DEFAULT_INSTANCE_OPTIONS,
        max_examples: int = MAX_EXAMPLES,
        seed: int = 0,
        tile: int | None = None,
    ) -> Segmentation:
        """Find all objects of the bank's categories in an image (the generic task).

        Args:
            image: [H, W, 3] uint8 RGB.
            bank: made by ``embed_references`` of a predictor with the same fingerprint.
            score_threshold: lowest score to report, for all or by category id; where none is
                given, the checkpoint's own. It hides what scores less and changes nothing else
                (see ``options.SCORE_FLOOR``).
            options: which found masks are one object, and how they are tidied.
            max_examples: of a category with more prompts, so many are drawn at random.
            seed: of that draw.
            tile: search for small objects in squares of so many pixels of the image, too; for
                large images (see ``tiles``).

        Raises:
            FingerprintMismatch: if the bank was made with another model or input size.
            InvalidPrompt: if the bank holds no positive prompt.
        """
        bank.require(self.fingerprint)
        concepts = bank.concept_embeddings(max_examples, seed)
        given = self.score_threshold if score_threshold is None else score_threshold
        thresholds = _by_category(given, bank.category_ids, self.score_threshold)
        floors = [min(SCORE_FLOOR, *thresholds)] * len(thresholds)

        def segment(part: Image) -> Segmentation:
            logits, proposals, encoded = self._compare(part, concepts)
            probabilities = category_probabilities(logits, bank.category_ids, bank.negative_ids)
            # A score is at most the probability: no other mask can be shown.
            best, column = probabilities.max(1)
            possible = (best >= best.new_tensor(floors)[column]).nonzero().flatten()
            return to_instances(
                probabilities[possible],
                _masks(proposals.mask_vectors[:, possible], encoded),
                bank.category_ids,
                encoded.transform,
                score_thresholds=floors,
                options=options,
            )

        found = segment(image) if tile is None else segment_in_tiles(image, segment, tile, options)
        lowest = dict(zip(bank.category_ids, thresholds, strict=True))

        def shown(instances: Sequence[Instance]) -> tuple[Instance, ...]:
            return tuple(i for i in instances if i.score >= lowest[i.category_id])

        return replace(found, instances=shown(found.instances), emptied=shown(found.emptied))

    @torch.inference_mode()
    def compare(self, image: Image, concepts: Tensor) -> Comparison:
        """Compare concepts [K, C] with everything that is proposed in an image.

        The proposals are kept: on an image seen before, new concepts cost their own decode only.
        """
        logits, proposals, encoded = self._compare(image, concepts)
        return Comparison(logits, _masks(proposals.mask_vectors, encoded), encoded.transform)

    def _compare(self, image: Image, concepts: Tensor) -> tuple[Tensor, Proposals, EncodedImage]:
        key = _content_key(image)
        encoded = self._encode(image, key)
        proposals = self._proposals.get_or_compute(
            key, lambda: self._compute(self._model.decode_proposals, encoded.pyramid)
        )
        categories = self._compute(
            self._model.decode_categories, encoded.pyramid, concepts.to(self.device)
        )
        logits = (proposals.vectors.float() @ categories.float().mT)[0]
        return logits, proposals, encoded

    @torch.inference_mode()
    def refer(
        self,
        image: Image,
        bank: PromptBank,
        *,
        options: ReferOptions = DEFAULT_REFER_OPTIONS,
        score_threshold: float | Mapping[int, float] = 0.0,
        likeness_threshold: float | None = None,
        max_candidates: int = 1,
    ) -> Referral:
        """Find one particular object per category of the bank in an image (the refer task).

        The prompts may lie on this very image or on others. What the points of the target propose
        is kept: on a target seen before, changed prompts cost a decode of their own queries only.

        Args:
            image: [H, W, 3] uint8 RGB.
            bank: made by ``embed_references``; each category stands for one object.
            options: where proposals are made and which of them are compared.
            score_threshold: lowest probability, among all proposals of the image, to report; for
                all or by object, 0 where none is given.
            likeness_threshold: scores are shares, so that something always has the largest, also on
                an image that does not show the object. A candidate is embedded like a mark of its
                own; unless the cosine with the object's embedding is so high it is left out. The
                checkpoint's own by default; ``ANY_LIKENESS`` keeps all.
            max_candidates: per object, the best ones.

        Raises:
            FingerprintMismatch: if the bank was made with another model or input size.
            InvalidPrompt: if the bank holds no positive prompt.
        """
        bank.require(self.fingerprint)
        embeddings = bank.concept_embeddings()
        key = _content_key(image)
        encoded = self._encode(image, key)
        pyramid = encoded.pyramid

        def compute() -> PointProposals:
            points = self._compute(self._model.decode_points, pyramid, grid=options.grid)
            return take(points, surviving(points, pyramid.mask_features, options))

        points = self._points.get_or_compute((key, options), compute)
        prompts = self._compute(self._model.decode_prompts, pyramid, embeddings.to(self.device))
        scores = (prompts.float() @ points.vectors.float().mT)[0]
        referral = to_referral(
            match_probabilities(scores, bank.category_ids, bank.negative_ids),
            points,
            pyramid.mask_features,
            bank.category_ids,
            encoded.transform,
            score_thresholds=_by_category(score_threshold, bank.category_ids, 0.0),
            max_candidates=max_candidates,
        )
        lowest = self.likeness_threshold if likeness_threshold is None else likeness_threshold
        objects = dict(zip(bank.category_ids, embeddings, strict=False))  # negatives follow them
        return referral if lowest <= ANY_LIKENESS else self._alike(image, referral, objects, lowest)

    def _alike(
        self, image: Image, referral: Referral, objects: Mapping[int, Tensor], lowest: float
    ) -> Referral:
        found = [instance for ranked in referral.candidates.values() for instance in ranked]
        marks = [Prompt(i.category_id, PromptType.MASK, rle=i.rle) for i in found]
        embeddings = self.embed_prompts(image, marks)
        alike = {
            id(instance)
            for instance, embedding in zip(found, embeddings, strict=True)
            if torch.cosine_similarity(embedding, objects[instance.category_id], dim=0) >= lowest
        }
        candidates = {
            number: tuple(instance for instance in ranked if id(instance) in alike)
            for number, ranked in referral.candidates.items()
        }
        return Referral(referral.size_hw, candidates)

    def _encode(self, image: Image, key: str) -> EncodedImage:
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise InvalidImage(
                f"Expected an image [height, width, 3] of uint8, got {image.shape} {image.dtype}. "
                "Read files with dinov.images.read_rgb."
            )

        def compute() -> EncodedImage:
            transform = ImageTransform.fit(
                (image.shape[0], image.shape[1]), self.input_size, resize=self._resize
            )
            pixels = torch.from_numpy(transform.apply_image(image))[None].to(self.device)
            pyramid = self._compute(self._model.encode_image, pixels)
            return EncodedImage(pyramid.to(self._dtype), transform)

        return self._encoded.get_or_compute(key, compute)

    def _compute(self, step: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        with autocast(self.device, self._dtype):
            return step(*args, **kwargs)


def _masks(mask_vectors: Tensor, encoded: EncodedImage) -> Tensor:
    return masks_of(mask_vectors, encoded.pyramid.mask_features)[0].float()


def _by_category(
    given: float | Mapping[int, float], category_ids: Sequence[int], otherwise: float
) -> list[float]:
    if isinstance(given, Mapping):
        return [given.get(i, otherwise) for i in category_ids]
    return [given] * len(category_ids)


def _content_key(image: Image) -> str:
    digest = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16)
    return f"{image.shape[0]}x{image.shape[1]}-{digest.hexdigest()}"
