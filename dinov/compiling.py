"""``torch.compile`` as an opt-in: made once for all layers of a kind, for images of any size."""

from __future__ import annotations

import torch
from torch import nn

from dinov.device import describe_device
from dinov.errors import DeviceUnavailable
from dinov.model.decoder import DecoderLayer
from dinov.model.pixel_decoder import DeformableEncoderLayer
from dinov.model.swin import SwinBlock

_REPEATED = (DeformableEncoderLayer, DecoderLayer, SwinBlock)

_MAX_VERSIONS = 64
"""Of one kind of layer: stages differ in width and shift, queries in whom they see."""


def compile_layers(model: nn.Module, device: torch.device, *, backend: str = "inductor") -> None:
    """Have the transformer layers of a model compiled, in place, when they are used first.

    Weights and their names stay as they are. Convolutional and DINOv2 backbones are not compiled.

    Args:
        model: on the device, in the precision that it is to have.
        device: where it runs.
        backend: of ``torch.compile``.

    Raises:
        DeviceUnavailable: if nothing can be compiled for the device on this machine.
    """
    _require_compiler(device, backend)
    limit = torch._dynamo.config.recompile_limit
    torch._dynamo.config.recompile_limit = max(limit, _MAX_VERSIONS)
    for module in model.modules():
        if isinstance(module, _REPEATED):
            module.compile(dynamic=True, backend=backend)


def _require_compiler(device: torch.device, backend: str) -> None:
    """Compile next to nothing: what is missing differs from device to device."""
    try:
        torch.compile(torch.sin, backend=backend)(torch.zeros(2, device=device))
    except RuntimeError as error:
        reason = (str(error).splitlines() or ["unknown"])[0]
        raise DeviceUnavailable(
            f"Nothing can be compiled for {describe_device(device)} on this machine ({reason}). "
            "Install a C++ compiler and Python's headers (Debian, Ubuntu: apt install g++ "
            "python3-dev; macOS: xcode-select --install), or go without: results are the same."
        ) from error
