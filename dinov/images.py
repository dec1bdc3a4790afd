"""Pictures on their way in: files to upright RGB, and RGB to the padded input of the model."""

from __future__ import annotations

import contextlib
import glob
import io
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from dinov.errors import InvalidImage
from dinov.types import Image, Mask, SizeHW

# fmt: off
IMAGE_SUFFIXES = frozenset({
    ".avif", ".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".mpo",
    ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
})
# fmt: on
PIXEL_MEAN = np.array([123.675, 116.280, 103.530], np.float32)
PIXEL_STD = np.array([58.395, 57.120, 57.375], np.float32)

MAX_PIXELS = 178_000_000
"""Images with more pixels are refused before they are decoded."""

_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}
_ON_ITS_SIDE = (5, 6, 7, 8)
# Beyond 1:4 the longest side bounds the scale, so that a strip cannot exhaust the memory.
_MAX_ASPECT = 4


def read_rgb(
    source: str | Path | BinaryIO | bytes, *, name: str = "", max_pixels: int = MAX_PIXELS
) -> Image:
    """Read any usual image as the viewer would see it.

    EXIF orientation is applied; grey, palette, CMYK and 16-bit become RGB; transparency is laid
    on white; of an animation the first frame is taken.

    Args:
        source: a path, an open binary file or the bytes of a file.
        name: what messages call it; its path by default.
        max_pixels: images with more pixels are refused before they are decoded.

    Returns:
        [H, W, 3] uint8 RGB, upright.

    Raises:
        InvalidImage: if the file is missing, empty, damaged, too large or no image.
    """
    name = name or _name_of(source)
    with (
        _told_in_words(name),
        PIL.Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as picture,
    ):
        _check_size(name, picture.size, max_pixels)
        picture.load()
        return np.array(_to_rgb(_upright(picture)))


def read_size_hw(path: Path) -> SizeHW:
    """Read the size that ``read_rgb`` would give an image, without decoding its pixels.

    Raises:
        InvalidImage: if the file is missing or no image.
    """
    with _told_in_words(str(path)), PIL.Image.open(path) as picture:
        width, height = picture.size
        return (width, height) if _orientation(picture) in _ON_ITS_SIDE else (height, width)


def find_images(paths: Sequence[Path]) -> list[Path]:
    """List the images named by files, folders (searched to any depth) and glob patterns.

    A file that is named is taken whatever its suffix; in folders and patterns only image suffixes
    count and hidden files are left out.

    Returns:
        Each file once, in natural order ("2.jpg" before "10.jpg").

    Raises:
        InvalidImage: if one of the paths leads to no image.
    """
    if not paths:
        raise InvalidImage("No image was named. Give files, folders or patterns.")
    found: set[Path] = set()
    for path in paths:
        matches = [path] if path.is_file() else _images_below(path)
        if not matches:
            raise InvalidImage(f"There is no image at {path}. Check the path.")
        found.update(matches)
    return sorted(found, key=natural_order)


def natural_order(path: str | Path) -> tuple[list[tuple[int, str]], str]:
    """Sort key of paths: numbers by their value, letters whatever their case."""
    pieces = re.split(r"(\d+)", str(path).replace(os.sep, "/").lower())
    return [(int(piece), "") if piece.isdigit() else (-1, piece) for piece in pieces], str(path)


@dataclass(frozen=True)
class ImageTransform:
    """The way from an original image to the padded model input: resize, normalise, pad.

    Sizes are (height, width): of the original, after resizing, and after padding at the bottom
    and right. Source: the DINOv demo's input (shorter side resized by bicubic resampling).
    """

    original_hw: SizeHW
    input_hw: SizeHW
    padded_hw: SizeHW

    @classmethod
    def fit(
        cls,
        original_hw: SizeHW,
        input_size: int,
        *,
        resize: Literal["longest", "shortest"] = "longest",
        divisor: int = 32,
    ) -> ImageTransform:
        """Scale so that the longest or the shortest side becomes ``input_size`` pixels.

        An image narrower than 1:4 scales by its longest side in both cases.
        """
        if min(original_hw) < 1 or input_size < 1:
            raise InvalidImage(f"Cannot fit an image of size {original_hw} to {input_size} pixels.")
        shortest, longest = min(original_hw), max(original_hw)
        side, goal = longest, input_size
        if resize == "shortest":
            within = longest <= _MAX_ASPECT * shortest
            side, goal = (shortest, input_size) if within else (longest, _MAX_ASPECT * input_size)
        height, width = (max(1, length * goal // side) for length in original_hw)
        padded = (-(-height // divisor) * divisor, -(-width // divisor) * divisor)
        return cls(original_hw, (height, width), padded)

    def apply_image(self, image: Image) -> NDArray[np.float32]:
        """Return the model input [3, H, W] of ``padded_hw``; the padding is 0 after normalising."""
        self._check(image.shape[:2])
        resized = PIL.Image.fromarray(image).resize(
            self.input_hw[::-1], PIL.Image.Resampling.BICUBIC
        )
        height, width = self.input_hw
        padded = np.zeros((3, *self.padded_hw), np.float32)
        normalised = (np.asarray(resized, np.float32) - PIXEL_MEAN) / PIXEL_STD
        padded[:, :height, :width] = normalised.transpose(2, 0, 1)
        return padded

    def apply_mask(self, mask: Mask) -> Mask:
        """Return the mask at ``padded_hw``.

        Where the image shrinks, a pixel is true if anything below it is, so that points and thin
        scribbles survive; where it grows, the nearest pixel counts.
        """
        self._check(mask.shape)
        height, width = self.input_hw
        padded = np.zeros(self.padded_hw, np.bool_)
        padded[:height, :width] = _resample(_resample(mask, height, axis=0), width, axis=1)
        return padded

    def _check(self, shape: tuple[int, ...]) -> None:
        if tuple(shape) != self.original_hw:
            raise InvalidImage(f"Expected an image of size {self.original_hw}, got {shape}.")


@contextlib.contextmanager
def _told_in_words(name: str) -> Iterator[None]:
    """Turn what opening or decoding an image raises into an InvalidImage that says what to do."""
    try:
        with warnings.catch_warnings(action="ignore", category=PIL.Image.DecompressionBombWarning):
            yield
    except InvalidImage:
        raise
    except FileNotFoundError as error:
        raise InvalidImage(f"{name} does not exist. Check the path.") from error
    except (IsADirectoryError, PermissionError) as error:
        raise InvalidImage(f"{name} cannot be opened: {error.strerror}.") from error
    except PIL.Image.DecompressionBombError as error:
        raise InvalidImage(f"{name} is too large. Scale it down first.") from error
    except PIL.UnidentifiedImageError as error:
        raise InvalidImage(
            f"{name} is empty or not an image this program reads. "
            "Save it again as JPEG, PNG, WebP, TIFF or BMP."
        ) from error
    except Exception as error:  # decoders raise anything at all on damaged bytes
        raise InvalidImage(
            f"{name} is damaged or cut off ({error}). Copy or download it again."
        ) from error


def _name_of(source: str | Path | BinaryIO | bytes) -> str:
    if isinstance(source, (str, Path)):
        return str(source)
    return str(getattr(source, "name", "The image"))


def _check_size(name: str, size_wh: tuple[int, int], max_pixels: int) -> None:
    if size_wh[0] * size_wh[1] > max_pixels:
        raise InvalidImage(
            f"{name} has {size_wh[0]}x{size_wh[1]} pixels; at most "
            f"{max_pixels / 1e6:.0f} million are read. Scale it down first."
        )


def _orientation(picture: PIL.Image.Image) -> int | None:
    try:
        orientation: int | None = picture.getexif().get(_EXIF_ORIENTATION)
    except Exception:  # noqa: BLE001 - damaged EXIF raises anything; viewers ignore it, too
        return None
    return orientation


def _upright(picture: PIL.Image.Image) -> PIL.Image.Image:
    orientation = _orientation(picture)
    return picture.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else picture


def _to_rgb(picture: PIL.Image.Image) -> PIL.Image.Image:
    if picture.mode == "F" or picture.mode.startswith("I"):
        return PIL.Image.fromarray(_deep_to_grey(np.asarray(picture))).convert("RGB")
    if picture.has_transparency_data:
        colours = picture.convert("RGBA")
        white = PIL.Image.new("RGBA", colours.size, "white")
        return PIL.Image.alpha_composite(white, colours).convert("RGB")
    return picture.convert("RGB")


def _deep_to_grey(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Scale deep grey values to 8 bit: by the bit depth in use, or by their range if it is unknown.

    Pillow itself would clip them at 255.
    """
    deep = np.nan_to_num(values.astype(np.float32))
    low, high = min(0.0, float(deep.min())), float(deep.max())
    if low == 0.0:
        high = next((full for full in (1.0, 255.0, 4095.0, 65535.0) if high <= full), high)
        high = 255.0 if np.issubdtype(values.dtype, np.integer) and high == 1.0 else high
    scaled: NDArray[np.float32] = (deep - low) * (255.0 / max(high - low, 1e-12))
    return np.rint(scaled).astype(np.uint8)


def _images_below(path: Path) -> list[Path]:
    if path.is_dir():
        candidates = list(path.rglob("*"))
    else:
        candidates = [Path(match) for match in glob.glob(str(path), recursive=True)]
    return [
        candidate
        for candidate in candidates
        if candidate.suffix.lower() in IMAGE_SUFFIXES
        and not candidate.name.startswith(".")
        and candidate.is_file()
    ]


def _resample(mask: Mask, size: int, axis: int) -> Mask:
    length = mask.shape[axis]
    positions = np.arange(size)
    if size >= length:
        nearest: Mask = np.take(mask, (2 * positions + 1) * length // (2 * size), axis=axis)
        return nearest
    # reduceat reduces between each pair of borders; every second result is a bin of ours
    borders = np.stack([positions * length // size, -(-(positions + 1) * length // size)], axis=1)
    reduced = np.logical_or.reduceat(mask, borders.ravel()[:-1], axis=axis)
    return reduced[(slice(None),) * axis + (slice(None, None, 2),)]
