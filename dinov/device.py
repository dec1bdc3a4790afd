"""The only place that knows device names and what each device can do."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from dinov.errors import DeviceUnavailable
from dinov.options import PRECISIONS, Device

DEVICE_HELP = "auto (the best there is), cpu, cuda, cuda:N or mps"
"""For the help of a command's ``--device`` option."""


def resolve_device(name: str = "auto") -> torch.device:
    """Turn a device name into a device that exists here.

    Args:
        name: see ``DEVICE_HELP``.

    Raises:
        DeviceUnavailable: if the device is unknown or missing on this machine.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as e:
        raise DeviceUnavailable(
            f"Unknown device '{name}'. Use auto, cpu, cuda, cuda:N or mps."
        ) from e
    if not _is_available(device):
        raise DeviceUnavailable(
            f"Device '{name}' is not available on this machine. Use --device auto or cpu."
        )
    return device


def resolve_precision(name: str) -> torch.dtype:
    """Turn the name of a precision into a type.

    Raises:
        DeviceUnavailable: if it is none of ``options.PRECISIONS``.
    """
    if name not in PRECISIONS:
        raise DeviceUnavailable(f"Unknown precision '{name}'. Use {', '.join(PRECISIONS)}.")
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def list_devices() -> list[Device]:
    """List what a model can run on, the CPU first; of GPUs that are not here one line each."""
    devices = [Device("cpu", "CPU", True)]
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    devices += [Device(f"cuda:{i}", torch.cuda.get_device_name(i), True) for i in range(count)]
    if not count:
        devices.append(Device("cuda", "NVIDIA GPU", False))
    return [*devices, Device("mps", "Apple GPU", torch.backends.mps.is_available())]


def _is_available(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count()
    if device.type == "mps":
        return torch.backends.mps.is_available()
    return device.type == "cpu"


def device_of_process(device: torch.device, local_rank: int) -> torch.device:
    """The device of one of several processes on a machine: each its own GPU, or all the CPU."""
    return torch.device(device.type, local_rank) if device.type == "cuda" else device


def collective_backend(device: torch.device) -> str:
    """What processes that compute on such devices talk through."""
    return "nccl" if device.type == "cuda" else "gloo"


def describe_device(device: torch.device) -> str:
    """A name for people: the GPU's product name, or "CPU"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return {"cpu": "CPU", "mps": "Apple GPU"}.get(device.type, str(device))


def default_batch_size(device: torch.device) -> int:
    """How many images are computed together: a few where operations wait for Python, else one."""
    return 4 if device.type == "cuda" else 1


def lower_weights(model: nn.Module, dtype: torch.dtype) -> None:
    """Keep the weights of linear layers and convolutions in ``dtype``, for use under ``autocast``.

    They would be converted at every use otherwise; norms and learned queries stay as they are.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            for parameter in module.parameters(recurse=False):
                parameter.data = parameter.data.to(dtype)


def synchronise(device: torch.device) -> None:
    """Wait until everything that was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def device_peak_bytes(device: torch.device) -> int | None:
    """Most memory that tensors held on a GPU of its own memory so far; None elsewhere."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Mixed precision on ``device`` in ``dtype``; does nothing for float32."""
    if dtype is torch.float32:
        return nullcontext()
    return torch.autocast(device.type, dtype=dtype)
