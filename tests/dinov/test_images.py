from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from dinov.errors import InvalidImage
from dinov.images import PIXEL_MEAN, PIXEL_STD, ImageTransform, find_images, read_rgb


def encoded(picture: PIL.Image.Image, file_format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, file_format, **options)
    return buffer.getvalue()


def gradient(height: int = 6, width: int = 9) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 20, columns * 20, rows + columns], axis=2).astype(np.uint8)


def test_all_sources_give_the_same_pixels(tmp_path: Path) -> None:
    path = tmp_path / "größe 1.png"
    path.write_bytes(encoded(PIL.Image.fromarray(gradient())))
    with path.open("rb") as file:
        for source in (path, str(path), path.read_bytes(), file):
            image = read_rgb(source)
            assert image.dtype == np.uint8
            np.testing.assert_array_equal(image, gradient())


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(file_format: str, orientation: int) -> None:
    upright = PIL.Image.new("RGB", (32, 48), "white")
    upright.paste("red", (0, 0, 16, 16))  # a mark in the top left corner
    stored_as = {
        2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
        3: PIL.Image.Transpose.ROTATE_180,
        4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
        5: PIL.Image.Transpose.TRANSPOSE,
        6: PIL.Image.Transpose.ROTATE_90,
        7: PIL.Image.Transpose.TRANSVERSE,
        8: PIL.Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(stored_as[orientation]) if orientation > 1 else upright
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    image = read_rgb(encoded(stored, file_format, exif=exif))
    assert image.shape == (48, 32, 3)
    assert image[4, 4, 0] > 200
    assert image[4, 4, 1] < 60
    assert image[40, 24].min() > 200


def test_damaged_exif_leaves_the_pixels_usable() -> None:
    good = encoded(PIL.Image.fromarray(gradient()), "JPEG", exif=b"Exif\x00\x00MM\x00\x2a\xff\xff")
    assert read_rgb(good).shape == (6, 9, 3)


def test_transparency_is_laid_on_white() -> None:
    rgba = PIL.Image.new("RGBA", (2, 1), (255, 0, 0, 0))
    rgba.putpixel((1, 0), (0, 0, 255, 255))
    palette = PIL.Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putpixel((1, 0), 1)
    grey = PIL.Image.new("LA", (2, 1), (0, 0))
    assert read_rgb(encoded(rgba)).tolist() == [[[255, 255, 255], [0, 0, 255]]]
    assert read_rgb(encoded(palette, transparency=0)).tolist() == [[[255, 255, 255], [0, 0, 255]]]
    assert read_rgb(encoded(grey)).min() == 255


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK"])
def test_other_colour_modes_become_rgb(mode: str) -> None:
    picture = PIL.Image.new("RGB", (8, 4), "white").convert(mode)
    image = read_rgb(encoded(picture, "TIFF"))
    assert image.shape == (4, 8, 3)
    assert image.min() >= 250


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([0, 32896, 65535], np.uint16),
        ([0, 2056, 4095], np.uint16),  # a 12-bit camera
        ([0, 128, 255], np.uint16),
        ([0.0, 0.502, 1.0], np.float32),
        ([-2.0, 0.008, 2.0], np.float32),
        ([0, 100400, 200000], np.int32),
    ],
)
def test_deep_grey_keeps_its_whole_range(values: list[float], dtype: type) -> None:
    picture = PIL.Image.fromarray(np.array([values], dtype))
    image = read_rgb(encoded(picture, "TIFF"))
    assert image[0].tolist() == [[0] * 3, [128] * 3, [255] * 3]


def test_constant_and_not_a_number_deep_images_are_read() -> None:
    blank = PIL.Image.fromarray(np.zeros((2, 2), np.float32))
    holes = PIL.Image.fromarray(np.array([[np.nan, 1.0]], np.float32))
    assert read_rgb(encoded(blank, "TIFF")).max() == 0
    assert read_rgb(encoded(holes, "TIFF"))[0].tolist() == [[0] * 3, [255] * 3]


@pytest.mark.parametrize("file_format", ["GIF", "PNG", "WEBP"])
def test_animations_give_their_first_frame(file_format: str) -> None:
    frames = [PIL.Image.new("RGB", (4, 4), colour) for colour in ("red", "blue", "green")]
    data = encoded(frames[0], file_format, save_all=True, append_images=frames[1:])
    assert read_rgb(data)[0, 0].tolist()[0] > 240
    assert read_rgb(data)[0, 0].tolist()[2] < 20


@pytest.mark.parametrize(
    "content",
    [b"", b"no image at all", encoded(PIL.Image.effect_noise((64, 64), 50))[:900]],
    ids=["empty", "text", "cut off"],
)
def test_unusable_files_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(InvalidImage, match=r"broken\.png"):
        read_rgb(path)


def test_messages_begin_with_the_name() -> None:
    with pytest.raises(InvalidImage, match=r"^The image is empty"):
        read_rgb(b"")
    with pytest.raises(InvalidImage, match=r"^deer\.jpg is empty"):
        read_rgb(b"", name="deer.jpg")


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidImage, match=r"absent\.jpg does not exist"):
        read_rgb(tmp_path / "absent.jpg")
    with pytest.raises(InvalidImage, match="cannot be opened"):
        read_rgb(tmp_path)


def test_images_beyond_the_limit_are_refused_before_decoding() -> None:
    small = encoded(PIL.Image.new("1", (1, 1)))
    header = b"IHDR" + struct.pack(">II", 20_000, 20_000) + small[24:29]
    bomb = small[:12] + header + struct.pack(">I", zlib.crc32(header)) + small[33:]
    with pytest.raises(InvalidImage, match="too large"):
        read_rgb(bomb)
    with pytest.raises(InvalidImage, match="9x6"):
        read_rgb(encoded(PIL.Image.fromarray(gradient())), max_pixels=53)
    assert read_rgb(encoded(PIL.Image.fromarray(gradient())), max_pixels=54).shape == (6, 9, 3)


def test_find_images_in_natural_order_and_once(tmp_path: Path) -> None:
    for name in ("10.jpg", "2.JPG", "deep/er/3.png", ".hidden.png", "notes.txt", "mask.json"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    everything = ["2.JPG", "10.jpg", "deep/er/3.png"]
    for paths in ([tmp_path], [tmp_path, tmp_path / "10.jpg"], [tmp_path / "**/*"]):
        assert [p.relative_to(tmp_path).as_posix() for p in find_images(paths)] == everything
    assert [p.name for p in find_images([tmp_path / "*.jpg"])] == ["10.jpg"]


def test_find_images_takes_named_files_literally(tmp_path: Path) -> None:
    for name in ("photo [1].jpg", "scan.dat"):
        (tmp_path / name).touch()
    named = [tmp_path / "photo [1].jpg", tmp_path / "scan.dat"]
    assert find_images(named) == named


@pytest.mark.parametrize("name", ["absent.jpg", "*.png", "empty"])
def test_find_images_says_what_is_missing(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "there.jpg").touch()
    with pytest.raises(InvalidImage, match=name.replace("*", r"\*")):
        find_images([tmp_path / "there.jpg", tmp_path / name])
    with pytest.raises(InvalidImage):
        find_images([])


@pytest.mark.parametrize(
    ("original", "size", "resize", "input_hw", "padded_hw"),
    [
        ((181, 140), 160, "shortest", (206, 160), (224, 160)),  # rounds down, as the demo does
        ((480, 640), 448, "longest", (336, 448), (352, 448)),
        ((640, 480), 448, "longest", (448, 336), (448, 352)),
        ((1, 1000), 448, "longest", (1, 448), (32, 448)),
        ((100, 400), 640, "shortest", (640, 2560), (640, 2560)),
        ((10, 5000), 640, "shortest", (5, 2560), (32, 2560)),  # a strip stays affordable
        ((64, 64), 64, "longest", (64, 64), (64, 64)),
    ],
)
def test_fit(
    original: tuple[int, int],
    size: int,
    resize: str,
    input_hw: tuple[int, int],
    padded_hw: tuple[int, int],
) -> None:
    transform = ImageTransform.fit(original, size, resize=resize)  # type: ignore[arg-type]
    assert transform == ImageTransform(original, input_hw, padded_hw)


def test_apply_image_normalises_first_and_pads_with_zero() -> None:
    image = gradient(40, 50)
    transform = ImageTransform.fit((40, 50), 50)
    pixels = transform.apply_image(image)
    assert pixels.shape == (3, 64, 64)
    assert pixels.dtype == np.float32
    expected = ((image - PIXEL_MEAN) / PIXEL_STD).transpose(2, 0, 1)
    np.testing.assert_allclose(pixels[:, :40, :50], expected, atol=1e-6)
    assert not pixels[:, 40:].any()
    assert not pixels[:, :, 50:].any()


def test_wrong_sizes_are_refused() -> None:
    transform = ImageTransform.fit((40, 50), 50)
    with pytest.raises(InvalidImage, match=r"\(40, 50\).*\(50, 40"):
        transform.apply_image(gradient(50, 40))
    with pytest.raises(InvalidImage):
        transform.apply_mask(np.zeros((50, 40), np.bool_))
    with pytest.raises(InvalidImage):
        ImageTransform.fit((0, 50), 50)


@pytest.mark.parametrize("seed", range(20))
def test_no_marked_pixel_vanishes_and_its_place_is_kept(seed: int) -> None:
    generator = np.random.default_rng(seed)
    height, width = (int(side) for side in generator.integers(1, 700, 2))
    transform = ImageTransform.fit((height, width), int(generator.integers(8, 500)))
    y, x = int(generator.integers(height)), int(generator.integers(width))
    mask = np.zeros((height, width), np.bool_)
    mask[y, x] = True
    rows, columns = np.nonzero(transform.apply_mask(mask))
    assert rows.size
    scale_y, scale_x = transform.input_hw[0] / height, transform.input_hw[1] / width
    assert rows.min() - 1 < (y + 0.5) * scale_y < rows.max() + 2
    assert columns.min() - 1 < (x + 0.5) * scale_x < columns.max() + 2
    assert rows.max() < transform.input_hw[0]
    assert columns.max() < transform.input_hw[1]


def test_shrinking_a_mask_is_any_coverage_and_same_size_is_identity() -> None:
    mask = np.random.default_rng(0).random((96, 64)) < 0.01
    halved = ImageTransform.fit((96, 64), 48).apply_mask(mask)
    np.testing.assert_array_equal(halved[:48, :32], mask.reshape(48, 2, 32, 2).any(axis=(1, 3)))
    same = ImageTransform.fit((96, 64), 96).apply_mask(mask)
    np.testing.assert_array_equal(same, mask)


def test_a_scribble_stays_connected_when_it_shrinks() -> None:
    cv2 = pytest.importorskip("cv2")
    mask = np.zeros((3000, 4000), np.uint8)
    cv2.line(mask, (100, 2900), (3900, 200), 1, 1)
    shrunk = ImageTransform.fit((3000, 4000), 448).apply_mask(mask.astype(np.bool_))
    parts, _ = cv2.connectedComponents(shrunk.astype(np.uint8))
    assert parts == 2  # background and one line


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_files_without_permission_are_named(tmp_path: Path) -> None:
    path = tmp_path / "locked.png"
    path.write_bytes(encoded(PIL.Image.fromarray(gradient())))
    path.chmod(0)
    with pytest.raises(InvalidImage, match=r"locked\.png cannot be opened"):
        read_rgb(path)
