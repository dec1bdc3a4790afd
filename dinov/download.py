"""Which checkpoints there are, where they lie and how they get there. Needs no torch."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import platformdirs
from safetensors import SafetensorError, safe_open

from dinov.config import VARIANTS
from dinov.errors import CheckpointMissing, DownloadFailed

Progress = Callable[[int, int | None], None]
"""Told the bytes there are and the bytes there will be (None if the server does not say)."""

_CHUNK_BYTES = 1 << 20
_TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class CheckpointEntry:
    """A checkpoint known by name. The one without ``url`` ships with the project.

    ``about`` says in a few words what it is for, ``nbytes`` how large its weights are; what is
    downloaded may be larger.
    """

    file_name: str
    variant: str
    url: str | None = None
    sha256: str | None = None
    about: str = ""
    nbytes: int = 0


_RELEASE = "https://github.com/UX-Decoder/DINOv/releases/download/checkpoint/"

# The authors publish no digests; `download` therefore checks the length, and loading every tensor.
CHECKPOINTS: dict[str, CheckpointEntry] = {
    "lite": CheckpointEntry(
        "lite.safetensors",
        "lite",
        about="quick, for a first look and for machines without a GPU",
        nbytes=10_890_466,
    ),
    "swin-t": CheckpointEntry(
        "model_swinT.pth",
        "swin-t",
        _RELEASE + "model_swinT.pth",
        about="published quality, on a GPU or with patience",
        nbytes=226_141_388,
    ),
    "swin-l": CheckpointEntry(
        "model_swinL.pth",
        "swin-l",
        _RELEASE + "model_swinL.pth",
        about="the best quality, on a GPU",
        nbytes=910_338_436,
    ),
}


def default_directory() -> Path:
    """The folder of the checkpoints: in the checkout, else in the user's data directory."""
    checkout = Path(__file__).resolve().parents[1] / "checkpoints"
    if checkout.is_dir():
        return checkout
    return platformdirs.user_data_path("dinov-studio") / "checkpoints"


def find(name_or_path: str | Path, *, directory: Path | None = None) -> Path:
    """Return the file of a checkpoint given by its name in ``CHECKPOINTS`` or by its path.

    Raises:
        CheckpointMissing: if it is not on this machine; the message says how to get it.
    """
    entry = CHECKPOINTS.get(str(name_or_path))
    if entry is None:
        path = Path(name_or_path)
        if path.is_file():
            return path
        raise CheckpointMissing(
            f"There is no checkpoint file {path}. Give the path of a .safetensors or .pth file, or "
            f"one of: {', '.join(CHECKPOINTS)}."
        )
    directory = directory or default_directory()
    path = directory / entry.file_name
    if path.is_file():
        return path
    remedy = (
        f"Run: python -m dinov download {name_or_path}"
        if entry.url
        else f"It belongs to the project: restore {entry.file_name} from the repository"
    )
    raise CheckpointMissing(f"Checkpoint '{name_or_path}' is not in {directory}. {remedy}")


@functools.cache
def known_score_threshold(name_or_path: str) -> float | None:
    """Return the score threshold that suits a checkpoint without reading its weights.

    It is what the metadata of the file say, else that of the variant in ``CHECKPOINTS``; None for
    other files, whose variant only their tensors tell.
    """
    entry = CHECKPOINTS.get(name_or_path)
    stated = None
    with contextlib.suppress(CheckpointMissing, OSError, SafetensorError):
        path = find(name_or_path)
        if path.suffix == ".safetensors":
            with safe_open(path, framework="numpy") as file:
                stated = (file.metadata() or {}).get("score_threshold")
    if stated is not None:
        return float(stated)
    return VARIANTS[entry.variant].score_threshold if entry else None


def present_bytes(name: str, *, directory: Path | None = None) -> tuple[int, bool]:
    """Return how much of a checkpoint of ``CHECKPOINTS`` is on this machine, and whether all is."""
    path = (directory or default_directory()) / CHECKPOINTS[name].file_name
    for file, is_whole in ((path, True), (path.with_name(path.name + ".part"), False)):
        if file.is_file():
            return file.stat().st_size, is_whole
    return 0, False


def download(name: str, *, directory: Path | None = None, progress: Progress | None = None) -> Path:
    """Fetch a checkpoint of ``CHECKPOINTS``, going on where an earlier try stopped.

    Bytes go to a ``.part`` file, which takes the final name only when it is complete.

    Returns:
        The path of the file; at once if it is there already.

    Raises:
        CheckpointMissing: if no such checkpoint can be downloaded.
        DownloadFailed: if the network, the disk, the length or the digest said no.
    """
    entry = CHECKPOINTS.get(name)
    if entry is None:
        raise CheckpointMissing(f"Unknown checkpoint '{name}'. Known: {', '.join(CHECKPOINTS)}.")
    directory = directory or default_directory()
    path = directory / entry.file_name
    if path.is_file():
        return path
    if entry.url is None:
        return find(name, directory=directory)
    part = path.with_name(path.name + ".part")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _fetch(entry.url, part, progress)
        _check_digest(part, entry)
        return part.replace(path)
    except urllib.error.HTTPError as error:
        raise DownloadFailed(
            f"The server answered {error.code} {error.reason} for {entry.url}."
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise DownloadFailed(
            f"Downloading {entry.url} stopped: {error}. "
            f"Run it again, it goes on where it stopped: python -m dinov download {name}"
        ) from error


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(url: str, part: Path, progress: Progress | None) -> None:
    """Complete ``part``; it keeps what has come when an error is raised."""
    present = part.stat().st_size if part.is_file() else 0
    headers = {"User-Agent": "dinov-studio"} | ({"Range": f"bytes={present}-"} if present else {})
    request = urllib.request.Request(url, headers=headers)
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not present:
            raise
        # Nothing is left to send: the part is whole, or it belongs to another file.
        if error.headers.get("Content-Range") != f"bytes */{present}":
            part.unlink()
            _fetch(url, part, progress)
        return
    with response:
        continues = re.match(rf"bytes {present}-", response.headers.get("Content-Range", ""))
        if not (response.status == http.HTTPStatus.PARTIAL_CONTENT and continues):
            present = 0
        length = response.headers.get("Content-Length")
        total = present + int(length) if length else None
        with part.open("ab" if present else "wb") as file:
            while chunk := response.read(_CHUNK_BYTES):
                file.write(chunk)
                present += len(chunk)
                if progress:
                    progress(present, total)
    if total is not None and present != total:
        raise OSError(f"{present} of {total} bytes came")


def _check_digest(part: Path, entry: CheckpointEntry) -> None:
    if entry.sha256 and (found := sha256_of(part)) != entry.sha256:
        part.unlink()
        raise DownloadFailed(
            f"{entry.url} is not the file it should be: its SHA-256 is {found}, expected "
            f"{entry.sha256}. The download was removed; try again later."
        )
