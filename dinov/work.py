"""What is done with each target of a batch, between the list of targets and the ledger.

Pictures are decoded and prepared ahead in threads, so that the device does not wait, and several
are segmented at once where that is faster.
"""

from __future__ import annotations

import functools
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from dinov import urls
from dinov.errors import DinovError, InvalidImage
from dinov.images import read_rgb
from dinov.targets import Target, TargetReader
from dinov.types import Image, Segmentation

_T = TypeVar("_T")

Entry = dict[str, Any]
"""What came of a target, as it is kept in the ledger."""


@runtime_checkable
class ManySegmenter(Protocol):
    """Finds the instances of several pictures at once, each as if it were alone."""

    @property
    def batch_size(self) -> int:
        """So many at once suit the device where it is."""

    def prepare(self, image: Image) -> Any:
        """What can be done with a picture, [H, W, 3] uint8 RGB, in any thread before its turn."""

    def segment_many(self, images: Sequence[Any]) -> Sequence[Segmentation]:
        """What is found in each picture, as it was prepared."""


@dataclass(frozen=True)
class Together:
    """A ``ManySegmenter`` made of functions."""

    segment_many: Callable[[Sequence[Any]], Sequence[Segmentation]]
    batch_size: int
    prepare: Callable[[Image], Any] = lambda image: image


Segment = Callable[[Image], Segmentation] | ManySegmenter
"""Finds the instances of one picture, or of several at once."""


@dataclass(frozen=True)
class Work:
    """What is done with targets: decode and prepare ahead, segment in order, encode behind.

    Attributes:
        segment: finds the instances of pictures; called from one thread, in order.
        encode: turns what was found, or the problem, into the entry of the ledger.
        workers: threads that decode, prepare and encode.
    """

    segment: Segment
    encode: Callable[[Segmentation | str], Entry]
    workers: int

    def __call__(self, targets: Iterable[Target]) -> Iterator[Entry]:
        """Yield the entry of each target, in order; what was segmented before Ctrl-C, too."""
        segment = _as_many(self.segment)
        # Full as long as each worker has one picture at work and one waiting, or the next batch
        # of pictures waits beside the one at work.
        window = max(2 * self.workers, 2 * segment.batch_size)
        encoded: deque[Future[Entry]] = deque()
        stopped: KeyboardInterrupt | None = None
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="batch")
        try:
            try:
                ahead = _prepared_ahead(targets, pool, window, segment.prepare)
                while batch := list(itertools.islice(ahead, segment.batch_size)):
                    for found in _found(batch, segment):
                        encoded.append(pool.submit(self.encode, found))
                    while encoded and (len(encoded) > window or encoded[0].done()):
                        yield encoded.popleft().result()
            except KeyboardInterrupt as interrupt:
                stopped = interrupt
            while encoded:
                yield encoded.popleft().result()
            if stopped is not None:
                raise stopped
        finally:
            pool.shutdown(cancel_futures=True)


Cluster = Callable[[Work, Iterator[Target], int], Iterator[Entry]]
"""Does work on so many targets elsewhere and yields their entries in the order of the targets."""


def _prepared_ahead(
    targets: Iterable[Target],
    pool: ThreadPoolExecutor,
    window: int,
    prepare: Callable[[Image], Any],
) -> Iterator[tuple[Target, Future[Any]]]:
    waiting: deque[tuple[Target, Future[Any]]] = deque()
    with closing(TargetReader()) as read:
        for target in targets:
            source: Path | bytes | str | InvalidImage
            try:
                source = read(target)
            except InvalidImage as error:
                source = error
            waiting.append((target, pool.submit(_read, source, target.place, prepare)))
            if len(waiting) >= window:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()


def _read(
    source: Path | bytes | str | InvalidImage, place: str, prepare: Callable[[Image], Any]
) -> Any:
    if isinstance(source, InvalidImage):
        raise source
    if isinstance(source, Path):
        return prepare(read_rgb(source))
    # What lies behind a URL is fetched here, in a thread, and the model does not wait for it.
    content = urls.read(source) if isinstance(source, str) else source
    return prepare(read_rgb(content, name=place))


def _as_many(segment: Segment) -> ManySegmenter:
    if isinstance(segment, ManySegmenter):
        return segment
    alone = segment
    return Together(lambda images: [alone(image) for image in images], 1)


def _found(
    batch: Sequence[tuple[Target, Future[Any]]], segment: ManySegmenter
) -> Iterator[Segmentation | str]:
    """What is on each target, or in words why it could not be segmented."""
    images = [_in_words(target, image.result) for target, image in batch]
    readable = [image for image in images if not isinstance(image, str)]
    together: Iterator[Segmentation] | None = None
    if len(readable) > 1:
        with suppress(*_PROBLEMS):  # of one of them: below each is asked for alone
            together = iter(segment.segment_many(readable))
    for (target, _), image in zip(batch, images, strict=True):
        if isinstance(image, str):
            yield image
        elif together is not None:
            yield next(together)
        else:
            ask = functools.partial(segment.segment_many, [image])
            found = _in_words(target, ask)
            yield found if isinstance(found, str) else found[0]


_PROBLEMS = (DinovError, MemoryError, RuntimeError)
"""What may cost a target; too little memory is either of the last two."""


def _in_words(target: Target, step: Callable[[], _T]) -> _T | str:
    """What a step gives, or why there is nothing."""
    try:
        return step()
    except DinovError as error:
        return str(error)
    except (MemoryError, RuntimeError) as error:
        reason = (str(error).splitlines() or ["too little memory"])[0]
        return f"Image {target.place} could not be segmented: {reason}"
