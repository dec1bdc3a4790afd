"""The weights that a DINOv2 backbone starts from. Users bring the file: it is not ours to ship."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from dinov.errors import CheckpointCorrupt, CheckpointMismatch, CheckpointMissing
from dinov.model.dinov2 import Dinov2Backbone


def load_dinov2(backbone: Dinov2Backbone, path: Path) -> None:
    """Initialise a backbone from a published .pth file, or from timm's .safetensors.

    Raises:
        CheckpointMissing: if there is no such file.
        CheckpointCorrupt: if it holds no weights.
        CheckpointMismatch: if they are those of another model.
    """
    if not path.is_file():
        raise CheckpointMissing(f"There is no file {path}. Check the path that --backbone names.")
    try:
        if path.suffix == ".safetensors":
            weights = load_file(path)
        else:
            weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the readers raise anything at all on foreign or damaged files
        raise CheckpointCorrupt(
            f"{path} is damaged, or not a file of weights ({type(error).__name__}). Get it again."
        ) from error
    try:
        backbone.load_pretrained(weights)
    except (RuntimeError, AttributeError, TypeError) as error:
        raise CheckpointMismatch(
            f"{path} does not fit the backbone: {error}. Use the DINOv2 weights of the same size, "
            "without registers."
        ) from error
