"""Uploads on disk: upright copies of images that browsers can show, thumbnails; prompt banks.

<root>/<project id>/images/<sha256 of the upload>.<jpg|png|webp>
<root>/<project id>/thumbnails/<sha256 of the upload>.jpg
<root>/<project id>/banks/<sha256>.safetensors
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import tempfile
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

import PIL.Image

from app.concepts import Concept
from app.project import NotFound, ProjectImage
from dinov.images import read_rgb

THUMBNAIL_LONGEST_SIDE = 256

# What browsers show exactly as `read_rgb` reads it: upright, 8 bit, without transparency.
_KEPT_AS_THEY_ARE = {
    ("JPEG", "RGB"): ".jpg",
    ("JPEG", "L"): ".jpg",
    ("PNG", "RGB"): ".png",
    ("PNG", "L"): ".png",
    ("WEBP", "RGB"): ".webp",
}
_EXIF_ORIENTATION = 0x0112
_LONGEST_NAME = 120


@dataclass(frozen=True)
class StoredFile:
    """An image as it was stored. The size is that of the upright pixels."""

    file_name: str
    suffix: str
    sha256: str
    width: int
    height: int


class ImageFiles:
    """The image folder of the application. Files appear whole or not at all."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def add(self, project_id: str, file_name: str, content: bytes) -> StoredFile:
        """Check an uploaded image and store an upright copy of it.

        An ordinary upright JPEG, PNG or WebP keeps its bytes. A rotated or unusual JPEG is encoded
        again as JPEG, anything else without loss as PNG.

        Raises:
            InvalidImage: if it cannot be read; the message starts with the file's name.
        """
        name = display_name(file_name)
        pixels = read_rgb(content, name=name)
        suffix, is_lossy = _format_of(content)
        if not suffix:
            suffix = ".jpg" if is_lossy else ".png"
            content_kept = _encode(PIL.Image.fromarray(pixels), suffix)
        else:
            content_kept = content
        digest = hashlib.sha256(content).hexdigest()
        _write(self._path(project_id, "images", digest, suffix), content_kept)
        height, width = pixels.shape[:2]
        return StoredFile(name, suffix, digest, width, height)

    def path(self, image: ProjectImage) -> Path:
        """Return the upright copy.

        Raises:
            NotFound: if the file was taken away from the data folder.
        """
        path = self._path(image.project_id, "images", image.sha256, image.suffix)
        if not path.is_file():
            raise NotFound(
                f"The file of {image.file_name} is gone from the data folder. "
                "Remove the image from the project and add it again."
            )
        return path

    def thumbnail_path(self, image: ProjectImage) -> Path:
        """Return a small JPEG of the image, made when it is first asked for."""
        path = self._path(image.project_id, "thumbnails", image.sha256, ".jpg")
        if not path.is_file():
            with PIL.Image.open(self.path(image)) as picture:
                # JPEG decodes straight to a reduced size, many times faster than in full.
                picture.draft("RGB", (2 * THUMBNAIL_LONGEST_SIDE, 2 * THUMBNAIL_LONGEST_SIDE))
                picture.thumbnail((THUMBNAIL_LONGEST_SIDE, THUMBNAIL_LONGEST_SIDE))
                _write(path, _encode(picture.convert("RGB"), ".jpg", quality=85))
        return path

    def add_bank(self, project_id: str, content: bytes) -> str:
        """Keep a prompt bank with a project, and return its sha256."""
        digest = hashlib.sha256(content).hexdigest()
        _write(self._path(project_id, "banks", digest, ".safetensors"), content)
        return digest

    def bank_path(self, project_id: str, concept: Concept) -> Path:
        """Return the file of a concept.

        Raises:
            NotFound: if the file was taken away from the data folder.
        """
        path = self._path(project_id, "banks", concept.file_sha256, ".safetensors")
        if not path.is_file():
            raise NotFound(
                f"{concept.file_name} is gone from the data folder. Load it into the project again."
            )
        return path

    def remove_bank(self, project_id: str, sha256: str) -> None:
        """Remove the file of concepts."""
        self._path(project_id, "banks", sha256, ".safetensors").unlink(missing_ok=True)

    def remove(self, image: ProjectImage) -> None:
        """Remove the files of an image."""
        self._path(image.project_id, "images", image.sha256, image.suffix).unlink(missing_ok=True)
        self._path(image.project_id, "thumbnails", image.sha256, ".jpg").unlink(missing_ok=True)

    def folder(self, project_id: str) -> Path:
        """Return the folder of a project; it may not be there yet."""
        return self._root / project_id

    def copy_project(self, project_id: str, copy_id: str, copied: Callable[[], None]) -> None:
        """Give another project the files of this one, in no more room where links are possible.

        Files are never written again under the same name, so that two names of one file are safe.

        Args:
            project_id: the project.
            copy_id: the other one; what it has already is left as it is.
            copied: called after every file.
        """
        for kind in ("images", "thumbnails", "banks"):
            target = self._root / copy_id / kind
            target.mkdir(parents=True, exist_ok=True)
            for path in sorted((self._root / project_id / kind).glob("*")):
                if path.suffix != ".part" and not (target / path.name).exists():
                    link_or_copy(path, target / path.name)
                copied()

    def bytes_used(self, project_id: str) -> int:
        """Measure the files of a project; one that it shares with a copy counts for both."""
        return sum(
            path.stat().st_size for path in self.folder(project_id).rglob("*") if path.is_file()
        )

    def remove_project(self, project_id: str) -> None:
        """Remove all files of a project."""
        shutil.rmtree(self._root / project_id, ignore_errors=True)

    def _path(self, project_id: str, kind: str, digest: str, suffix: str) -> Path:
        return self._root / project_id / kind / f"{digest}{suffix}"


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the file system knows no links."""
    try:
        target.hardlink_to(source)
    except OSError:
        temporary = target.with_name(f"{target.name}.part")
        shutil.copyfile(source, temporary)
        temporary.replace(target)


def display_name(file_name: str) -> str:
    """Reduce what a browser or script sent as file name to a harmless last part.

    Letters of all scripts stay; folders, control characters and characters that no file system or
    markup likes go.
    """
    last = PureWindowsPath(PurePosixPath(file_name).name).name
    text = unicodedata.normalize("NFC", last)
    text = "".join(char for char in text if unicodedata.category(char)[0] != "C")
    text = re.sub(r'[<>:"/\\|?*]', "_", text).strip(" .")
    stem, dot, suffix = text.rpartition(".")
    if not dot:
        return text[:_LONGEST_NAME] or "image"
    return f"{stem[:_LONGEST_NAME] or 'image'}.{suffix[:12]}"


def _format_of(content: bytes) -> tuple[str, bool]:
    """Return the suffix if the bytes can be kept as they are, else ""; and whether it is a JPEG."""
    with PIL.Image.open(io.BytesIO(content)) as picture:
        is_upright = picture.getexif().get(_EXIF_ORIENTATION, 1) in (0, 1)
        is_still = getattr(picture, "n_frames", 1) == 1
        # An MPO is a JPEG with further pictures behind the first; phones write them.
        is_lossy = picture.format in ("JPEG", "MPO")
        suffix = _KEPT_AS_THEY_ARE.get((picture.format or "", picture.mode), "")
        is_plain = is_upright and is_still and not picture.has_transparency_data
        return (suffix if is_plain else ""), is_lossy


def _encode(picture: PIL.Image.Image, suffix: str, *, quality: int = 95) -> bytes:
    buffer = io.BytesIO()
    if suffix == ".jpg":
        picture.save(buffer, "JPEG", quality=quality, subsampling=0)
    else:
        picture.save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
