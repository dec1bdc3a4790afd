"""The tracker follows objects, loses and finds them again, and learns from corrections.

Most tests run in a world in which objects are plain colours: an embedding is the mean colour inside
a prompt, and an object is wherever the picture comes close to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dinov.errors import InvalidPrompt
from dinov.masks import decode_rle, encode_rle, instance_of, rasterise
from dinov.prompt_bank import PromptBank
from dinov.refer import VIDEO_OPTIONS, ReferOptions
from dinov.tracker import Memory, TrackerState, VideoTracker, first_marks, without_overlaps
from dinov.types import Image, Mask, Prompt, PromptType, Referral, Segmentation
from tests.dinov.tiny import make_predictor, photo

SIZE = (40, 60)
RED, GREEN, ORANGE, BLUE = (250, 0, 0), (0, 200, 0), (250, 125, 0), (0, 0, 250)


class ColorPredictor:
    """Duck of a predictor for the world of plain colours."""

    fingerprint = "colors"
    likeness_threshold = 0.0

    def embed_prompts(
        self, image: Image, prompts: Sequence[Prompt], *, for_refer: bool = False
    ) -> Tensor:
        means = [image[rasterise(p, SIZE)].mean(0) for p in prompts]
        return torch.tensor(np.array(means), dtype=torch.float32)

    def refer(
        self, image: Image, bank: PromptBank, *, options: ReferOptions, **thresholds: float
    ) -> Referral:
        score_threshold = thresholds["score_threshold"]
        candidates = {}
        for number, embeddings in bank.positives.items():
            distance = np.linalg.norm(image - embeddings.mean(0).numpy(), axis=2)
            if number in bank.negatives:
                wrong = np.linalg.norm(image - bank.negatives[number].mean(0).numpy(), axis=2)
                distance[wrong < distance] = np.inf
            nearest = distance.min()
            score = float(np.exp(-nearest / 100))
            visible = score > 0 and score >= score_threshold
            mask = distance == nearest
            candidates[number] = (instance_of(mask, number, score),) if visible else ()
        return Referral(SIZE, candidates)


def scene(**boxes: tuple[tuple[int, int, int], int]) -> Image:
    """A blue picture with 10 x 10 blocks of a colour, each beginning at some column."""
    image = np.full((*SIZE, 3), BLUE, np.uint8)
    for color, column in boxes.values():
        image[10:20, column : column + 10] = color
    return image


def block(column: int) -> Mask:
    mask = np.zeros(SIZE, np.bool_)
    mask[10:20, column : column + 10] = True
    return mask


def box(number: int, column: int, **changes: Any) -> Prompt:
    return replace(Prompt(number, PromptType.BOX, (column, 10.0, column + 10.0, 20.0)), **changes)


def make_tracker(**options: Any) -> VideoTracker:
    return VideoTracker(ColorPredictor(), **({"score_threshold": 0.4} | options))  # type: ignore[arg-type]


def where(found: Segmentation) -> dict[int, Mask]:
    return {i.category_id: decode_rle(i.rle) for i in found.instances}


def test_several_objects_are_followed_at_once() -> None:
    frames = [scene(a=(RED, 5 * t), b=(GREEN, 45 - 5 * t)) for t in range(4)]
    marks = {0: [box(1, 0), box(2, 45)]}
    for t, found in enumerate(make_tracker().track(frames, marks)):
        assert found.size_hw == SIZE
        seen = where(found)
        assert np.array_equal(seen[1], block(5 * t))
        assert np.array_equal(seen[2], block(45 - 5 * t))


def test_an_object_that_vanishes_is_found_when_it_comes_back() -> None:
    frames = [scene(a=(RED, 0)), scene(), scene(), scene(a=(RED, 30))]
    results = list(make_tracker().track(frames, {0: [box(1, 0)]}))
    assert [len(found) for found in results] == [1, 0, 0, 1]
    assert np.array_equal(where(results[3])[1], block(30))


def test_an_object_begins_where_it_is_marked_first() -> None:
    frames = [scene(a=(RED, 0), b=(GREEN, 20))] * 3
    results = list(make_tracker().track(frames, {0: [box(1, 0)], 2: [box(2, 20)]}))
    assert [sorted(where(found)) for found in results] == [[1], [1], [1, 2]]
    assert [len(found) for found in make_tracker().track(frames, {})] == [0, 0, 0]


def test_backward_an_object_is_followed_to_where_it_came_from() -> None:
    frames = [scene(a=(RED, 5 * t), b=(GREEN, 45 - 5 * t)) for t in range(5)]
    marks = {2: [box(1, 10)], 4: [box(2, 25), box(1, 20)]}
    tracker, state = make_tracker(), TrackerState()
    for t, image in enumerate(frames):
        state, _ = tracker.step(state, image, marks.get(t, ()))
    first = first_marks(marks)
    assert first == {1: 2, 2: 4}
    numbered = [(t, frames[t]) for t in (3, 2, 1, 0)]
    for t, found in tracker.track_back(state, numbered, first):
        seen = where(found)
        assert set(seen) == ({1, 2} if t < 2 else {2})
        assert np.array_equal(seen[2], block(45 - 5 * t))
        assert t >= 2 or np.array_equal(seen[1], block(5 * t))


def test_backward_the_memory_is_that_of_marks_and_of_the_way_back() -> None:
    """It has the colour of its mark in the middle and changes both ways: only steps lead there."""
    shades = [(250, 35 * abs(t - 3), 0) for t in range(7)]
    frames = [scene(a=(shade, 5 * t)) for t, shade in enumerate(shades)]
    tracker = make_tracker(max_recent=1)
    state = TrackerState()
    for t, image in enumerate(frames):
        state, found = tracker.step(state, image, [box(1, 15)] if t == 3 else [])
    assert len(found) == 1
    back = tracker.track_back(state, [(t, frames[t]) for t in (2, 1, 0)], {1: 3})
    assert [int(decode_rle(f.instances[0].rle).any(0).argmax()) for _, f in back] == [10, 5, 0]


def test_what_begins_with_what_it_is_not_begins_at_its_first_positive_mark() -> None:
    no, yes = box(1, 0, positive=False), box(1, 0)
    assert first_marks({0: [no], 3: [yes], 5: [yes]}) == {1: 3}
    assert first_marks({2: [no]}) == {1: 2}


def test_frames_are_taken_one_at_a_time() -> None:
    taken = []

    def frames() -> Iterator[Image]:
        for t in range(3):
            taken.append(t)
            yield scene(a=(RED, 5 * t))

    results = make_tracker().track(frames(), {0: [box(1, 0)]})
    for t, _ in enumerate(results):
        assert taken == list(range(t + 1))


def test_an_object_that_changes_is_followed_by_its_memory() -> None:
    shades = [(250, 12 * t, 0) for t in range(16)]  # red to nearly orange, slowly
    frames = [scene(a=(shade, 10)) for shade in shades]
    followed = list(make_tracker(max_recent=4).track(frames, {0: [box(1, 10)]}))
    assert all(np.array_equal(where(found)[1], block(10)) for found in followed)
    forgetful = list(make_tracker(max_recent=0).track(frames, {0: [box(1, 10)]}))
    assert len(forgetful[-1]) == 0


def test_memory_keeps_marks_and_the_newest_masks_that_are_like_them() -> None:
    tracker = make_tracker(memory_threshold=0.98, max_recent=2)
    state, _ = tracker.step(TrackerState(), scene(a=(RED, 0)), [box(1, 0)])
    first = state.memories[1].marked
    assert (len(first), len(state.memories[1].found_there)) == (1, 1)
    assert state.memories[1].recent == ()
    for _ in range(3):
        state, _ = tracker.step(state, scene(a=(RED, 0)))
    assert state.memories[1].marked is first
    assert len(state.memories[1].recent) == 2
    # Unlike its mark, though shown: it does not become a prompt.
    before = state
    state, found = tracker.step(state, scene(a=((250, 70, 0), 0)))
    assert len(found) == 1
    assert state == before


def test_memory_is_not_gated_by_scores() -> None:
    """Scores are shares among an image's proposals: sure finds of a small model have low ones."""
    tracker = make_tracker(score_threshold=0.0)
    state, _ = tracker.step(TrackerState(), scene(a=(RED, 0)), [box(1, 0)])
    state, found = tracker.step(state, scene(a=((120, 0, 0), 0)))
    assert found.instances[0].score < 0.3
    assert len(state.memories[1].recent) == 1


def test_what_is_found_step_by_step_may_not_leave_its_marks_behind() -> None:
    """Each shade is like the one before; after some the object of the mark is no longer there."""
    shades = [(250, 25 * t, 0) for t in range(9)]
    tracker = make_tracker(memory_threshold=0.95, max_recent=1)
    state, _ = tracker.step(TrackerState(), scene(a=(shades[0], 0)), [box(1, 0)])
    for shade in shades[1:]:
        state, _ = tracker.step(state, scene(a=(shade, 0)))
    (last,) = state.memories[1].recent
    assert last.tolist() == [250, 75, 0]
    # A mark there says that it is still the object, and memory goes on from it.
    state, _ = tracker.step(state, scene(a=(shades[7], 0)), [box(1, 0)])
    state, _ = tracker.step(state, scene(a=(shades[8], 0)))
    (last,) = state.memories[1].recent
    assert last.tolist() == [250, 200, 0]


def test_by_default_what_is_remembered_differs_half_as_much_as_what_is_shown() -> None:
    predictor = ColorPredictor()
    predictor.likeness_threshold = 0.9
    tracker = VideoTracker(predictor)  # type: ignore[arg-type]
    state, _ = tracker.step(TrackerState(), scene(a=(RED, 0)), [box(1, 0)])
    # Cosines of 0.96, 0.93 and 0.87 with red.
    for green, shown, remembered in ((70, 1, 1), (100, 1, 0), (140, 0, 0)):
        after, found = tracker.step(state, scene(a=((250, green, 0), 0)))
        assert len(found) == shown
        assert len(after.memories[1].recent) == remembered


def test_states_are_values() -> None:
    tracker = make_tracker()
    start, _ = tracker.step(TrackerState(), scene(a=(RED, 0)), [box(1, 0)])
    memories = dict(start.memories)
    one = tracker.step(start, scene(a=(RED, 20)))[1]
    tracker.step(start, scene(a=(GREEN, 0)), [box(1, 0), box(2, 20)])
    assert dict(start.memories) == memories
    assert tracker.step(start, scene(a=(RED, 20)))[1] == one


def test_a_correction_stays_and_what_led_astray_goes() -> None:
    tracker = make_tracker(score_threshold=0.0)
    state, _ = tracker.step(TrackerState(), scene(a=(RED, 0)), [box(1, 0)])
    # The object turns green; another one in its old colour draws the tracker away.
    turned = scene(a=(GREEN, 0), b=(ORANGE, 30))
    state, found = tracker.step(state, turned)
    assert np.array_equal(where(found)[1], block(30))
    state = tracker.correct(state, turned, [box(1, 0)])
    assert len(state.memories[1].marked) == 2
    assert (state.memories[1].found_there, state.memories[1].recent) == ((), ())
    refused = tracker.correct(state, turned, [box(1, 30, positive=False)])
    _, found = tracker.step(refused, turned)
    assert np.array_equal(where(found)[1], block(0))


def test_an_outline_is_the_answer_on_its_own_frame() -> None:
    drawn = block(0) | block(3)
    outline = Prompt(1, PromptType.MASK, rle=encode_rle(drawn))
    image = scene(a=(RED, 0), b=(GREEN, 30))
    state, found = make_tracker().step(TrackerState(), image, [outline, box(2, 30)])
    assert np.array_equal(where(found)[1], drawn)
    assert found.instances[0].score == 1.0
    # The outline itself is the memory of that frame: it does not count twice.
    assert (len(state.memories[1].marked), len(state.memories[1].recent)) == (1, 0)
    halves = [
        Prompt(1, PromptType.POLYGON, (x, 10.0, x + 5.0, 10.0, x + 5.0, 20.0, x, 20.0))
        for x in (0.0, 5.0)
    ]
    _, found = make_tracker().step(TrackerState(), image, halves)
    assert np.array_equal(where(found)[1], block(0))


def test_marks_of_what_it_is_not_alone_find_nothing() -> None:
    marks = [box(1, 0, positive=False)]
    state, found = make_tracker().step(TrackerState(), scene(a=(RED, 0)), marks)
    assert len(found) == 0
    assert state.memories[1].marked == ()


def test_a_mark_outside_the_frame_is_refused_and_nothing_is_lost() -> None:
    tracker = make_tracker()
    state, _ = tracker.step(TrackerState(), scene(a=(RED, 0)), [box(1, 0)])
    with pytest.raises(InvalidPrompt):
        tracker.correct(state, scene(), [Prompt(1, PromptType.POINT, (99.0, 5.0))])
    assert len(tracker.step(state, scene(a=(RED, 20)))[1]) == 1


def test_a_pixel_goes_to_the_better_score() -> None:
    objects = (
        instance_of(block(0), 1, 0.5),
        instance_of(block(5), 2, 0.9),
        instance_of(block(6), 3, 0.1),
        instance_of(block(40), 4, 0.2),
    )
    for order in (objects, objects[::-1]):
        result = without_overlaps(Segmentation(SIZE, order))
        masks = where(result)
        assert np.array_equal(masks[2], block(5))
        assert np.array_equal(masks[1], block(0) & ~block(5))
        assert np.array_equal(masks[3], block(6) & ~block(5))
        assert np.array_equal(masks[4], block(40))
        assert sum(masks.values()).max() == 1  # type: ignore[union-attr]
        assert [i.area for i in result.instances] == [100, 50, 100, 10]
        assert [i.score for i in result.instances] == [0.9, 0.5, 0.2, 0.1]
    hidden = without_overlaps(
        Segmentation(SIZE, (instance_of(block(0), 1, 0.9), instance_of(block(0), 2, 0.1)))
    )
    assert list(where(hidden)) == [1]
    assert without_overlaps(Segmentation(SIZE)) == Segmentation(SIZE)


def test_memory_forgets_the_oldest_found_frames_first() -> None:
    memory = Memory().with_mark(torch.zeros(1), positive=True)
    for value in range(5):
        memory = memory.with_found(torch.tensor([float(value)]), 3)
    assert [float(entry) for entry in memory.recent] == [2, 3, 4]
    assert memory.with_found(torch.zeros(1), 0).recent == ()


def test_with_a_real_model() -> None:
    options = replace(VIDEO_OPTIONS, grid=4, iou_threshold=-1e9, min_area=0)
    marks = [
        Prompt(1, PromptType.BOX, (10.0, 10.0, 60.0, 50.0)),
        Prompt(2, PromptType.POINT, (100.0, 80.0)),
    ]
    frames = [photo(seed) for seed in range(3)]
    tracker = VideoTracker(make_predictor(), options=options)
    results = list(tracker.track(frames, {0: marks, 2: marks[:1]}))
    # Neither the order of the marks nor a second run changes anything.
    again = list(
        VideoTracker(make_predictor(), options=options).track(
            frames, {0: marks[::-1], 2: marks[:1]}
        )
    )
    for one, other in zip(results, again, strict=True):
        masks, others = where(one), where(other)
        assert masks.keys() == others.keys() <= {1, 2}
        assert all((masks[i] ^ others[i]).mean() < 0.01 for i in masks)
    nothing = VideoTracker(make_predictor(), options=replace(options, iou_threshold=1e9))
    assert [len(found) for found in nothing.track(frames, {0: marks})] == [0, 0, 0]
