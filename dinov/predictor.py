"""The numpy door: photos and prompts in original pixels in, instances out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from dinov.checkpoints import load_model
from dinov.compiling import compile_layers
from dinov.concept_maps import agreed_logits, with_maps
from dinov.config import VARIANTS
from dinov.corrections import corrected
from dinov.device import describe_device, lower_weights, resolve_device, resolve_precision
from dinov.errors import InvalidImage
from dinov.features import AnyImage, EncodedImage, ImageFeatures, PreparedImage, raw
from dinov.images import ImageTransform
from dinov.masks import rasterise
from dinov.model.dinov import DINOv, PointProposals, Proposals
from dinov.options import (
    DEFAULT_INSTANCE_OPTIONS,
    MAX_EXAMPLES,
    SCORE_FLOOR,
    InstanceOptions,
    by_category,
)
from dinov.postprocess import category_probabilities, to_instances
from dinov.prompt_bank import PromptBank
from dinov.refer import ReferOptions, as_marks, match_probabilities, only_alike, to_referral
from dinov.tiles import segment_all
from dinov.types import (
    Category,
    Image,
    Instance,
    Prompt,
    Reference,
    Referral,
    Segmentation,
)

DEFAULT_CACHE_BYTES = 1 << 30
DEFAULT_REFER_OPTIONS = ReferOptions()

ANY_LIKENESS = -1.0
"""The lowest cosine there is: every candidate of the refer task is like enough."""


@dataclass(frozen=True)
class Comparison:
    """How well every proposal of an image fits each of K concepts, raw, with its mask.

    Maps of a concept head have a say in the logits; the masks are as they were proposed.
    """

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
        batch_size: int | None = None,
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
        dtype = resolve_precision(precision)
        self._model = model.to(self.device).eval()
        lower_weights(self._model, dtype)
        if compile:
            compile_layers(self._model, self.device)
        self._features = ImageFeatures(
            self._model,
            self.device,
            dtype,
            input_size=self.input_size,
            resize=config.resize,
            cache_bytes=cache_bytes,
            batch_size=batch_size,
        )

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
        batch_size: int | None = None,
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
            batch_size: so many targets are computed together; by default what suits the device.
            compile: have torch compile the transformer layers, which takes minutes when they are
                used first; for GPUs and many images (see ``compiling``).

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
            batch_size=batch_size,
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
    def batch_size(self) -> int:
        """So many targets of one padded size are computed together, memory permitting."""
        return self._features.batch_size

    @property
    def kept_images(self) -> int:
        """How many images seen before need not be encoded again."""
        return self._features.kept_images

    @property
    def kept_bytes(self) -> int:
        """Memory of all that is kept of images seen before."""
        return self._features.kept_bytes

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
    def embed_prompts(
        self, image: Image, prompts: Sequence[Prompt], *, for_refer: bool = False
    ) -> Tensor:
        """[P, D] float32 embeddings of the prompts drawn on one image, on the CPU.

        There they meet those that are read from files; they are small, and go where they are used.
        ``for_refer`` leaves out what the generic task alone needs: likeness is judged by the rest.

        Raises:
            InvalidPrompt: if a prompt is outside the image or has no area.
        """
        step = partial(self._embed, prompts=prompts, for_refer=for_refer)
        return self._features.in_batches(lambda encoded: [step(encoded[0])], [image])[0]

    def _embed(self, encoded: EncodedImage, prompts: Sequence[Prompt], for_refer: bool) -> Tensor:
        if not prompts:
            return torch.zeros(0, self._model.embedding_dim)
        transform = encoded.transform
        masks = [transform.apply_mask(rasterise(p, transform.original_hw)) for p in prompts]
        stacked = torch.from_numpy(np.stack(masks)).to(self.device)
        step = self._model.encode_prompts if for_refer else self._model.embed_prompts
        return self._features.compute(step, encoded.pyramid, stacked).float().cpu()

    def segment(
        self,
        image: Image,
        bank: PromptBank,
        *,
        score_threshold: float | Mapping[int, float] | None = None,
        options: InstanceOptions = DEFAULT_INSTANCE_OPTIONS,
        max_examples: int = MAX_EXAMPLES,
        seed: int = 0,
        tile: int | Literal["auto"] | None = None,
    ) -> Segmentation:
        """Find all objects of the bank's categories in an image; see ``segment_many``."""
        (found,) = self.segment_many(
            [image],
            bank,
            score_threshold=score_threshold,
            options=options,
            max_examples=max_examples,
            seed=seed,
            tile=tile,
        )
        return found

    def prepare(self, image: Image) -> PreparedImage:
        """Resize and normalise an image for ``segment_many`` or ``refer_many``, in any thread.

        They do so themselves with what is not prepared, while the device waits.
        """
        return self._features.prepare(image)

    @torch.inference_mode()
    def segment_many(
        self,
        images: Sequence[AnyImage],
        bank: PromptBank,
        *,
        score_threshold: float | Mapping[int, float] | None = None,
        options: InstanceOptions = DEFAULT_INSTANCE_OPTIONS,
        max_examples: int = MAX_EXAMPLES,
        seed: int = 0,
        tile: int | Literal["auto"] | None = None,
    ) -> list[Segmentation]:
        """Find all objects of the bank's categories in each of several images (the generic task).

        Up to ``batch_size`` are computed together, each as if it were alone: scores differ in
        their last digits at most.

        Args:
            images: [H, W, 3] uint8 RGB each, of any sizes, as they are or prepared.
            bank: made by ``embed_references`` of a predictor with the same fingerprint.
            score_threshold: lowest score to report, for all or by category id; where none is
                given, the checkpoint's own. It hides what scores less and changes nothing else
                (see ``options.SCORE_FLOOR``).
            options: which found masks are one object, and how they are tidied.
            max_examples: of a category with more prompts, so many are drawn at random.
            seed: of that draw.
            tile: search for small objects in squares of so many pixels of the image, too; for
                large images (see ``tiles``). "auto" chooses the side for each of them.

        Raises:
            FingerprintMismatch: if the bank was made with another model or input size.
            InvalidPrompt: if the bank holds no positive prompt.
        """
        bank.require(self.fingerprint)
        concepts = bank.concept_embeddings(max_examples, seed)
        given = self.score_threshold if score_threshold is None else score_threshold
        thresholds = by_category(given, bank.category_ids, self.score_threshold)
        floors = [min(SCORE_FLOOR, *thresholds)] * len(thresholds)

        def found_in(
            encoded: EncodedImage, logits: Tensor, proposals: Proposals, maps: Tensor | None
        ) -> Segmentation:
            probabilities = category_probabilities(logits, bank.category_ids, bank.negative_ids)
            # A score is at most the probability: no other mask can be shown.
            best, column = probabilities.max(1)
            possible = (best >= best.new_tensor(floors)[column]).nonzero().flatten()
            probabilities = probabilities[possible]
            masks = encoded.masks(proposals.mask_vectors[:, possible])
            ids, fit = bank.category_ids, encoded.transform
            if maps is not None:
                probabilities, masks = with_maps(
                    probabilities, masks, maps, ids, bank.negative_ids, fit.input_hw
                )
            return to_instances(
                probabilities, masks, ids, fit, score_thresholds=floors, options=options
            )

        def segment(parts: Sequence[AnyImage]) -> list[Segmentation]:
            def step(encoded: Sequence[EncodedImage]) -> list[Segmentation]:
                return [found_in(*compared) for compared in self._compare(encoded, concepts)]

            return self._features.in_batches(step, parts)

        if tile is None:
            found = segment(images)
        else:
            found = segment_all([raw(i) for i in images], segment, tile, options, self.input_size)
        lowest = dict(zip(bank.category_ids, thresholds, strict=True))

        def shown(instances: Sequence[Instance]) -> tuple[Instance, ...]:
            return tuple(i for i in instances if i.score >= lowest[i.category_id])

        return [
            replace(one, instances=shown(one.instances), emptied=shown(one.emptied))
            for one in found
        ]

    @torch.inference_mode()
    def compare(self, image: Image, concepts: Tensor) -> Comparison:
        """Compare concepts [K, C] with everything that is proposed in an image.

        The proposals are kept: on an image seen before, new concepts cost their own decode only.
        """

        def step(encoded: Sequence[EncodedImage]) -> list[Comparison]:
            return [
                Comparison(logits, one.masks(proposals.mask_vectors), one.transform)
                for one, logits, proposals, _ in self._compare(encoded, concepts)
            ]

        (comparison,) = self._features.in_batches(step, [image])
        return comparison

    def _compare(
        self, encoded: Sequence[EncodedImage], concepts: Tensor
    ) -> Iterator[tuple[EncodedImage, Tensor, Proposals, Tensor | None]]:
        """Each image with the logits [Q, K] of its proposals, these, and maps [K, h, w] if any."""
        found = self._features.proposals(encoded)
        decoded = self._features.decode(self._model.decode_categories, encoded, concepts)
        for one, proposals, categories in zip(encoded, found, decoded, strict=True):
            logits, maps = (proposals.vectors.float() @ categories.mT)[0], None
            if self._model.concept_head is not None:
                maps = self._features.decode(self._model.decode_concepts, [one], concepts)[0][0]
                logits = agreed_logits(logits, one.masks(proposals.mask_vectors), maps)
            yield one, logits, proposals, maps

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
        """Find one particular object per category of the bank in an image; see ``refer_many``."""
        (referral,) = self.refer_many(
            [image],
            bank,
            options=options,
            score_threshold=score_threshold,
            likeness_threshold=likeness_threshold,
            max_candidates=max_candidates,
        )
        return referral

    @torch.inference_mode()
    def refer_many(
        self,
        images: Sequence[AnyImage],
        bank: PromptBank,
        *,
        options: ReferOptions = DEFAULT_REFER_OPTIONS,
        score_threshold: float | Mapping[int, float] = 0.0,
        likeness_threshold: float | None = None,
        max_candidates: int = 1,
    ) -> list[Referral]:
        """Find one particular object per category of the bank in each image (the refer task).

        The prompts may lie on this very image or on others. What the points of the target propose
        is kept: on a target seen before, changed prompts cost a decode of their own queries only.

        Args:
            images: as those of ``segment_many``.
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
        thresholds = by_category(score_threshold, bank.category_ids, 0.0)
        lowest = self.likeness_threshold if likeness_threshold is None else likeness_threshold
        own = self._model.of_decoder(embeddings[: len(bank.category_ids)])  # negatives follow
        objects = dict(zip(bank.category_ids, own, strict=True))

        def found_in(encoded: EncodedImage, prompts: Tensor, points: PointProposals) -> Referral:
            scores = (prompts @ points.vectors.float().mT)[0]
            referral = to_referral(
                match_probabilities(scores, bank.category_ids, bank.negative_ids),
                points,
                encoded.pyramid.mask_features,
                bank.category_ids,
                encoded.transform,
                score_thresholds=thresholds,
                max_candidates=max_candidates,
            )
            if lowest <= ANY_LIKENESS:
                return referral
            embedded = self._embed(encoded, as_marks(referral), for_refer=True)
            return only_alike(referral, embedded, objects, lowest)

        def step(encoded: Sequence[EncodedImage]) -> list[Referral]:
            points = self._features.points(encoded, options)
            prompts = self._features.decode(self._model.decode_prompts, encoded, embeddings)
            return [found_in(*one) for one in zip(encoded, prompts, points, strict=True)]

        return self._features.in_batches(step, images)
