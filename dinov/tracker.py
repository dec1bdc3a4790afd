"""The refer task over a video: what an object looked like is the prompt by which it is found.

Source: parity notes of the published model, section 6.2 (its evaluation on DAVIS).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from dinov.corrections import corrected
from dinov.masks import decode_rle, instance_of, rasterise
from dinov.predictor import ANY_LIKENESS, Predictor
from dinov.prompt_bank import PromptBank
from dinov.refer import VIDEO_OPTIONS, ReferOptions
from dinov.types import Image, Instance, Mask, Prompt, PromptType, Segmentation

MAX_RECENT = 8
"""Frames that are remembered beside the marked ones, as in the published evaluation."""


@dataclass(frozen=True)
class Memory:
    """Embeddings [C] of what one object looked like.

    Those of marks stay for good, and so does what was ``found_there``, on the frames of the marks.
    ``recent`` are masks found on other frames, oldest first. ``negatives`` are marks of what the
    object is not.
    """

    marked: tuple[Tensor, ...] = ()
    found_there: tuple[Tensor, ...] = ()
    recent: tuple[Tensor, ...] = ()
    negatives: tuple[Tensor, ...] = ()

    def with_mark(self, embedding: Tensor, *, positive: bool) -> Memory:
        """Add a mark. What was found before goes: it led to a frame that had to be marked."""
        if positive:
            return replace(self, marked=(*self.marked, embedding), found_there=(), recent=())
        negatives = (*self.negatives, embedding)
        return replace(self, negatives=negatives, found_there=(), recent=())

    def likeness(self, embedding: Tensor) -> float:
        """The highest cosine with a mark or what was found there; ``recent`` ones could drift."""
        known = torch.stack((*self.marked, *self.found_there))
        return float(torch.cosine_similarity(embedding[None], known).max())

    def mean(self) -> Tensor:
        """[1, C], of all that the object looked like."""
        return _mean((*self.marked, *self.found_there, *self.recent))

    def with_found(self, embedding: Tensor, max_recent: int) -> Memory:
        """Add what was found on a frame; the oldest such entries go."""
        recent = (*self.recent, embedding)
        return replace(self, recent=recent[max(0, len(recent) - max_recent) :])


@dataclass(frozen=True)
class TrackerState:
    """Everything that the next frame depends on: the memory of each object, by its number."""

    memories: Mapping[int, Memory] = field(default_factory=dict)


class VideoTracker:
    """Finds marked objects on one frame after the other.

    An object is known by the number that its prompts carry as ``category_id``, and so do its
    instances. The tracker itself remembers nothing: each step turns a state into the next one.
    """

    def __init__(
        self,
        predictor: Predictor,
        *,
        options: ReferOptions = VIDEO_OPTIONS,
        score_threshold: float = 0.0,
        memory_threshold: float | None = None,
        max_recent: int = MAX_RECENT,
    ) -> None:
        """Choose how to track.

        Args:
            predictor: the model.
            options: where proposals are made and which of them are compared.
            score_threshold: an object whose best proposal scores lower is not on the frame.
            memory_threshold: lowest likeness (see ``Memory``) of a found mask that is remembered.
                By default it may differ half as much as one that is shown; if the predictor shows
                all, all are remembered, as published.
            max_recent: so many found masks are remembered per object.
        """
        self._predictor = predictor
        self._options = options
        self._score_threshold = score_threshold
        shown = predictor.likeness_threshold
        surer = shown if shown <= ANY_LIKENESS else (1 + shown) / 2
        self._memory_threshold = surer if memory_threshold is None else memory_threshold
        self._max_recent = max_recent

    def track(
        self, frames: Iterable[Image], marks: Mapping[int, Sequence[Prompt]]
    ) -> Iterator[Segmentation]:
        """Find the objects on every frame, beginning where each is marked first.

        Args:
            frames: RGB images; only one at a time is held.
            marks: prompts by frame number, from 0. Those on later frames are corrections.

        Yields:
            For each frame the objects on it, without overlaps.
        """
        state = TrackerState()
        for index, image in enumerate(frames):
            state, found = self.step(state, image, marks.get(index, ()))
            yield found

    def track_back(
        self,
        state: TrackerState,
        frames: Iterable[tuple[int, Image]],
        first_marks: Mapping[int, int],
    ) -> Iterator[tuple[int, Segmentation]]:
        """Find the objects on the frames before the one where each is marked first.

        Args:
            state: after all marks. What they tell counts; masks found on the way are forgotten.
            frames: with their numbers, the last first; only one at a time is held.
            first_marks: by object, the number of the frame where it is marked first.

        Yields:
            The number of each frame and the objects on it that begin later, without overlaps.
        """
        marked = {i: replace(memory, recent=()) for i, memory in state.memories.items()}
        back = TrackerState()
        for index, image in frames:
            later = [i for i in marked if first_marks[i] > index]
            memories = {i: back.memories.get(i, marked[i]) for i in later}
            back, found = self.step(TrackerState(memories), image)
            yield index, found

    def step(
        self, state: TrackerState, image: Image, prompts: Sequence[Prompt] = ()
    ) -> tuple[TrackerState, Segmentation]:
        """Find the objects on the next frame.

        Args:
            state: after the frame before; ``TrackerState()`` at first.
            image: [H, W, 3] uint8 RGB.
            prompts: marks on this very frame, see ``correct``.

        Returns:
            The state after this frame, and the objects on it, best score first. No two share a
            pixel: it goes to the better score. An object that is outlined by a polygon or a mask is
            where it was drawn, with score 1.

        Raises:
            InvalidPrompt: if a prompt is outside the image or has no area.
        """
        state = self.correct(state, image, prompts)
        drawn = _drawn(prompts, image)
        alike = self._look_for(state, image, set(state.memories) - set(drawn))
        found = (instance for instance, _ in alike.values())
        result = without_overlaps(Segmentation(image.shape[:2], (*drawn.values(), *found)))
        marked = {prompt.category_id for prompt in prompts}
        memories = dict(state.memories)
        for number in {i.category_id for i in result.instances} & alike.keys():
            memory, (_, embedding) = memories[number], alike[number]
            if number in marked:
                memories[number] = replace(memory, found_there=(*memory.found_there, embedding))
            elif memory.likeness(embedding) >= self._memory_threshold:
                memories[number] = memory.with_found(embedding, self._max_recent)
        return TrackerState(memories), result

    def correct(self, state: TrackerState, image: Image, prompts: Sequence[Prompt]) -> TrackerState:
        """Remember for good what objects look like, or do not, on any frame of the video.

        Of an object marked so, the found masks that are remembered go: they led astray.

        Raises:
            InvalidPrompt: if a prompt is outside the image or has no area.
        """
        memories = dict(state.memories)
        meant = [prompt for prompt in corrected(prompts, image.shape[:2]) if prompt is not None]
        embeddings = self._embed(image, meant)
        for prompt, embedding in zip(meant, embeddings, strict=True):
            memory = memories.get(prompt.category_id, Memory())
            memories[prompt.category_id] = memory.with_mark(embedding, positive=prompt.positive)
        return TrackerState(memories)

    def _embed(self, image: Image, prompts: Sequence[Prompt]) -> list[Tensor]:
        """Each prompt as the refer task sees it, [C]."""
        if not prompts:
            return []
        return list(self._predictor.embed_prompts(image, prompts, for_refer=True))

    def _look_for(
        self, state: TrackerState, image: Image, objects: set[int]
    ) -> dict[int, tuple[Instance, Tensor]]:
        """What is like enough to an object, and its embedding, by object."""
        memories = {i: state.memories[i] for i in objects if state.memories[i].marked}
        if not memories:
            return {}
        bank = PromptBank(
            self._predictor.fingerprint,
            {i: m.mean() for i, m in memories.items()},
            {i: _mean(m.negatives) for i, m in memories.items() if m.negatives},
        )
        # The mean of a memory is like more than its object: likeness is judged below.
        best = self._predictor.refer(
            image,
            bank,
            options=self._options,
            score_threshold=self._score_threshold,
            likeness_threshold=ANY_LIKENESS,
        ).best.instances
        masks = [Prompt(i.category_id, PromptType.MASK, rle=i.rle) for i in best]
        embeddings = self._embed(image, masks)
        return {
            i.category_id: (i, embedding)
            for i, embedding in zip(best, embeddings, strict=True)
            if memories[i.category_id].likeness(embedding) >= self._predictor.likeness_threshold
        }


def first_marks(marks: Mapping[int, Sequence[Prompt]]) -> dict[int, int]:
    """The number of the frame where each object begins, from prompts by frame number.

    An object that only has marks of what it is not begins at the first of these.
    """
    first: dict[int, int] = {}
    for positive in (True, False):
        for index in sorted(marks):
            for prompt in marks[index]:
                if prompt.positive == positive:
                    first.setdefault(prompt.category_id, index)
    return first


def without_overlaps(segmentation: Segmentation) -> Segmentation:
    """Give every pixel to the best-scored instance on it; whoever keeps none is not there."""
    taken = np.zeros(segmentation.size_hw, np.bool_)
    instances = []
    for instance in sorted(segmentation.instances, key=lambda instance: -instance.score):
        mask = decode_rle(instance.rle)
        left = mask & ~taken
        if left.any():
            instances.append(instance_of(left, instance.category_id, instance.score))
        taken |= mask
    return Segmentation(segmentation.size_hw, tuple(instances))


def _drawn(prompts: Sequence[Prompt], image: Image) -> dict[int, Instance]:
    """The objects whose outlines the annotator gave, by number; several outlines are united."""
    size_hw = (image.shape[0], image.shape[1])
    masks: dict[int, Mask] = {}
    for prompt in prompts:
        if prompt.positive and prompt.type in {PromptType.POLYGON, PromptType.MASK}:
            mask = rasterise(prompt, size_hw)
            masks[prompt.category_id] = mask | masks.get(prompt.category_id, np.False_)
    return {number: instance_of(mask, number, 1.0) for number, mask in masks.items()}


def _mean(embeddings: Sequence[Tensor]) -> Tensor:
    return torch.stack(tuple(embeddings)).mean(0, keepdim=True)
