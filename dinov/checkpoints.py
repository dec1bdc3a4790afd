"""Weights in and out: the architecture is read from the file, and every tensor must fit."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from dinov import upstream
from dinov.config import VARIANTS, recognise_variant
from dinov.download import find, sha256_of
from dinov.errors import CheckpointCorrupt, CheckpointMismatch
from dinov.files import written_whole
from dinov.model.build import build_model
from dinov.model.dinov import DINOv

_PREFIX = "model."
SOURCE_SHA256 = "source_sha256"
"""In the metadata of a converted file: the hash of what it was made from."""

_SHOWN_NAMES = 4


@dataclass(frozen=True)
class LoadedCheckpoint:
    """A model in evaluation mode on the CPU, and where it came from.

    ``sha256`` is that of the file; of a converted file, that of the file it was made from: the
    weights are the same, and so is everything computed with them.
    """

    model: DINOv
    variant: str
    sha256: str
    metadata: dict[str, str]
    path: Path


def load_model(name_or_path: str | Path) -> LoadedCheckpoint:
    """Build the model whose weights a file holds, and load all of them.

    The weights stay in the file until they are used: nothing is read twice or kept twice.

    Args:
        name_or_path: a name of ``CHECKPOINTS``, or a .safetensors file of ours, or a .pth file
            in our names or the official ones.

    Raises:
        CheckpointMissing: if the file is not on this machine.
        CheckpointCorrupt: if it is damaged or holds no usable weights.
        CheckpointMismatch: if a tensor is missing, left over or of another shape.
    """
    path = find(name_or_path)
    state_dict, metadata = _read(path)
    if upstream.is_official(state_dict):
        state_dict = upstream.from_official(state_dict)
    variant = recognise_variant({name: tuple(value.shape) for name, value in state_dict.items()})
    has_head = any(name.startswith("concept_head.") for name in state_dict)
    with torch.device("meta"):
        model = build_model(VARIANTS[variant], with_concept_head=has_head)
    expected = model.state_dict()
    _check_fit(path, variant, expected, state_dict)
    weights = {name: value.to(expected[name].dtype) for name, value in state_dict.items()}
    model.load_state_dict(weights, assign=True)
    sha256 = metadata.get(SOURCE_SHA256) or sha256_of(path)
    return LoadedCheckpoint(model.eval(), variant, sha256, metadata, path)


def convert(name_or_path: str | Path, output: Path) -> Path:
    """Write a checkpoint as safetensors: our names, nothing beside the weights, no digit lost.

    The new file takes less room than a training checkpoint, runs no code when it is read, and what
    was computed with the old one (a prompt bank, say) goes with it, too.

    Raises:
        CheckpointError: as ``load_model``.
        CheckpointMismatch: if ``output`` is no .safetensors file.
    """
    if output.suffix != ".safetensors":
        raise CheckpointMismatch(f"{output} must end with .safetensors. Give such a name.")
    loaded = load_model(name_or_path)
    metadata = {**loaded.metadata, SOURCE_SHA256: loaded.sha256}
    return save_model(loaded.model, output, metadata, dtype=torch.float32)


def save_model(
    model: DINOv,
    path: Path,
    metadata: Mapping[str, str],
    dtype: torch.dtype = torch.float16,
) -> Path:
    """Write a model as safetensors: parameters in ``dtype``, buffers as they are.

    The path holds either the old file or the whole new one.

    Raises:
        ValueError: if a value is not finite, or not representable in ``dtype``.
    """
    parameters = {name for name, _ in model.named_parameters()}
    tensors = {}
    for name, value in model.state_dict().items():
        stored = value.detach().to("cpu", dtype if name in parameters else value.dtype)
        if not stored.isfinite().all():
            raise ValueError(f"'{name}' has values that are not finite in {dtype}.")
        tensors[name] = stored.contiguous()
    with written_whole(path) as partial:
        save_file(tensors, partial, metadata={"format": "pt", **metadata})
    return path


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors and the metadata of a file without running code from it."""
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
        content = _read_pth(path)
    except Exception as error:  # the readers raise anything at all on foreign or damaged files
        # Of torch's long advice on unsafe loading, only what it found is of use.
        text = str(error).rpartition("WeightsUnpickler error:")[2].strip()
        reason = (text.splitlines() or [type(error).__name__])[0]
        raise CheckpointCorrupt(
            f"{path} is damaged, or not a checkpoint of weights only ({reason}). "
            "Delete it and download it again: python -m dinov download swin-t|swin-l"
        ) from error
    return _weights_of(path, content), {}


class _Inert:
    """Stands for an object of a foreign class in a training checkpoint, and ignores its content."""

    def __new__(cls, *_: object) -> _Inert:
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        pass


def _read_pth(path: Path) -> Any:
    """Load a file of torch without running code from it.

    Trainers store schedulers and counters of their own classes beside the weights. Such objects
    are replaced by inert ones, so that they neither run nor keep the weights from being read.
    """
    foreign: list[str] = []
    mapped = zipfile.is_zipfile(path)  # older files are one stream, which cannot be mapped
    if mapped:
        foreign = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    with torch.serialization.safe_globals([(_Inert, name) for name in foreign]):
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)


def _weights_of(path: Path, content: Any) -> dict[str, Tensor]:
    """Pick the state dict out of a training checkpoint or a flat file, without the prefix.

    Whatever stands beside "model" (optimizer, scheduler, counters) is left, except for a second
    set of weights: which of the two is meant cannot be known.
    """
    weights = content
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        weights = content["model"]
        for name, value in content.items():
            if name != "model" and (isinstance(value, Tensor) or _is_state_dict(value)):
                raise CheckpointMismatch(
                    f"{path} holds weights under 'model' and under '{name}'. "
                    "Save the wanted ones in a file of their own."
                )
    if not _is_state_dict(weights):
        raise CheckpointCorrupt(
            f"{path} holds no weights: expected tensors by name, under 'model' or directly."
        )
    return {name.removeprefix(_PREFIX): value for name, value in weights.items()}


def _is_state_dict(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(key, str) and isinstance(item, Tensor) for key, item in value.items())
    )


def _check_fit(
    path: Path, variant: str, expected: Mapping[str, Tensor], found: Mapping[str, Tensor]
) -> None:
    missing = [name for name in expected if name not in found]
    unexpected = [name for name in found if name not in expected]
    reshaped = [
        f"{name} (expected {list(expected[name].shape)}, got {list(found[name].shape)})"
        for name in expected
        if name in found and expected[name].shape != found[name].shape
    ]
    problems = [
        _listed(what, names)
        for what, names in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("of another shape", reshaped),
        )
        if names
    ]
    if problems:
        raise CheckpointMismatch(
            f"{path} looks like '{variant}' but does not fit it: {'; '.join(problems)}. "
            "Use a checkpoint that was saved whole: python -m dinov download swin-t|swin-l"
        )
    damaged = [name for name, value in found.items() if not value.isfinite().all()]
    if damaged:
        raise CheckpointCorrupt(f"{path} holds {_listed('not finite', damaged)}.")


def _listed(what: str, names: Sequence[str]) -> str:
    rest = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    return f"{len(names)} tensors {what}: {', '.join(names[:_SHOWN_NAMES])}{rest}"
