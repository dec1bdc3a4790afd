"""Random crop, scale, flip and colour of a training photo with its masks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dinov.images import PIXEL_MEAN, PIXEL_STD
from dinov.training.config import DataConfig
from dinov.types import Image, Mask, SizeHW

_COLOUR_JITTER = 0.3
_GREY_RATE = 0.05


@dataclass(frozen=True)
class View:
    """A window of a photo (pixel edges, inside the photo), its size in the input, and a flip.

    The view is laid into the upper left of a square input, the rest is padding.
    """

    rows: slice
    columns: slice
    size_hw: SizeHW
    flipped: bool

    def of_image(self, image: Image) -> Image:
        """[H, W, 3] photo to the view."""
        return self._apply(image)

    def of_mask(self, mask: Mask) -> Mask:
        """[H, W] mask to the view."""
        return self._apply(mask.astype(np.uint8) * 255) >= 128

    def _apply(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        window = pixels[self.rows, self.columns]
        if self.flipped:
            window = window[:, ::-1]
        height, width = self.size_hw
        shrinks = height * width < window.shape[0] * window.shape[1]
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        resized = cv2.resize(np.ascontiguousarray(window), (width, height), interpolation=method)
        return resized.astype(np.uint8, copy=False)


def draw_view(
    size_hw: SizeHW, focus_yx: tuple[int, int], config: DataConfig, rng: np.random.Generator
) -> View:
    """Choose scale, aspect ratio, flip, and a window that contains a pixel of the photo."""
    low, high = np.log(config.scale_range)
    scale = np.exp(rng.uniform(low, high)) * config.crop_size / max(size_hw)
    stretch = np.exp(rng.uniform(-1, 1) * np.log(config.aspect_jitter) / 2)
    spans, sizes = [], []
    for length, focus, factor in zip(
        size_hw, focus_yx, (scale * stretch, scale / stretch), strict=True
    ):
        span = min(length, max(1, round(config.crop_size / factor)))
        earliest = max(0, focus + 1 - span)
        latest = min(length - span, focus)
        start = int(rng.integers(earliest, latest + 1))
        spans.append(slice(start, start + span))
        sizes.append(int(np.clip(round(span * factor), 1, config.crop_size)))
    return View(spans[0], spans[1], (sizes[0], sizes[1]), bool(rng.random() < 0.5))


def jitter_colour(image: Image, rng: np.random.Generator) -> Image:
    """Vary brightness, contrast and saturation; now and then drop all colour."""
    brightness, contrast, saturation = 1 + rng.uniform(-_COLOUR_JITTER, _COLOUR_JITTER, 3)
    if rng.random() < _GREY_RATE:
        saturation = 0.0
    pixels = image.astype(np.float32) * brightness
    grey = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
    pixels = grey[..., None] + (pixels - grey[..., None]) * saturation
    mean = grey.mean()
    jittered: Image = np.clip(mean + (pixels - mean) * contrast, 0, 255).astype(np.uint8)
    return jittered


def to_input(image: Image, crop_size: int) -> NDArray[np.float32]:
    """Normalise a view and pad it with zeros: [3, crop_size, crop_size]."""
    padded = np.zeros((3, crop_size, crop_size), np.float32)
    height, width = image.shape[:2]
    padded[:, :height, :width] = ((image - PIXEL_MEAN) / PIXEL_STD).transpose(2, 0, 1)
    return padded


def pad_mask(mask: Mask, crop_size: int) -> Mask:
    """[h, w] to [crop_size, crop_size] with false at the bottom and right."""
    height, width = mask.shape
    return np.pad(mask, ((0, crop_size - height), (0, crop_size - width)))
