"""The open-set task equals the recorded tensors of the published model, stage by stage."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable

import numpy as np
import pytest
import torch

from dinov.model.build import build_model
from dinov.model.heads import masks_of
from dinov.model.position import code_periods, map_position_code
from dinov.model.prompt_encoder import allowed_positions
from dinov.model.queries import QueryKind, attention_allowed
from dinov.postprocess import reference_demo
from dinov.upstream import UNUSED_KEYS, our_name
from tests.parity.archive import Parity, needs_cuda

# Recommended tolerances, section 2 of the notes beside the recorded tensors.
INPUT, FEATURES, LOGITS, BOXES, MASKS, SCORES, PIXELS = 1e-6, 5e-5, 1e-4, 1e-5, 3e-4, 1e-5, 1e-5

SMALL = ["tiny", "tiny5"]
LARGE = [pytest.param(name, marks=pytest.mark.slow) for name in ("swinT", "swinL")]
ON_GPU = [pytest.param(f"{name} on cuda", marks=needs_cuda) for name in ("tiny", "tiny5", "swinT")]
GENERIC = [*SMALL, *LARGE, *ON_GPU]
CASES = ["single", "mean2", "three"]

ParityOf = Callable[[str], Parity]


@pytest.fixture
def parity(request: pytest.FixtureRequest, parity_of: ParityOf) -> Parity:
    return parity_of(request.param)


@pytest.mark.parametrize("parity", GENERIC, indirect=True)
class TestOpenSet:
    def test_every_tensor_is_in_its_place(self, parity: Parity) -> None:
        own = parity.model.state_dict()
        for key, entry in parity.manifest.items():
            if key not in UNUSED_KEYS:
                value = own[our_name(key)].cpu().numpy()
                assert zlib.crc32(np.ascontiguousarray(value).tobytes()) == entry["crc32"], key

    def test_encoding_an_image(self, parity: Parity) -> None:
        for image in parity.recorded("{}/input", ["refA", "target"]):
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
        parity.check("prompt/all5/bbox", together.box_logits, FEATURES)
        allowed = attention_allowed([together], content_independent=True)
        parity.check("prompt/all5/attn_mask", ~allowed, 0)
        tokens = {kind: parity.tokens("refA", kind) for kind in kinds}
        tokens |= {"refB_box": parity.tokens("refB", "box"), "mean2": parity.cases()["mean2"]}
        for name in parity.recorded("prompt/{}/content", list(tokens)):
            content = model.queries.content(tokens[name], batch=1)
            parity.check(f"prompt/{name}/content", content.vectors, FEATURES)

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
        masks = masks_of(proposals.mask_vectors, pyramid.mask_features)
        parity.check(f"openset/{case}/pred_masks", masks, MASKS)

    def test_the_demo_post_processing(self, parity: Parity) -> None:
        for case in parity.recorded("demo/{}/scores", CASES):
            embeddings = parity.cases()[case]
            with torch.inference_mode():
                prediction = parity.model.decode_generic(parity.pyramid("target"), embeddings)
            _, scores, masks = reference_demo(
                prediction.logits[0], prediction.mask_logits[0], parity.transform("target")
            )
            parity.check(f"demo/{case}/scores", scores, SCORES)
            parity.check_order(f"demo/{case}/order", scores, SCORES)
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
    code = map_position_code(20, 28, code_periods(32, torch.device("cpu")))
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
