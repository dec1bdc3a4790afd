"""The numpy door: encode once, the same answer again, clear refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from dinov import features
from dinov.device import default_batch_size
from dinov.errors import (
    DeviceUnavailable,
    FingerprintMismatch,
    InvalidImage,
    InvalidOptions,
    InvalidPrompt,
)
from dinov.images import ImageTransform
from dinov.masks import encode_rle, rasterise, rle_iou
from dinov.model.dinov import FeaturePyramid, Proposals
from dinov.options import InstanceOptions, tile_side
from dinov.predictor import Predictor
from dinov.refer import ReferOptions
from dinov.types import Instance, Prompt, PromptType, Reference, Referral, Segmentation
from tests.dinov.tiny import make_predictor, photo

BOX = Prompt(1, PromptType.BOX, (10.0, 10.0, 60.0, 50.0))
POINT = Prompt(2, PromptType.POINT, (100.0, 80.0))
ANYTHING = ReferOptions(grid=4, iou_threshold=-1e9, min_area=0)


def test_a_target_is_encoded_once_and_a_changed_prompt_costs_no_encoding() -> None:
    predictor = make_predictor()
    encoded = []
    encode = predictor._model.encode_image
    predictor._model.encode_image = lambda pixels: encoded.append(1) or encode(pixels)  # type: ignore[assignment, func-returns-value]
    for prompt in (BOX, POINT, BOX):
        bank = predictor.embed_references([Reference(photo(0), [prompt])])
        predictor.segment(photo(1), bank, score_threshold=0.0)
    assert len(encoded) == 2


def test_results_are_at_the_original_size_and_deterministic() -> None:
    first, second = (
        predictor.segment(
            photo(1, 77, 131),
            predictor.embed_references([Reference(photo(0), [BOX, POINT])]),
            score_threshold=0.0,
        )
        for predictor in (make_predictor(), make_predictor())
    )
    assert first.size_hw == (77, 131)
    assert len(first) > 0
    assert first == second
    assert {i.category_id for i in first.instances} <= {1, 2}


@pytest.mark.parametrize("size_hw", [(33, 97), (64, 64), (31, 250), (300, 40), (1, 1)])
def test_images_of_any_size_and_shape(size_hw: tuple[int, int]) -> None:
    predictor = make_predictor()
    height, width = size_hw
    prompt = Prompt(1, PromptType.POINT, (width / 2, height / 2))
    bank = predictor.embed_references([Reference(photo(0, *size_hw), [prompt])])
    found = predictor.segment(photo(1, *size_hw), bank, score_threshold=0.0)
    assert found.size_hw == size_hw
    for instance in found.instances:
        x0, y0, x1, y1 = instance.box_xyxy
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height


@pytest.mark.parametrize(
    ("references", "prompts", "categories"), [(1, 1, 1), (3, 1, 2), (2, 20, 5)]
)
def test_any_number_of_references_prompts_and_categories(
    references: int, prompts: int, categories: int
) -> None:
    predictor = make_predictor()
    total = prompts * categories
    marks = [Prompt(i % categories, PromptType.POINT, (1.0 + i, 40.0)) for i in range(total)]
    bank = predictor.embed_references(
        [Reference(photo(i), marks[i::references]) for i in range(references)]
    )
    assert bank.category_ids == list(range(categories))
    assert sum(len(group) for group in bank.positives.values()) == total
    found = predictor.segment(photo(9), bank, score_threshold=0.0)
    assert {i.category_id for i in found.instances} <= set(bank.category_ids)


def test_another_category_or_prompt_leaves_the_scores_of_a_category_alone() -> None:
    predictor = make_predictor()
    bank = predictor.embed_references([Reference(photo(0), [BOX])])
    twenty = [Prompt(3, PromptType.POINT, (5.0 * i, 20.0)) for i in range(20)]
    more = predictor.embed_references([Reference(photo(0), [BOX, POINT, *twenty])])
    before = predictor.compare(photo(1), bank.concept_embeddings())
    after = predictor.compare(photo(1), more.concept_embeddings())
    torch.testing.assert_close(after.logits[:, :1], before.logits)
    torch.testing.assert_close(after.mask_logits, before.mask_logits)


def test_the_target_is_placed_by_its_own_size_not_by_that_of_the_reference() -> None:
    predictor = make_predictor()
    small, large = (
        predictor.embed_references([Reference(photo(0, *size), [POINT])])
        for size in ((90, 120), (90, 480))
    )
    found = [
        predictor.compare(photo(1, 70, 50), bank.concept_embeddings()) for bank in (small, large)
    ]
    assert found[0].transform == found[1].transform
    torch.testing.assert_close(found[0].mask_logits, found[1].mask_logits)


def test_options_reach_the_result() -> None:
    predictor = make_predictor()
    many = [Prompt(1, PromptType.POINT, (5.0 * i, 20.0)) for i in range(20)]
    bank = predictor.embed_references([Reference(photo(0), [*many, POINT])])

    def segment(**options: Any) -> Segmentation:
        return predictor.segment(photo(1), bank, **({"score_threshold": 0.0} | options))

    everything = segment()
    assert len(segment(options=InstanceOptions(max_instances=1))) == 1
    assert len(segment(options=InstanceOptions(1.0, 1.0))) > len(everything)
    only = segment(score_threshold={1: 0.0, 2: 1.0})
    assert {i.category_id for i in only.instances} == {1}
    assert segment(score_threshold={1: 0.0}) == segment(score_threshold={1: 0.0, 2: 0.12})
    drawn = [segment(max_examples=2, seed=seed) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]


def test_a_large_image_in_tiles() -> None:
    predictor = make_predictor()
    bank = predictor.embed_references([Reference(photo(0), [BOX])])
    image = photo(1, 200, 260)
    found = predictor.segment(image, bank, score_threshold=0.0, tile=100)
    assert found.size_hw == (200, 260)
    assert len(found) > 0
    nothing = predictor.segment(image, bank, score_threshold=1.0, tile=100)
    assert nothing == Segmentation((200, 260))
    with pytest.raises(InvalidImage, match="too small"):
        predictor.segment(image, bank, tile=8)


def test_nothing_is_found_above_an_impossible_threshold() -> None:
    predictor = make_predictor()
    bank = predictor.embed_references([Reference(photo(0), [BOX])])
    assert len(predictor.segment(photo(1), bank, score_threshold=1.0)) == 0


def test_marking_and_segmenting_the_same_image() -> None:
    predictor = make_predictor()
    bank = predictor.embed_references([Reference(photo(0), [BOX])])
    assert predictor.segment(photo(0), bank, score_threshold=0.0).size_hw == (90, 120)


def test_prompts_of_several_references_are_kept_apart_by_category_and_sign() -> None:
    predictor = make_predictor()
    negative = Prompt(1, PromptType.POINT, (5.0, 5.0), positive=False)
    bank = predictor.embed_references(
        [Reference(photo(0), [BOX, POINT]), Reference(photo(1), [BOX, negative])]
    )
    assert {i: len(p) for i, p in bank.positives.items()} == {1: 2, 2: 1}
    assert {i: len(p) for i, p in bank.negatives.items()} == {1: 1}


def all_alike(predictor: Predictor) -> Referral:
    """Everything that refers to something on a photo, with random weights."""
    bank = predictor.embed_references([Reference(photo(0), [BOX, POINT])])
    return predictor.refer(photo(1), bank, options=ANYTHING, max_candidates=3)


def test_one_object_is_found_on_another_photo_and_on_its_own() -> None:
    predictor = make_predictor()
    across = all_alike(predictor)
    assert across.size_hw == (90, 120)
    assert [len(across.candidates[i]) for i in (1, 2)] == [3, 3]
    bank = predictor.embed_references([Reference(photo(1), [BOX, POINT])])
    assert len(predictor.refer(photo(1), bank, options=ANYTHING).best) == 2


def test_what_is_unlike_the_mark_is_left_out_by_the_likeness_of_its_embedding() -> None:
    predictor = make_predictor()
    bank = predictor.embed_references([Reference(photo(0), [BOX, POINT])])
    everything = all_alike(predictor).candidates

    def likeness(instance: Instance) -> float:
        mark = Prompt(instance.category_id, PromptType.MASK, rle=instance.rle)
        (own,) = predictor.embed_prompts(photo(1), [mark])
        return float(torch.cosine_similarity(own, bank.positives[mark.category_id][0], dim=0))

    values = sorted(likeness(i) for ranked in everything.values() for i in ranked)
    lowest = (values[2] + values[3]) / 2
    expected = {
        number: [i.score for i in ranked if likeness(i) >= lowest]
        for number, ranked in everything.items()
    }
    for asked in (
        predictor.refer(
            photo(1), bank, options=ANYTHING, max_candidates=3, likeness_threshold=lowest
        ),
        make_predictor(likeness_threshold=lowest).refer(
            photo(1), bank, options=ANYTHING, max_candidates=3
        ),
    ):
        found = {n: [i.score for i in ranked] for n, ranked in asked.candidates.items()}
        assert found == {n: pytest.approx(scores) for n, scores in expected.items()}
        assert sum(map(len, found.values())) == 3
    nothing = predictor.refer(photo(1), bank, options=ANYTHING, likeness_threshold=1.01)
    assert nothing.candidates == {1: (), 2: ()}


def test_each_object_is_found_as_if_it_were_alone() -> None:
    together = all_alike(make_predictor())
    for prompt in (BOX, POINT):
        predictor = make_predictor()
        bank = predictor.embed_references([Reference(photo(0), [prompt])])
        alone = predictor.refer(photo(1), bank, options=ANYTHING, max_candidates=3)
        (found,) = alone.candidates.values()
        for one, other in zip(found, together.candidates[prompt.category_id], strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-5)
            assert rle_iou(one.rle, other.rle) > 0.99


def test_what_points_propose_is_kept_for_a_target() -> None:
    predictor = make_predictor()
    decoded = []
    decode = predictor._model.decode_points
    predictor._model.decode_points = lambda *a, **k: decoded.append(1) or decode(*a, **k)  # type: ignore[assignment, func-returns-value]
    all_alike(predictor)
    all_alike(predictor)
    assert len(decoded) == 1
    bank = predictor.embed_references([Reference(photo(0), [BOX])])
    predictor.refer(photo(1), bank, options=replace(ANYTHING, grid=5))
    assert len(decoded) == 2


def test_no_proposal_survives_impossible_options() -> None:
    predictor = make_predictor()
    bank = predictor.embed_references([Reference(photo(0), [BOX, POINT])])
    referral = predictor.refer(photo(1), bank, options=ReferOptions(grid=4, iou_threshold=1e9))
    assert referral.candidates == {1: (), 2: ()}


def test_references_without_a_positive_prompt_are_refused() -> None:
    with pytest.raises(InvalidPrompt, match="Mark at least one object"):
        make_predictor().embed_references([Reference(photo(0), [])])


def test_a_prompt_outside_the_image_is_refused() -> None:
    outside = Prompt(1, PromptType.POINT, (500.0, 5.0))
    with pytest.raises(InvalidPrompt):
        make_predictor().embed_references([Reference(photo(0), [outside])])


def test_a_bank_of_another_input_size_is_refused() -> None:
    bank = make_predictor().embed_references([Reference(photo(0), [BOX])])
    with pytest.raises(FingerprintMismatch):
        make_predictor(input_size=160).segment(photo(1), bank)


@pytest.mark.parametrize("image", [np.zeros((10, 10), np.uint8), np.zeros((10, 10, 3), np.float32)])
def test_an_array_that_is_no_rgb_image_is_refused(image: Any) -> None:
    with pytest.raises(InvalidImage, match="read_rgb"):
        make_predictor().embed_references([Reference(image, [BOX])])


def test_unknown_devices_and_sizes_are_refused() -> None:
    with pytest.raises(DeviceUnavailable, match="auto"):
        make_predictor(device="toaster")
    with pytest.raises(InvalidImage, match="too small"):
        make_predictor(input_size=8)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_lower_precision_keeps_features_in_half_the_memory(precision: str) -> None:
    full, half = make_predictor(), make_predictor(precision=precision)
    for predictor in (full, half):
        bank = predictor.embed_references([Reference(photo(0), [BOX])])
        assert all(vectors.dtype == torch.float32 for vectors in bank.positives.values())
        predictor.segment(photo(1), bank, score_threshold=0.0)
        predictor.refer(photo(1), bank)
    assert half._features._encoded.nbytes * 2 == full._features._encoded.nbytes


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(DeviceUnavailable, match="bfloat16"):
        make_predictor(precision="float8")


def test_a_negative_on_a_positive_prompt_is_cut_out_of_it() -> None:
    predictor = make_predictor()
    hole = Prompt(1, PromptType.BOX, (20.0, 20.0, 40.0, 40.0), positive=False)
    mask = rasterise(BOX, (96, 128))
    mask[20:40, 20:40] = False
    painted = Prompt(1, PromptType.MASK, rle=encode_rle(mask))
    whole, cut, expected = (
        predictor.embed_references([Reference(photo(0, 96, 128), prompts)])
        for prompts in ([BOX], [BOX, hole], [painted])
    )
    assert not cut.negatives
    assert torch.equal(cut.positives[1], expected.positives[1])
    assert not torch.allclose(cut.positives[1], whole.positives[1])


# Padded to three sizes; the second is the first again.
MIXED = [photo(1), photo(1), photo(2, 120, 90), photo(3, 200, 80), photo(4), photo(5, 120, 84)]
NEGATIVE = Prompt(1, PromptType.POINT, (5.0, 5.0), positive=False)


def assert_same(found: Segmentation, expected: Segmentation) -> None:
    """Some pixels of an edge may differ, and digits of a score that do not matter."""
    assert found.size_hw == expected.size_hw
    assert [i.category_id for i in found.instances] == [i.category_id for i in expected.instances]
    for one, other in zip(found.instances, expected.instances, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-5)
        assert rle_iou(one.rle, other.rle) > 0.99


def batches_seen(predictor: Predictor) -> list[int]:
    """How many images the model is given at once, from now on."""
    sizes: list[int] = []
    encode = predictor._model.encode_image
    predictor._model.encode_image = lambda pixels: sizes.append(len(pixels)) or encode(pixels)  # type: ignore[assignment, func-returns-value]
    return sizes


@pytest.mark.parametrize("cache_bytes", [0, 1 << 28])
def test_images_of_any_sizes_together_are_each_as_if_alone(cache_bytes: int) -> None:
    alone, together = make_predictor(), make_predictor(batch_size=3, cache_bytes=cache_bytes)
    bank = alone.embed_references([Reference(photo(0), [BOX, POINT, NEGATIVE])])
    assert bank.negatives
    sizes = batches_seen(together)
    # Prepared ahead or not.
    images = [*map(together.prepare, MIXED[:3]), *MIXED[3:]]
    found = together.segment_many(images, bank, score_threshold={1: 0.0, 2: 0.3})
    assert sum(map(len, found)) > 6
    for image, one in zip(MIXED, found, strict=True):
        assert_same(one, alone.segment(image, bank, score_threshold={1: 0.0, 2: 0.3}))
    assert together.segment_many([], bank) == []
    # The same image twice is encoded once where it is kept.
    assert sizes == ([3, 2, 1] if cache_bytes == 0 else [2, 2, 1])


def test_what_is_kept_of_a_batch_need_not_be_computed_again() -> None:
    predictor = make_predictor(batch_size=4)
    bank = predictor.embed_references([Reference(photo(0), [BOX])])
    predictor.segment(MIXED[0], bank)
    sizes = batches_seen(predictor)
    predictor.segment_many(MIXED, bank)
    predictor.segment_many(MIXED[::-1], bank)
    assert sizes == [1, 2, 1]
    assert predictor.kept_images == 6
    encoded = list(predictor._features._encoded._values.values())
    storages = {one.pyramid.mask_features.untyped_storage().data_ptr() for one in encoded}
    assert len(storages) == len(encoded)  # one can be forgotten without the others


def test_objects_are_referred_to_in_many_images_as_if_in_each_alone() -> None:
    alone, together = make_predictor(), make_predictor(batch_size=3)
    bank = alone.embed_references([Reference(photo(0), [BOX, POINT, NEGATIVE])])
    for lowest in (None, 0.0):  # of likeness: each candidate is embedded
        how: dict[str, Any] = {"options": ANYTHING, "likeness_threshold": lowest}
        how["max_candidates"] = 2
        found = together.refer_many([together.prepare(image) for image in MIXED], bank, **how)
        for image, one in zip(MIXED, found, strict=True):
            expected = alone.refer(image, bank, **how)
            assert one.candidates.keys() == expected.candidates.keys()
            for number, ranked in one.candidates.items():
                assert ranked
                assert_same(
                    Segmentation(one.size_hw, ranked),
                    Segmentation(one.size_hw, expected.candidates[number]),
                )


def test_tiles_are_computed_together_also_those_of_one_image() -> None:
    alone, together = make_predictor(), make_predictor(batch_size=4, cache_bytes=0)
    bank = alone.embed_references([Reference(photo(0), [BOX])])
    images = [photo(1, 200, 260), photo(2, 90, 120)]
    sizes = batches_seen(together)
    ready = [together.prepare(image) for image in images]
    found = together.segment_many(ready, bank, score_threshold=0.0, tile=150)
    for image, one in zip(images, found, strict=True):
        assert_same(one, alone.segment(image, bank, score_threshold=0.0, tile=150))
    assert sizes == [1, 4, 1]
    chosen = together.segment_many(images, bank, score_threshold=0.0, tile="auto")
    assert_same(chosen[1], alone.segment(images[1], bank, score_threshold=0.0))
    side = tile_side((200, 260), together.input_size)
    assert_same(chosen[0], alone.segment(images[0], bank, score_threshold=0.0, tile=side))


def test_where_memory_does_not_suffice_fewer_images_are_computed_together_and_it_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    predictor = make_predictor(batch_size=8, cache_bytes=0)
    bank = predictor.embed_references([Reference(photo(0), [BOX])])
    images = [photo(i) for i in range(7)]
    expected = [predictor.segment(image, bank, score_threshold=0.0) for image in images]
    sizes = batches_seen(predictor)
    decode, room = predictor._model.decode_proposals, 2

    def decode_if_it_fits(pyramid: FeaturePyramid) -> Proposals:
        if len(pyramid.mask_features) > room:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return decode(pyramid)

    predictor._model.decode_proposals = decode_if_it_fits  # type: ignore[method-assign]
    found = predictor.segment_many(images, bank, score_threshold=0.0)
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other)
    assert sizes == [7, 3, 1, 1, 1, 1, 1, 1, 1]
    assert predictor.batch_size == 1
    (line,) = caplog.messages  # and not one for every size that was tried
    assert line.startswith("Too little memory for 7 images together: from here on 1 at a time.")
    room = 0
    with pytest.raises(torch.OutOfMemoryError):
        predictor.segment_many(images, bank)


def test_how_many_images_are_computed_together_depends_on_the_device() -> None:
    assert default_batch_size(torch.device("cpu")) == 1 == make_predictor().batch_size
    assert default_batch_size(torch.device("cuda", 1)) > 1
    with pytest.raises(InvalidOptions, match="Use 1 or more"):
        make_predictor(batch_size=0)


def test_without_a_cache_the_content_of_images_is_not_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(features, "_content_key", lambda _: pytest.fail("it takes time"))
    predictor = make_predictor(cache_bytes=0)
    bank = predictor.embed_references([Reference(photo(0), [BOX])])
    assert len(predictor.segment(photo(1), bank, score_threshold=0.0)) > 0
    predictor.refer(photo(1), bank)
    assert predictor.kept_images == predictor.kept_bytes == 0


def test_what_is_prepared_is_not_prepared_again(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = make_predictor(batch_size=2)
    bank = predictor.embed_references([Reference(photo(0), [BOX])])
    ready = [predictor.prepare(photo(1)), predictor.prepare(photo(2))]
    monkeypatch.setattr(ImageTransform, "apply_image", lambda *_: pytest.fail("it is ready"))
    assert all(predictor.segment_many(ready, bank, score_threshold=0.0))
    with pytest.raises(InvalidImage, match="read_rgb"):
        predictor.prepare(np.zeros((3, 3), np.uint8))
