"""Batches made ahead of the training by other threads or processes."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager

import cv2

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
        ahead: deque[Future[Batch]] = deque()
        made = 0
        while True:
            while len(ahead) < max(parts, workers * _AHEAD):
                step, part = divmod(made, parts)
                ahead.append(_submit(pool, sampler, first_step + step, part))
                made += 1
            yield [ahead.popleft().result() for _ in range(parts)]

    with _pool(sampler, workers) as pool:
        try:
            yield steps(pool)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _pool(sampler: EpisodeSampler, workers: int) -> Executor:
    if workers == 1:
        return ThreadPoolExecutor(max_workers=1)
    # A process of its own is begun afresh: forking one that computes with threads may hang.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(sampler,))


def _submit(pool: Executor, sampler: EpisodeSampler, step: int, part: int) -> Future[Batch]:
    if isinstance(pool, ThreadPoolExecutor):
        return pool.submit(sampler.batch, step, part)
    return pool.submit(_batch, step, part)


# The annotations are sent to a worker process once, not with every batch.
_SAMPLERS: list[EpisodeSampler] = []


def _begin(sampler: EpisodeSampler) -> None:
    cv2.setNumThreads(1)
    _SAMPLERS.append(sampler)


def _batch(step: int, part: int) -> Batch:
    return _SAMPLERS[0].batch(step, part)
