"""What a model makes of images whatever the prompts are: several at once, and kept."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, ParamSpec, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dinov.device import autocast, default_batch_size
from dinov.errors import InvalidImage, InvalidOptions
from dinov.feature_cache import FeatureCache
from dinov.images import ImageTransform
from dinov.model.dinov import DINOv, FeaturePyramid, PointProposals, Proposals
from dinov.model.heads import masks_of
from dinov.refer import ReferOptions, surviving, take
from dinov.types import Image

_P = ParamSpec("_P")
_T = TypeVar("_T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreparedImage:
    """An image and what the model is given of it."""

    image: Image
    transform: ImageTransform
    pixels: NDArray[np.float32]  # [3, H, W], normalised and padded


AnyImage = Image | PreparedImage


@dataclass(frozen=True)
class EncodedImage:
    """An image's features, and how its pixels became the model's input."""

    key: Hashable
    pyramid: FeaturePyramid
    transform: ImageTransform

    @property
    def nbytes(self) -> int:
        """Memory of the features."""
        return self.pyramid.nbytes

    def masks(self, mask_vectors: Tensor) -> Tensor:
        """[Q, h, w] float32 mask logits of mask vectors [1, Q, C]."""
        return masks_of(mask_vectors, self.pyramid.mask_features)[0].float()


class ImageFeatures:
    """Computes what is needed of images, each as if it were alone, and keeps it.

    Padding takes part in attention, so that only images that are padded to one size are computed
    together. Where a device has too little memory for as many as ``batch_size``, that is halved
    until it suffices, and the log says so.
    """

    def __init__(
        self,
        model: DINOv,
        device: torch.device,
        dtype: torch.dtype,
        *,
        input_size: int,
        resize: Literal["longest", "shortest"],
        cache_bytes: int,
        batch_size: int | None,
    ) -> None:
        """Join the parts; see ``Predictor``."""
        self.batch_size = default_batch_size(device) if batch_size is None else batch_size
        if self.batch_size < 1:
            raise InvalidOptions(f"{batch_size} images cannot be computed together. Use 1 or more.")
        self._model, self._device, self._dtype = model, device, dtype
        self._input_size: int = input_size
        self._resize: Literal["longest", "shortest"] = resize
        self._keeps = cache_bytes > 0
        self._encoded: FeatureCache[EncodedImage] = FeatureCache(cache_bytes * 3 // 4)
        self._proposals: FeatureCache[Proposals] = FeatureCache(cache_bytes // 8)
        self._points: FeatureCache[PointProposals] = FeatureCache(cache_bytes // 8)

    @property
    def kept_images(self) -> int:
        """How many images seen before need not be encoded again."""
        return len(self._encoded)

    @property
    def kept_bytes(self) -> int:
        """Memory of all that is kept of images seen before."""
        return self._encoded.nbytes + self._proposals.nbytes + self._points.nbytes

    def prepare(self, image: Image) -> PreparedImage:
        """Resize and normalise an image ahead; in any thread.

        Raises:
            InvalidImage: if it is none.
        """
        transform = self._transform(image)
        return PreparedImage(image, transform, transform.apply_image(image))

    def in_batches(
        self, step: Callable[[Sequence[EncodedImage]], Sequence[_T]], images: Sequence[AnyImage]
    ) -> list[_T]:
        """Encode images and go on with a few of one padded size at a time, in the order given.

        Raises:
            InvalidImage: if one of them is no image; before anything is computed.
        """
        sizes = [self._transform(image).padded_hw for image in images]
        results: dict[int, _T] = {}
        for size in dict.fromkeys(sizes):
            left = [i for i, other in enumerate(sizes) if other == size]
            too_many = 0
            while left:
                batch = left[: self.batch_size]
                try:
                    found = step(self.encode([images[i] for i in batch]))
                except torch.OutOfMemoryError:
                    if len(batch) == 1:
                        raise
                    too_many = too_many or len(batch)
                    self.batch_size = len(batch) // 2
                else:
                    if too_many:
                        _log.warning(
                            "Too little memory for %d images together: from here on %d at a time. "
                            "Begin with that batch size to lose no time.",
                            too_many,
                            self.batch_size,
                        )
                        too_many = 0
                    results.update(zip(batch, found, strict=True))
                    left = left[len(batch) :]
        return [results[i] for i in range(len(images))]

    def encode(self, images: Sequence[AnyImage]) -> list[EncodedImage]:
        """The features of images that are padded to one size, all computed together."""
        keys = [_content_key(raw(image)) if self._keeps else object() for image in images]

        def compute(missing: Sequence[int]) -> list[EncodedImage]:
            given = [images[i] for i in missing]
            prepared = [i if isinstance(i, PreparedImage) else self.prepare(i) for i in given]
            stacked = torch.from_numpy(np.stack([one.pixels for one in prepared]))
            pyramid = self.compute(self._model.encode_image, stacked.to(self._device))
            return [
                EncodedImage(keys[i], one_pyramid, one.transform)
                for i, one_pyramid, one in zip(
                    missing, apart(pyramid.to(self._dtype)), prepared, strict=True
                )
            ]

        return self._encoded.get_or_compute_many(keys, compute)

    def proposals(self, encoded: Sequence[EncodedImage]) -> list[Proposals]:
        """What the generic queries find in images of one padded size."""

        def compute(missing: Sequence[int]) -> list[Proposals]:
            pyramid = joined([encoded[i].pyramid for i in missing])
            return apart(self.compute(self._model.decode_proposals, pyramid))

        return self._proposals.get_or_compute_many([one.key for one in encoded], compute)

    def points(
        self, encoded: Sequence[EncodedImage], options: ReferOptions
    ) -> list[PointProposals]:
        """What the point queries find in images of one padded size, as far as it survives."""

        def compute(missing: Sequence[int]) -> list[PointProposals]:
            pyramids = [encoded[i].pyramid for i in missing]
            found = self.compute(self._model.decode_points, joined(pyramids), grid=options.grid)
            return [
                take(points, surviving(points, pyramid.mask_features, options))
                for points, pyramid in zip(apart(found), pyramids, strict=True)
            ]

        return self._points.get_or_compute_many([(one.key, options) for one in encoded], compute)

    def decode(
        self,
        step: Callable[[FeaturePyramid, Tensor], Tensor],
        encoded: Sequence[EncodedImage],
        embeddings: Tensor,
    ) -> list[Tensor]:
        """Decode embeddings [K, C] on images of one padded size: [1, K, ...] of each, float32."""
        pyramid = joined([one.pyramid for one in encoded])
        return list(self.compute(step, pyramid, embeddings.to(self._device)).float().split(1))

    def compute(self, step: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """A step of the model, in the precision that was chosen."""
        with autocast(self._device, self._dtype):
            return step(*args, **kwargs)

    def _transform(self, image: AnyImage) -> ImageTransform:
        if isinstance(image, PreparedImage):
            return image.transform
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise InvalidImage(
                f"Expected an image [height, width, 3] of uint8, got {image.shape} {image.dtype}. "
                "Read files with dinov.images.read_rgb."
            )
        size_hw = (image.shape[0], image.shape[1])
        return ImageTransform.fit(size_hw, self._input_size, resize=self._resize)


def raw(image: AnyImage) -> Image:
    """The image itself."""
    return image.image if isinstance(image, PreparedImage) else image


def joined(values: Sequence[_T]) -> _T:
    """Dataclasses of tensors (or tuples of them) of one image each as one of all, along axis 0."""
    if len(values) == 1:
        return values[0]

    def together(parts: Sequence[Any]) -> Any:
        if isinstance(parts[0], Tensor):
            return torch.cat(list(parts))
        return tuple(torch.cat(tensors) for tensors in zip(*parts, strict=True))

    names = [field.name for field in fields(values[0])]  # type: ignore[arg-type]
    return type(values[0])(*(together([getattr(v, name) for v in values]) for name in names))


def apart(value: _T) -> list[_T]:
    """Undo ``joined``. Each has memory of its own, so that one can be kept and the others not."""
    parts: list[Any] = [getattr(value, field.name) for field in fields(value)]  # type: ignore[arg-type]
    first = parts[0] if isinstance(parts[0], Tensor) else parts[0][0]
    if len(first) == 1:
        return [value]

    def of(part: Any, i: int) -> Any:
        if isinstance(part, Tensor):
            return part[i : i + 1].clone()
        return tuple(tensor[i : i + 1].clone() for tensor in part)

    return [type(value)(*(of(part, i) for part in parts)) for i in range(len(first))]


def _content_key(image: Image) -> str:
    digest = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16)
    return f"{image.shape[0]}x{image.shape[1]}-{digest.hexdigest()}"
