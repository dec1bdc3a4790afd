"""Whatever is uploaded, the browser gets an upright picture and the model the same pixels."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from app.image_files import THUMBNAIL_LONGEST_SIDE, ImageFiles, display_name
from app.project import NotFound, ProjectImage
from dinov.errors import InvalidImage
from dinov.images import read_rgb

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 255, (30, 50, 3), np.uint8)


@pytest.fixture
def files(tmp_path: Path) -> ImageFiles:
    return ImageFiles(tmp_path)


def encode(picture: PIL.Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def rotated_jpeg() -> bytes:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    return encode(PIL.Image.fromarray(NOISE), "JPEG", exif=exif, quality=95)


def as_image(stored) -> ProjectImage:
    return ProjectImage(
        1, "p", stored.file_name, stored.width, stored.height, False, True, stored.sha256,
        stored.suffix, 0, 0, 1,
    )  # fmt: skip


RGB = PIL.Image.fromarray(NOISE)


@pytest.mark.parametrize(
    ("content", "suffix"),
    [
        (encode(RGB, "JPEG"), ".jpg"),
        (encode(RGB.convert("L"), "JPEG"), ".jpg"),
        (encode(RGB, "PNG"), ".png"),
        (encode(RGB, "WEBP"), ".webp"),
    ],
)
def test_ordinary_files_keep_their_bytes(files, content, suffix):
    stored = files.add("p", "photo", content)
    assert (stored.suffix, stored.width, stored.height) == (suffix, 50, 30)
    assert files.path(as_image(stored)).read_bytes() == content


@pytest.mark.parametrize(
    ("content", "suffix"),
    [
        (encode(RGB.convert("CMYK"), "JPEG"), ".jpg"),
        (encode(RGB.convert("RGBA"), "PNG"), ".png"),
        (encode(RGB.convert("P"), "PNG"), ".png"),
        (encode(RGB, "TIFF"), ".png"),
        (encode(RGB, "BMP"), ".png"),
        (encode(RGB, "GIF", save_all=True, append_images=[RGB.rotate(180)]), ".png"),
        (encode(PIL.Image.fromarray(NOISE[..., 0].astype(np.uint16) * 257), "PNG"), ".png"),
    ],
    ids=["cmyk", "alpha", "palette", "tiff", "bmp", "animated", "16-bit"],
)
def test_unusual_files_become_what_browsers_show(files, content, suffix):
    stored = files.add("p", "photo", content)
    with PIL.Image.open(files.path(as_image(stored))) as picture:
        assert (picture.mode, picture.size) == ("RGB", (50, 30))
        assert picture.format == {".jpg": "JPEG", ".png": "PNG"}[suffix]
        close = np.abs(np.asarray(picture, int) - read_rgb(content)) <= 12
    assert close.all() if suffix == ".png" else close.mean() > 0.9


def test_a_rotated_photo_is_stored_upright(files):
    stored = files.add("p", "portrait.jpg", rotated_jpeg())
    assert (stored.width, stored.height) == (30, 50)
    with PIL.Image.open(files.path(as_image(stored))) as picture:
        assert picture.size == (30, 50)
        assert picture.getexif().get(0x0112) is None
        difference = np.abs(np.asarray(picture, int) - read_rgb(rotated_jpeg()))
    assert difference.mean() < 4


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", encode(RGB, "PNG")[:200], encode(RGB, "JPEG")[:-200]],
    ids=["zero bytes", "text", "cut PNG", "cut JPEG"],
)
def test_unreadable_files_are_named_and_leave_nothing(files, tmp_path, content):
    with pytest.raises(InvalidImage, match=r"^broken\.png is "):
        files.add("p", "broken.png", content)
    assert list(tmp_path.rglob("*.*")) == []


def test_a_decompression_bomb_is_refused(files):
    bomb = encode(PIL.Image.new("1", (20_000, 20_000)), "PNG")
    with pytest.raises(InvalidImage, match="Scale it down"):
        files.add("p", "bomb.png", bomb)


def test_thumbnails_are_small_and_made_once(files):
    wide = encode(PIL.Image.fromarray(np.tile(NOISE, (20, 30, 1))), "JPEG")
    image = as_image(files.add("p", "wide.jpg", wide))
    path = files.thumbnail_path(image)
    with PIL.Image.open(path) as thumbnail:
        assert thumbnail.size == (THUMBNAIL_LONGEST_SIDE, 102)
    made = path.stat().st_mtime_ns
    assert files.thumbnail_path(image).stat().st_mtime_ns == made


def test_a_file_taken_away_is_reported(files):
    image = as_image(files.add("p", "a.png", encode(RGB, "PNG")))
    files.remove(image)
    with pytest.raises(NotFound, match=r"a\.png is gone"):
        files.path(image)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\photos\\Käfer 1.JPG", "Käfer 1.JPG"),
        ("猫.png", "猫.png"),
        ("a\x00b\n.png", "ab.png"),
        ("<script>.png", "_script_.png"),
        ("", "image"),
        ("...", "image"),
        ("x" * 300 + ".jpeg", "x" * 120 + ".jpeg"),
    ],
)
def test_file_names_become_harmless(given, shown):
    assert display_name(given) == shown
