"""The open-set task equals the recorded tensors of the published model, stage by stage."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch

from dinov.config import recognise_variant
from dinov.images import ImageTransform
from dinov.model.build import build_model
from dinov.model.position import map_position_code
from dinov.model.prompt_encoder import allowed_positions
from dinov.model.queries import QueryKind, attention_allowed
from dinov.postprocess import reference_demo
from dinov.upstream import from_official
from tests.parity.archive import VARIANT_OF, Parity

# Recommended tolerances, section 2 of the notes beside the recorded tensors.
INPUT, FEATURES, LOGITS, BOXES, MASKS, SCORES, PIXELS = 1e-6, 5e-5, 1e-4, 1e-5, 3e-4, 1e-5, 1e-5

SMALL = ["tiny", "tiny5"]
GENERIC = [*SMALL, pytest.param("swinT", marks=pytest.mark.slow)]
CASES = ["single", "mean2", "three"]

ParityOf = Callable[[str], Parity]


@pytest.fixture
def parity(request: pytest.FixtureRequest, parity_of: ParityOf) -> Parity:
    return parity_of(request.param)


@pytest.mark.parametrize("parity", GENERIC, indirect=True)
class TestOpenSet:
    def test_the_architecture_holds_exactly_the_official_tensors(self, parity: Parity) -> None:
        official = parity.official_state_dict(parity.model)
        ours = {key: tuple(value.shape) for key, value in from_official(official).items()}
        assert ours == {k: tuple(v.shape) for k, v in parity.model.state_dict().items()}
        assert recognise_variant(ours) == VARIANT_OF[parity.name]

    @pytest.mark.parametrize("image", ["refA", "target"])
    def test_encoding_an_image(self, parity: Parity, image: str) -> None:
        parity.check(f"{image}/input", parity.pixels(image), INPUT)
        for level, features in parity.features(image).items():
            parity.check(f"{image}/{level}", features, FEATURES)
        pyramid = parity.pyramid(image)
        for i, level_map in enumerate(pyramid.levels):
            parity.check(f"{image}/multi_scale{i}", level_map, FEATURES)
        parity.check(f"{image}/mask_features", pyramid.mask_features, FEATURES)

    def test_prompts_one_by_one_and_together(self, parity: Parity) -> None:
        model = parity.model
        kinds = parity.recipe.PROMPTS
        together = model.queries.content(parity.tokens("refA", *kinds), batch=1)
        parity.check("prompt/all5/content", together.vectors, FEATURES)
        for kind in kinds:
            alone = model.queries.content(parity.tokens("refA", kind), batch=1)
            parity.check(f"prompt/{kind}/content", alone.vectors, FEATURES)
        other = model.queries.content(parity.tokens("refB", "box"), batch=1)
        parity.check("prompt/refB_box/content", other.vectors, FEATURES)

    @pytest.mark.parametrize("case", CASES)
    def test_decoding(self, parity: Parity, case: str) -> None:
        embeddings = parity.cases()[case]
        with torch.inference_mode():
            layers = parity.model.decode_generic_layers(parity.pyramid("target"), embeddings).layers
        last, auxiliary = layers[-1], layers[:-1]
        parity.check(f"openset/{case}/pred_logits", last.logits, LOGITS)
        parity.check(f"openset/{case}/pred_boxes", last.boxes_cxcywh, BOXES)
        parity.check(f"openset/{case}/pred_masks", last.mask_logits, MASKS)
        logits = torch.stack([layer.logits for layer in auxiliary])
        boxes = torch.stack([layer.boxes_cxcywh for layer in auxiliary])
        parity.check(f"openset/{case}/aux_logits", logits, LOGITS)
        parity.check(f"openset/{case}/aux_boxes", boxes, BOXES)

    @pytest.mark.parametrize("case", CASES)
    def test_proposals_and_categories_decoded_apart(self, parity: Parity, case: str) -> None:
        pyramid = parity.pyramid("target")
        with torch.inference_mode():
            proposals = parity.model.decode_proposals(pyramid)
            categories = parity.model.decode_categories(pyramid, parity.cases()[case])
        logits = proposals.vectors @ categories.mT
        parity.check(f"openset/{case}/pred_logits", logits, LOGITS)
        parity.check(f"openset/{case}/pred_boxes", proposals.boxes_cxcywh, BOXES)
        parity.check(f"openset/{case}/pred_masks", proposals.mask_logits, MASKS)

    @pytest.mark.parametrize("case", CASES)
    def test_the_demo_post_processing(self, parity: Parity, case: str) -> None:
        with torch.inference_mode():
            prediction = parity.model.decode_generic(parity.pyramid("target"), parity.cases()[case])
        _, scores, masks = reference_demo(
            prediction.logits[0], prediction.mask_logits[0], parity.transform("target")
        )
        parity.check(f"demo/{case}/scores", scores, SCORES)
        parity.check(f"demo/{case}/mask_logits", masks, MASKS)
        parity.check(f"demo/{case}/masks_binary", masks > 0, PIXELS)


@pytest.fixture
def tiny(parity_of: ParityOf) -> Parity:
    return parity_of("tiny")


@pytest.mark.parametrize("kind", ["mask", "box", "scribble", "point", "zero"])
def test_where_a_prompt_may_look(tiny: Parity, kind: str) -> None:
    sizes = [level.shape[-2:] for level in tiny.pyramid("refA").levels]
    allowed = allowed_positions(tiny.prompts("refA", kind), sizes)
    for i, level in enumerate(reversed(allowed)):
        tiny.check(f"prompt/{kind}/prompt_layer{i}.allowed", level, 0)


def test_position_code(tiny: Parity) -> None:
    code = map_position_code(20, 28, 64, torch.device("cpu"))
    tiny.check("refA/tap/sine_position_level0", code.T.reshape(1, 64, 20, 28), 1e-5)


def test_who_sees_whom(tiny: Parity) -> None:
    queries = tiny.model.queries
    groups = [queries.generic(1), queries.content(torch.zeros(3, 64), 1)]
    allowed = attention_allowed(groups, content_independent=True)
    tiny.check("openset/three/tap/self_attn_mask", ~allowed, 0)
    assert [g.kind for g in groups] == [QueryKind.GENERIC, QueryKind.CONTENT]


def test_content_queries_that_see_generic_ones(tiny: Parity) -> None:
    decoder = dataclasses.replace(tiny.config.decoder, content_independent=False)
    model = build_model(dataclasses.replace(tiny.config, decoder=decoder)).eval()
    model.load_state_dict(tiny.model.state_dict())
    with torch.inference_mode():
        logits = model.decode_generic(tiny.pyramid("target"), tiny.cases()["three"]).logits
    tiny.check("openset/three_content_sees_generic/pred_logits", logits, LOGITS)
    with pytest.raises(ValueError, match="decode_generic"):
        model.decode_categories(tiny.pyramid("target"), tiny.cases()["three"])


@pytest.mark.parametrize(
    ("case", "size_hw"), [("single_down", (97, 75)), ("single_up", (300, 232))]
)
def test_the_demo_at_other_output_sizes(tiny: Parity, case: str, size_hw: tuple[int, int]) -> None:
    transform = tiny.transform("target")
    other = ImageTransform(size_hw, transform.input_hw, transform.padded_hw)
    with torch.inference_mode():
        prediction = tiny.model.decode_generic(tiny.pyramid("target"), tiny.cases()["single"])
    _, scores, masks = reference_demo(prediction.logits[0], prediction.mask_logits[0], other)
    tiny.check(f"demo/{case}/scores", scores, SCORES)
    tiny.check(f"demo/{case}/mask_logits", masks, MASKS)
    tiny.check(f"demo/{case}/masks_binary", masks > 0, PIXELS)


@pytest.mark.parametrize("step", ["0.30", "0.10", "0.05", "0.01"])
def test_the_threshold_ladder_of_the_demo(tiny: Parity, step: str) -> None:
    logits = tiny.golden.stored(f"filter/{step}/logits")
    masks = torch.zeros(len(logits), 8, 8)
    transform = ImageTransform((32, 32), (32, 32), (32, 32))
    kept, scores, _ = reference_demo(logits, masks, transform)
    tiny.check(f"filter/{step}/kept", kept, 0)
    tiny.check(f"filter/{step}/scores", scores, SCORES)


@pytest.mark.parametrize("grid", [6, 20])
@pytest.mark.parametrize(
    "parity", ["tiny", pytest.param("swinT", marks=pytest.mark.slow)], indirect=True
)
def test_referring_decode(parity: Parity, grid: int) -> None:
    prompts = parity.tokens("refA", "mask", "box", "scribble")
    with torch.inference_mode():
        prediction = parity.model.decode_refer(parity.pyramid("target"), prompts, grid=grid)
    parity.check(f"refer{grid}/pred_match_score", prediction.match_scores, LOGITS)
    parity.check(f"refer{grid}/pred_ious", prediction.ious.unflatten(1, (-1, 6)), FEATURES)
    parity.check(f"refer{grid}/pred_boxes", prediction.boxes_cxcywh, BOXES)
    parity.check(f"refer{grid}/pred_masks", prediction.mask_logits, MASKS)
