"""What the recorded tensors cannot show: other weights, and images of any other size.

The oracle is the plain implementation, run from pixels to masks on its own.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from dinov.model.dinov import DINOv, FeaturePyramid, GenericPrediction, ReferPrediction
from dinov.model.heads import masks_of
from dinov.model.queries import point_grid
from dinov.plain import plain_arithmetic, plain_model
from tests.parity.archive import Parity

# Recommended tolerances, section 2 of the notes beside the recorded tensors.
FEATURES, LOGITS, BOXES, MASKS, IOUS = 5e-5, 1e-4, 1e-5, 3e-4, 5e-5

KINDS = ("mask", "box", "scribble", "point", "zero")
GRID = 5
# Smaller than a window, long, and no side a multiple of anything.
SIZES = {"line": (33, 299), "small": (37, 91), "tall": (333, 127), "odd": (201, 251)}
MODELS = [
    *(
        pytest.param((name, seed), id=f"{name}-{seed}")
        for name in ("tiny", "tiny5")
        for seed in (1, 2)
    ),
    pytest.param(("swinT", 1), id="swinT-1", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module", params=MODELS)
def parity(request: pytest.FixtureRequest, shared_dir: Path) -> Parity:
    name, seed = request.param
    return Parity(name, shared_dir / "parity", seed, tuple(SIZES.items()))


@pytest.fixture(scope="module")
def plain(parity: Parity) -> DINOv:
    return plain_model(parity.model)


def equal(found: Tensor, expected: Tensor, atol: float) -> None:
    torch.testing.assert_close(found, expected.detach(), atol=atol, rtol=0)


@pytest.mark.parametrize("image", list(SIZES))
def test_any_weights_and_any_size(parity: Parity, plain: DINOv, image: str) -> None:
    model, pyramid = parity.model, parity.pyramid(image)
    masks = parity.prompts(image, *KINDS)
    with plain_arithmetic():
        expected = plain.encode_image(parity.pixels(image))
        expected_tokens = plain.encode_prompts(expected, masks)
        generic = plain.decode_generic(expected, expected_tokens)
        refer = decode_refer_plainly(plain, expected, expected_tokens)
    for level, expected_level in zip(pyramid.levels, expected.levels, strict=True):
        equal(level, expected_level, FEATURES)
    equal(pyramid.mask_features, expected.mask_features, FEATURES)
    with torch.inference_mode():
        tokens = model.encode_prompts(pyramid, masks)
        equal(tokens, expected_tokens, FEATURES)
        check_generic(model, pyramid, tokens, generic)
        check_refer(model.decode_refer(pyramid, tokens, grid=GRID), refer)


def test_a_batch_of_different_sizes_is_each_of_them(shared_dir: Path) -> None:
    """Three images that are padded to one size, with prompts on the first and the last."""
    sizes = {"a": (37, 91), "b": (64, 66), "c": (51, 96)}
    parity = Parity("tiny5", shared_dir / "parity", seed=3, more_images=tuple(sizes.items()))
    model = parity.model
    masks = torch.cat([parity.prompts("a", "box"), parity.prompts("c", "scribble", "point")])
    with torch.inference_mode():
        together = model.encode_image(torch.cat([parity.pixels(name) for name in sizes]))
        tokens = model.encode_prompts(together, masks, torch.tensor([0, 2, 2]))
        generic = model.decode_generic(together, tokens)
        refer = model.decode_refer(together, tokens, grid=GRID)
        alone = [parity.tokens("a", "box"), parity.tokens("c", "scribble", "point")]
        equal(tokens, torch.cat(alone), FEATURES)
        for i, name in enumerate(sizes):
            row, pyramid = slice(i, i + 1), parity.pyramid(name)
            equal(together.mask_features[row], pyramid.mask_features, FEATURES)
            expected = GenericPrediction(
                generic.logits[row], generic.boxes_cxcywh[row], generic.mask_logits[row]
            )
            check_generic(model, pyramid, tokens, expected)
            alike = model.decode_refer(pyramid, tokens, grid=GRID)
            check_refer(
                alike,
                ReferPrediction(
                    refer.match_scores[row],
                    refer.ious[row],
                    refer.boxes_cxcywh[row],
                    refer.mask_logits[row],
                ),
            )


def test_a_prompt_and_a_target_of_different_sizes(parity: Parity, plain: DINOv) -> None:
    pyramids = parity.pyramid("tall"), parity.pyramid("small")
    masks = parity.prompts("tall", "scribble", "box")
    with plain_arithmetic():
        reference, target = (plain.encode_image(parity.pixels(name)) for name in ("tall", "small"))
        embedding = plain.encode_prompts(reference, masks).mean(0, keepdim=True)
        expected = plain.decode_generic(target, embedding)
    with torch.inference_mode():
        embedding = parity.model.encode_prompts(pyramids[0], masks).mean(0, keepdim=True)
        check_generic(parity.model, pyramids[1], embedding, expected)


def decode_refer_plainly(plain: DINOv, pyramid: FeaturePyramid, prompts: Tensor) -> ReferPrediction:
    points = point_grid(GRID, pyramid.padded_size_hw, prompts.device)[None]
    return plain.decode_refer_layers(pyramid, prompts, points)[-1]


def check_generic(
    model: DINOv, pyramid: FeaturePyramid, embeddings: Tensor, expected: GenericPrediction
) -> None:
    proposals = model.decode_proposals(pyramid)
    categories = model.decode_categories(pyramid, embeddings)
    equal(proposals.vectors @ categories.mT, expected.logits, LOGITS)
    equal(proposals.boxes_cxcywh, expected.boxes_cxcywh, BOXES)
    equal(masks_of(proposals.mask_vectors, pyramid.mask_features), expected.mask_logits, MASKS)


def check_refer(found: ReferPrediction, expected: ReferPrediction) -> None:
    equal(found.match_scores, expected.match_scores, LOGITS)
    equal(found.ious, expected.ious, IOUS)
    equal(found.boxes_cxcywh, expected.boxes_cxcywh, BOXES)
    equal(found.mask_logits, expected.mask_logits, MASKS)
