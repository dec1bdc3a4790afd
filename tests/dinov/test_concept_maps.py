"""What the maps of a concept head change in what is found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from dinov.checkpoints import load_model, save_model
from dinov.concept_maps import (
    LEAST_AGREEMENT,
    LEAST_ALONE,
    agreed_logits,
    agreed_masks,
    with_maps,
)
from dinov.config import VARIANTS
from dinov.errors import CheckpointMismatch
from dinov.masks import decode_rle
from dinov.model import dinov
from dinov.model.build import build_model
from dinov.predictor import Predictor
from dinov.refer import ReferOptions
from dinov.tracker import TrackerState, VideoTracker
from dinov.types import Prompt, PromptType, Reference, SizeHW
from tests.dinov.tiny import make_predictor, photo

BOX = Prompt(1, PromptType.BOX, (10.0, 10.0, 60.0, 50.0))
OTHER = Prompt(2, PromptType.BOX, (70.0, 20.0, 110.0, 80.0))
SURE, NEVER = 9.0, -9.0


def with_head(**options: Any) -> Predictor:
    """The model of ``make_predictor`` with a head of random weights."""
    torch.manual_seed(0)
    model = build_model(VARIANTS["tiny"], with_concept_head=True)
    plain = make_predictor()._model.state_dict()
    model.load_state_dict(plain, strict=False)
    settings: dict[str, Any] = {"variant": "tiny", "checkpoint_hash": "abc", "device": "cpu"}
    return Predictor(model, **(settings | options))


def test_a_probability_is_the_geometric_mean_of_both_opinions() -> None:
    masks = torch.full((2, 8, 8), NEVER)
    masks[0, :4] = SURE
    masks[1, :, :4] = SURE
    maps = torch.full((1, 4, 4), NEVER)
    maps[0, :2] = torch.tensor(0.64).logit()
    agreed = agreed_logits(torch.tensor([[0.25], [0.25]]).logit(), masks, maps).sigmoid()
    # What the map denies is no part of the second mask, so that it does not count against it.
    torch.testing.assert_close(agreed, torch.full((2, 1), 0.4), rtol=1e-4, atol=1e-4)


def test_where_the_map_knows_of_nothing_no_proposal_fits() -> None:
    masks = torch.full((1, 8, 8), SURE)
    maps = torch.full((1, 4, 4), torch.tensor(0.9 * LEAST_AGREEMENT).logit().item())
    assert agreed_logits(torch.tensor([[SURE]]), masks, maps).sigmoid() < 0.01
    empty = agreed_logits(torch.tensor([[SURE]]), -masks, maps)
    assert empty.isfinite().all()


def test_what_the_map_denies_is_taken_out_of_the_mask() -> None:
    masks = torch.full((2, 16, 16), SURE)
    masks[1, :, 8:] = NEVER
    maps = torch.full((2, 8, 8), SURE)
    maps[:, 4:] = NEVER
    left = agreed_masks(masks, maps) > 0
    assert left[0, :7].all()
    assert not left[0, 9:].any()
    assert left[1, :7, :8].all()
    assert not left[1, :, 8:].any()
    assert len(agreed_masks(masks[:0], maps[:0])) == 0


def mapped(
    maps: torch.Tensor,
    masks: torch.Tensor | None = None,
    *,
    negatives: Sequence[int] = (),
    input_hw: SizeHW = (64, 64),
) -> tuple[torch.Tensor, torch.Tensor]:
    """What is added to proposals of the first category: [R, K] and [R, 2 h, 2 w]."""
    count = len(maps) - len(negatives)
    masks = torch.zeros(0, 16, 16) if masks is None else masks
    proposed = torch.zeros(len(masks), count)
    proposed[:, 0] = 0.9
    found = with_maps(proposed, masks, maps, range(1, count + 1), negatives, input_hw)
    return found[0][len(masks) :], found[1][len(masks) :]


def maps_with(*areas: tuple[int, slice, slice, float], count: int = 1) -> torch.Tensor:
    """[count, 8, 8] logits: each area of a concept with its probability, and nothing else."""
    maps = torch.full((count, 8, 8), NEVER)
    for concept, rows, columns, probability in areas:
        maps[concept, rows, columns] = torch.tensor(probability).logit()
    return maps


LEFT, RIGHT, TOP = slice(0, 3), slice(5, 8), slice(0, 4)


def test_each_connected_part_of_a_map_is_added_where_nothing_was_proposed() -> None:
    maps = maps_with((0, TOP, LEFT, 0.8), (0, TOP, RIGHT, 0.6))
    probabilities, regions = mapped(maps)
    torch.testing.assert_close(probabilities, torch.tensor([[0.8], [0.6]]))
    assert (regions > 0)[0, :7, :5].all()
    assert not (regions > 0)[0, :, 7:].any()
    assert (regions > 0)[1, :7, 11:].all()
    assert not (regions > 0)[1, :, :9].any()


@pytest.mark.parametrize(("covered", "added"), [(2, True), (6, False)])
def test_what_proposals_mostly_cover_is_not_added(covered: int, added: bool) -> None:
    masks = torch.full((1, 16, 16), NEVER)
    masks[:, :covered, :6] = SURE
    assert len(mapped(maps_with((0, TOP, LEFT, 0.8)), masks)[0]) == added


def test_a_map_that_is_not_sure_adds_nothing() -> None:
    assert len(mapped(maps_with((0, TOP, LEFT, 0.9 * LEAST_ALONE)))[0]) == 0


def test_nothing_is_added_on_the_padding() -> None:
    maps = maps_with((0, TOP, RIGHT, 0.8))
    assert len(mapped(maps, input_hw=(64, 40))[0]) == 0
    assert len(mapped(maps, input_hw=(64, 48))[0]) == 1


def test_each_place_is_of_the_surest_category() -> None:
    maps = maps_with((0, TOP, LEFT, 0.7), (1, TOP, slice(2, 8), 0.9), count=2)
    probabilities, regions = mapped(maps)
    torch.testing.assert_close(probabilities, torch.tensor([[0.7, 0.0], [0.0, 0.9]]))
    assert not ((regions[0] > 0) & (regions[1] > 0)).any()


def test_where_the_negative_fits_better_nothing_is_added() -> None:
    maps = maps_with((0, TOP, LEFT, 0.7), (0, TOP, RIGHT, 0.7), (1, TOP, RIGHT, 0.8), count=2)
    probabilities, regions = mapped(maps, negatives=[1])
    assert len(probabilities) == 1
    assert (regions > 0)[0, :7, :5].all()


def test_what_only_the_map_shows_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "dinov.predictor.agreed_logits", lambda logits, *_: torch.full_like(logits, NEVER)
    )
    predictor = with_head()
    bank = predictor.embed_references([Reference(photo(0), [BOX])])
    decode = predictor._model.decode_concepts

    def one_spot(pyramid: object, concepts: torch.Tensor) -> torch.Tensor:
        maps = torch.full_like(decode(pyramid, concepts), NEVER)  # type: ignore[arg-type]
        maps[..., 2:5, 3:6] = SURE
        return maps

    predictor._model.decode_concepts = one_spot  # type: ignore[method-assign, assignment]
    found = predictor.segment(photo(1), bank)
    (spot,) = found.instances
    assert spot.category_id == 1
    assert spot.score > 0.8
    assert not found.emptied


def test_objects_are_found_as_far_as_the_map_agrees() -> None:
    predictor = with_head()
    bank = predictor.embed_references([Reference(photo(0), [BOX, OTHER])])
    decode = predictor._model.decode_concepts

    def only_on_the_left(pyramid: object, concepts: torch.Tensor) -> torch.Tensor:
        maps = torch.full_like(decode(pyramid, concepts), NEVER)  # type: ignore[arg-type]
        maps[..., : maps.shape[-1] // 2] = SURE
        return maps

    predictor._model.decode_concepts = only_on_the_left  # type: ignore[method-assign, assignment]
    found = predictor.segment(photo(1), bank, score_threshold=0.0)
    assert found.instances
    for instance in found.instances:
        assert not decode_rle(instance.rle)[:, 70:].any()


def test_each_concept_is_mapped_for_itself() -> None:
    predictor = with_head()
    both = predictor.embed_references([Reference(photo(0), [BOX, OTHER])])
    alone = predictor.embed_references([Reference(photo(0), [BOX])])
    together = predictor.compare(photo(1), both.concept_embeddings()).logits
    single = predictor.compare(photo(1), alone.concept_embeddings()).logits
    torch.testing.assert_close(together[:, :1], single, rtol=1e-4, atol=1e-4)


def test_the_refer_task_knows_nothing_of_maps() -> None:
    options = ReferOptions(grid=4, iou_threshold=-1e9, min_area=0)
    referrals = []
    for predictor in (with_head(), make_predictor()):
        bank = predictor.embed_references([Reference(photo(0), [BOX])])
        for likeness in (-1.0, 0.2):
            referrals.append(
                predictor.refer(photo(1), bank, options=options, likeness_threshold=likeness)
            )
    assert referrals[0] == referrals[2]
    assert referrals[1] == referrals[3]


def test_several_images_are_mapped_as_if_each_were_alone() -> None:
    predictor = with_head(batch_size=2)
    bank = predictor.embed_references([Reference(photo(0), [BOX, OTHER])])
    images = [photo(1), photo(2)]
    decoded = []
    decode = predictor._features.decode

    def noted(step: Any, encoded: Any, embeddings: Any) -> Any:
        found = decode(step, encoded, embeddings)
        if step == predictor._model.decode_concepts:
            decoded.extend(found)
        return found

    predictor._features.decode = noted  # type: ignore[method-assign]
    predictor.segment_many(images, bank, score_threshold=0.0)
    for image in images:
        alone = with_head()
        (encoded,) = alone._features.encode([image])
        maps = alone._model.decode_concepts(encoded.pyramid, bank.concept_embeddings())
        torch.testing.assert_close(decoded.pop(0), maps, rtol=1e-4, atol=1e-4)
    assert not decoded


def test_many_concepts_are_mapped_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = with_head()
    (encoded,) = predictor._features.encode([photo(1)])
    embeddings = torch.randn(5, predictor._model.embedding_dim + predictor._model.concept_head.dim)  # type: ignore[union-attr, operator]
    together = predictor._model.decode_concepts(encoded.pyramid, embeddings)
    monkeypatch.setattr(dinov, "_CONCEPTS_AT_ONCE", 2)
    apart = predictor._model.decode_concepts(encoded.pyramid, embeddings)
    torch.testing.assert_close(apart, together, rtol=1e-4, atol=1e-5)


def test_a_track_knows_nothing_of_maps() -> None:
    looks = []
    for predictor in (with_head(), make_predictor()):
        tracker = VideoTracker(predictor)
        state = tracker.correct(TrackerState(), photo(0), [BOX])
        looks.append(state.memories[1].mean())
    torch.testing.assert_close(looks[0], looks[1])


@torch.inference_mode()
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_maps_in_lower_precision_are_nearly_the_same(precision: str) -> None:
    maps = []
    for predictor in (with_head(), with_head(precision=precision)):
        bank = predictor.embed_references([Reference(photo(0), [BOX])])
        features = predictor._features
        encoded = features.encode([photo(1)])
        decode = predictor._model.decode_concepts
        maps += [m.sigmoid() for m in features.decode(decode, encoded, bank.concept_embeddings())]
    torch.testing.assert_close(maps[1], maps[0], rtol=0, atol=0.03)


def test_a_checkpoint_comes_with_its_head_or_without(tmp_path: Path) -> None:
    for has_head in (True, False):
        model = build_model(VARIANTS["tiny"], with_concept_head=has_head)
        path = save_model(model, tmp_path / f"{has_head}.safetensors", {})
        loaded = load_model(path)
        assert loaded.variant == "tiny"
        assert (loaded.model.concept_head is not None) == has_head


def test_a_head_must_be_whole(tmp_path: Path) -> None:
    model = build_model(VARIANTS["tiny"], with_concept_head=True)
    state = model.state_dict()
    del state["concept_head.out.bias"]
    torch.save(state, tmp_path / "partly.pth")
    with pytest.raises(CheckpointMismatch, match=r"missing.*concept_head\.out\.bias"):
        load_model(tmp_path / "partly.pth")
