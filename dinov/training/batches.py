"""Batches made ahead of the training by other threads or processes."""

from __future__ import annotations

import io
import multiprocessing
import pickle
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import cv2
import torch
from torch import Tensor

from dinov.training.episodes import Batch, EpisodeSampler

_AHEAD = 2
"""Batches per worker that wait to be used."""


@contextmanager
def made_ahead(
    sampler: EpisodeSampler, first_step: int, parts: int, workers: int
) -> Iterator[Iterator[list[Batch]]]:
    """The batches of every step from ``first_step`` on, ``parts`` of each.

    One worker is a thread, several are processes. The batches do not depend on their number.
    """

    def steps(pool: Executor) -> Iterator[list[Batch]]:
        ahead: deque[Future[Packed | Batch]] = deque()
        made = 0
        while True:
            while len(ahead) < max(parts, workers * _AHEAD):
                step, part = divmod(made, parts)
                ahead.append(_submit(pool, sampler, first_step + step, part))
                made += 1
            yield [_unpacked(ahead.popleft().result()) for _ in range(parts)]

    with _pool(sampler, workers) as pool:
        try:
            yield steps(pool)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _pool(sampler: EpisodeSampler, workers: int) -> Executor:
    if workers == 1:
        return ThreadPoolExecutor(max_workers=1)
    # Never a copy of this process: one that computes with threads may hang.
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload([__name__])  # imported once, for all workers
    return ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(sampler,))


def _submit(
    pool: Executor, sampler: EpisodeSampler, step: int, part: int
) -> Future[Packed | Batch]:
    if isinstance(pool, ThreadPoolExecutor):
        return pool.submit(sampler.batch, step, part)
    return pool.submit(_batch, step, part)


# The annotations are sent to a worker process once, not with every batch.
_SAMPLERS: list[EpisodeSampler] = []


def _begin(sampler: EpisodeSampler) -> None:
    cv2.setNumThreads(1)
    _SAMPLERS.append(sampler)


def _batch(step: int, part: int) -> Packed:
    return Packed.of(_SAMPLERS[0].batch(step, part))


def _unpacked(batch: Packed | Batch) -> Batch:
    return batch.value() if isinstance(batch, Packed) else batch


@dataclass(frozen=True)
class Packed:
    """A value whose tensors lie in one, to be sent to another process.

    Each tensor that is sent keeps a file open until it is let go, and a batch has hundreds: a few
    batches that wait would be more than a process may open.

    Attributes:
        rest: the value pickled, with numbers for its tensors.
        memory: [N] uint8, all tensors one after the other.
        places: of each tensor its type, its shape and the byte where it begins.
    """

    rest: bytes
    memory: Tensor
    places: tuple[tuple[torch.dtype, torch.Size, int], ...]

    @classmethod
    def of(cls, value: Any) -> Packed:
        """Pack any value that can be pickled; its tensors are on the CPU."""
        rest = io.BytesIO()
        pickler = _TensorPickler(rest, pickle.HIGHEST_PROTOCOL)
        pickler.dump(value)
        flat = [tensor.flatten().view(torch.uint8) for tensor in pickler.tensors]
        starts = [0, *accumulate(-(-len(part) // _ALIGNMENT) * _ALIGNMENT for part in flat)]
        memory = torch.zeros(starts[-1], dtype=torch.uint8)
        for start, part in zip(starts, flat, strict=False):
            memory[start : start + len(part)] = part
        places = (
            (t.dtype, t.shape, start) for t, start in zip(pickler.tensors, starts, strict=False)
        )
        return cls(rest.getvalue(), memory, tuple(places))

    def value(self) -> Any:
        """The value; its tensors are views of the memory."""
        unpickler = _TensorUnpickler(io.BytesIO(self.rest))
        unpickler.tensors = [
            self.memory[start : start + shape.numel() * dtype.itemsize].view(dtype).view(shape)
            for dtype, shape, start in self.places
        ]
        return unpickler.load()


_ALIGNMENT = 8
"""Bytes; every tensor begins at a multiple, so that a view of any type can be taken there."""


class _TensorPickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, protocol: int) -> None:
        super().__init__(file, protocol)
        self.tensors: list[Tensor] = []

    def persistent_id(self, obj: Any) -> int | None:
        if not isinstance(obj, Tensor):
            return None
        self.tensors.append(obj)
        return len(self.tensors) - 1


class _TensorUnpickler(pickle.Unpickler):
    tensors: list[Tensor]

    def persistent_load(self, pid: int) -> Tensor:
        return self.tensors[pid]
