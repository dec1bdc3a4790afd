"""Properties of the whole model that hold whatever the weights are."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dinov.config import VARIANTS
from dinov.model.build import build_model
from dinov.model.dinov import DenoiseQueries, DINOv, FeaturePyramid
from dinov.model.heads import masks_of
from dinov.model.prompt_encoder import mean_per_category
from dinov.model.queries import attention_allowed, point_grid

HEIGHT, WIDTH = 96, 128


@pytest.fixture(scope="module", params=["tiny", "tiny5", "lite"])
def model(request: pytest.FixtureRequest) -> DINOv:
    torch.manual_seed(0)
    model = build_model(VARIANTS[request.param]).eval()
    # Zero-initialised layers would hide what they are fed with.
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
            assert name.endswith(("weight", "table"))
    return model


@pytest.fixture(scope="module")
def pixels() -> Tensor:
    return torch.randn(2, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def pyramid(model: DINOv, pixels: Tensor) -> FeaturePyramid:
    with torch.inference_mode():
        return model.encode_image(pixels)


def boxes_as_masks(*boxes: tuple[int, int, int, int]) -> Tensor:
    masks = torch.zeros(len(boxes), HEIGHT, WIDTH, dtype=torch.bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    return masks


PROMPTS = boxes_as_masks((5, 5, 40, 40), (60, 20, 100, 70), (100, 80, 101, 81))


def image(pyramid: FeaturePyramid, index: int) -> FeaturePyramid:
    return FeaturePyramid(
        tuple(level[index : index + 1] for level in pyramid.levels),
        pyramid.mask_features[index : index + 1],
    )


def embeddings_of(model: DINOv, pyramid: FeaturePyramid) -> Tensor:
    return model.encode_prompts(pyramid, PROMPTS, torch.tensor([0, 1, 0]))


@torch.inference_mode()
def test_a_batch_of_two_equals_two_of_one(
    model: DINOv, pixels: Tensor, pyramid: FeaturePyramid
) -> None:
    embeddings = embeddings_of(model, pyramid)
    both = model.decode_generic(pyramid, embeddings)
    for i in range(2):
        alone = model.decode_generic(model.encode_image(pixels[i : i + 1]), embeddings)
        torch.testing.assert_close(alone.logits[0], both.logits[i], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(alone.mask_logits[0], both.mask_logits[i], atol=1e-3, rtol=1e-3)


@torch.inference_mode()
def test_prompts_of_several_images_equal_those_of_each(
    model: DINOv, pyramid: FeaturePyramid
) -> None:
    together = embeddings_of(model, pyramid)
    first = model.encode_prompts(image(pyramid, 0), PROMPTS[[0, 2]])
    second = model.encode_prompts(image(pyramid, 1), PROMPTS[[1]])
    torch.testing.assert_close(together[[0, 2]], first, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(together[[1]], second, atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_permuting_categories_permutes_scores(model: DINOv, pyramid: FeaturePyramid) -> None:
    embeddings = embeddings_of(model, pyramid)
    order = [2, 0, 1]
    logits = model.decode_generic(pyramid, embeddings).logits
    permuted = model.decode_generic(pyramid, embeddings[order]).logits
    torch.testing.assert_close(permuted, logits[..., order], atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_another_category_leaves_scores_boxes_and_masks_alone(
    model: DINOv, pyramid: FeaturePyramid
) -> None:
    embeddings = embeddings_of(model, pyramid)
    before = model.decode_generic(pyramid, embeddings)
    changed = torch.cat([embeddings[:2], torch.randn_like(embeddings[2:])])
    after = model.decode_generic(pyramid, changed)
    torch.testing.assert_close(after.logits[..., :2], before.logits[..., :2])
    torch.testing.assert_close(after.mask_logits, before.mask_logits)
    assert not torch.allclose(after.logits[..., 2], before.logits[..., 2])


@torch.inference_mode()
def test_no_category_is_a_valid_question(model: DINOv, pyramid: FeaturePyramid) -> None:
    none = embeddings_of(model, pyramid)[:0]
    assert model.decode_generic(pyramid, none).logits.shape[-1] == 0
    assert model.decode_categories(pyramid, none).shape[1] == 0
    assert model.decode_refer(pyramid, none, grid=2).match_scores.shape == (2, 0, 24)


@torch.inference_mode()
def test_proposals_and_categories_apart_equal_the_joint_decode(
    model: DINOv, pyramid: FeaturePyramid
) -> None:
    embeddings = embeddings_of(model, pyramid)
    joint = model.decode_generic(pyramid, embeddings)
    proposals = model.decode_proposals(pyramid)
    logits = proposals.vectors @ model.decode_categories(pyramid, embeddings).mT
    torch.testing.assert_close(logits, joint.logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(proposals.boxes_cxcywh, joint.boxes_cxcywh, atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_denoising_queries_change_nothing_else(model: DINOv, pyramid: FeaturePyramid) -> None:
    embeddings = embeddings_of(model, pyramid)
    noised = DenoiseQueries(torch.rand(2, 6, 4) * 0.5 + 0.2, groups=3)
    plain = model.decode_generic_layers(pyramid, embeddings)
    with_denoise = model.decode_generic_layers(pyramid, embeddings, noised)
    for a, b in zip(plain.layers, with_denoise.layers, strict=True):
        torch.testing.assert_close(a.logits, b.logits, atol=1e-4, rtol=1e-4)
    assert len(with_denoise.denoise) == len(with_denoise.layers)
    assert with_denoise.denoise[-1].boxes_cxcywh.shape == (2, 6, 4)


@torch.inference_mode()
def test_a_group_of_denoising_queries_is_blind_to_the_others(
    model: DINOv, pyramid: FeaturePyramid
) -> None:
    embeddings = embeddings_of(model, pyramid)
    boxes = torch.rand(2, 6, 4) * 0.5 + 0.2
    moved = torch.cat([boxes[:, :2], boxes[:, 2:].roll(1, dims=1)], dim=1)
    a, b = (
        model.decode_generic_layers(pyramid, embeddings, DenoiseQueries(x, groups=3)).denoise[-1]
        for x in (boxes, moved)
    )
    torch.testing.assert_close(a.boxes_cxcywh[:, :2], b.boxes_cxcywh[:, :2], atol=1e-5, rtol=1e-4)
    assert not torch.allclose(a.boxes_cxcywh[:, 2:], b.boxes_cxcywh[:, 2:])


@torch.inference_mode()
def test_points_decoded_apart_equal_all_queries_under_one_attention_mask(
    model: DINOv, pyramid: FeaturePyramid
) -> None:
    embeddings = embeddings_of(model, pyramid)
    boxes = point_grid(4, pyramid.padded_size_hw, embeddings.device).expand(2, -1, -1)
    groups = [model.queries.points(boxes), model.queries.content(embeddings, 2)]
    vectors, box_logits = (
        torch.cat([getattr(group, name) for group in groups], dim=1)
        for name in ("vectors", "box_logits")
    )
    allowed = attention_allowed(groups, content_independent=True)
    state = model.decoder(vectors, box_logits, allowed, pyramid.levels)[-1]
    refer_vectors = model.heads.refer_vectors(model.decoder.norm(state.vectors))
    points = model.decode_points(pyramid, grid=4)
    prompts = model.decode_prompts(pyramid, embeddings)
    torch.testing.assert_close(points.vectors, refer_vectors[:, :96], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(prompts, refer_vectors[:, 96:], atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_masks_of_chosen_points_are_those_of_all(model: DINOv, pyramid: FeaturePyramid) -> None:
    embeddings = embeddings_of(model, pyramid)
    everything = model.decode_refer(pyramid, embeddings, grid=3)
    points = model.decode_points(pyramid, grid=3)
    chosen = torch.tensor([50, 0, 17])
    masks = masks_of(points.mask_vectors[:, chosen], pyramid.mask_features)
    torch.testing.assert_close(masks, everything.mask_logits[:, chosen], atol=1e-4, rtol=1e-4)
    assert points.nbytes > points.vectors.nbytes


@torch.inference_mode()
def test_referring_proposals_do_not_depend_on_prompts(
    model: DINOv, pyramid: FeaturePyramid
) -> None:
    embeddings = embeddings_of(model, pyramid)
    two = model.decode_refer(pyramid, embeddings[:2], grid=3)
    three = model.decode_refer(pyramid, embeddings, grid=3)
    assert three.match_scores.shape == (2, 3, 54)
    torch.testing.assert_close(two.ious, three.ious, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(two.match_scores, three.match_scores[:, :2], atol=1e-4, rtol=1e-4)


def test_every_parameter_of_the_generic_task_gets_a_gradient(model: DINOv, pixels: Tensor) -> None:
    pyramid = model.encode_image(pixels)
    noised = DenoiseQueries(torch.rand(2, 4, 4) * 0.5 + 0.2, groups=2)
    prediction = model.decode_generic_layers(pyramid, embeddings_of(model, pyramid), noised)
    parts = [(p.logits, p.boxes_cxcywh, p.mask_logits) for p in prediction.layers]
    sum(t.square().sum() for part in parts for t in part).backward()  # type: ignore[union-attr]
    without = {name for name, p in model.named_parameters() if p.grad is None}
    refer_only = {"heads.class_embed", "queries.mask_tokens.weight"}
    assert without == refer_only | {n for n in without if n.startswith("heads.iou_prediction")}
    model.zero_grad()


def test_a_category_without_prompts_is_a_zero_embedding() -> None:
    embeddings = torch.tensor([[1.0, 3.0], [3.0, 5.0], [7.0, 7.0]])
    mean = mean_per_category(embeddings, torch.tensor([0, 0, 2]), 3)
    assert mean.tolist() == [[2.0, 4.0], [0.0, 0.0], [7.0, 7.0]]
