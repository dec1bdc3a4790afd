"""Several processes train one model: each sees its own images, all keep the same weights."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from dinov.device import collective_backend, device_of_process

_BUCKET = 2**24
"""Numbers that are averaged in one go."""
# The others wait while the first one validates.
_PATIENCE = timedelta(hours=2)


@dataclass(frozen=True)
class Processes:
    """This process among all. Alone, every method gives back what it is given."""

    rank: int = 0
    count: int = 1
    device: torch.device = field(default_factory=partial(torch.device, "cpu"))

    @property
    def is_first(self) -> bool:
        """The one that validates, logs and writes files."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum over all processes; gradients go back to all."""
        if self.count == 1 or tensor.numel() == 0:
            return tensor
        total: Tensor = _Sum.apply(tensor.float())
        return total.to(tensor.dtype)

    def mean(self, value: float) -> float:
        """Mean over all processes."""
        if self.count == 1:
            return value
        total = torch.tensor(value, dtype=torch.float32, device=self.device)
        dist.all_reduce(total)
        return float(total) / self.count

    def from_first(self, value: float) -> float:
        """The first process's value."""
        if self.count == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float32, device=self.device)
        dist.broadcast(shared, src=0)
        return float(shared)

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, by rank."""
        gathered = [value] * self.count
        if self.count > 1:
            dist.all_gather_object(gathered, value)
        return gathered

    def copy_from_first(self, model: nn.Module) -> None:
        """Give all processes the first one's weights and buffers."""
        if self.count > 1:
            for tensor in model.state_dict().values():
                dist.broadcast(tensor, src=0)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its mean; what no process has used stays without one."""
        if self.count == 1:
            return
        every = list(parameters)
        used = torch.tensor([float(p.grad is not None) for p in every], device=self.device)
        dist.all_reduce(used)
        shared = [p for p, by in zip(every, used.tolist(), strict=True) if by]
        for bucket in _buckets(shared):
            gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in bucket]
            flat = torch.cat([gradient.flatten() for gradient in gradients])
            dist.all_reduce(flat)
            means = (flat / self.count).split([p.numel() for p in bucket])
            for parameter, mean in zip(bucket, means, strict=True):
                parameter.grad = mean.view_as(parameter).clone()


class _Sum(torch.autograd.Function):
    """The sum over all processes; every one of them has a share in each one's loss."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:  # noqa: ARG004
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ARG004
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


ALONE = Processes()


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """Join the processes that ``torchrun`` has started; without it, this one is alone."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes(device=device)
        return
    own = device_of_process(device, int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group(collective_backend(own), timeout=_PATIENCE)
    try:
        yield Processes(dist.get_rank(), dist.get_world_size(), own)
    finally:
        dist.destroy_process_group()


def _buckets(parameters: Iterable[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    bucket: list[nn.Parameter] = []
    for parameter in parameters:
        bucket.append(parameter)
        if sum(p.numel() for p in bucket) >= _BUCKET:
            yield bucket
            bucket = []
    if bucket:
        yield bucket
