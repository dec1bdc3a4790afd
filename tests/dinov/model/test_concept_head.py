"""The concept head: prompts to vectors, vectors to maps, each as if it were alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dinov.config import VARIANTS
from dinov.model.build import build_model
from dinov.model.concept_head import ConceptHead
from dinov.model.lite import LiteBackbone

FINE, COARSE = [12], [16, 20]
STRIDES = (8, 16, 32)


@pytest.fixture(scope="module")
def head() -> ConceptHead:
    torch.manual_seed(0)
    head = ConceptHead(fine=FINE, coarse=COARSE, slots=2, slot_dim=4, width=16, fine_width=16)
    for parameter in head.modulation[2].parameters():  # zero in a new head
        torch.nn.init.normal_(parameter, std=0.1)
    return head.eval()


def maps(batch: int, height: int = 64, width: int = 64, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    sizes = [(height // s, width // s) for s in STRIDES]
    return [
        torch.randn(batch, channels, *size, generator=generator)
        for channels, size in zip([*FINE, *COARSE], sizes, strict=True)
    ]


def box(rows: slice, columns: slice, height: int = 64, width: int = 64) -> Tensor:
    mask = torch.zeros(height, width, dtype=torch.bool)
    mask[rows, columns] = True
    return mask


PROMPTS = torch.stack([box(slice(0, 32), slice(0, 32)), box(slice(40, 41), slice(50, 51))])


@torch.no_grad()
def test_prompts_never_see_each_other(head: ConceptHead) -> None:
    features = maps(2)
    together = head.encode_prompts(features, PROMPTS, torch.tensor([0, 1]))
    assert together.shape == (2, head.dim)
    for i in range(2):
        alone = head.encode_prompts([m[i : i + 1] for m in features], PROMPTS[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone)


@torch.no_grad()
def test_what_lies_under_a_prompt_and_around_it_counts_each_for_itself(head: ConceptHead) -> None:
    features = maps(1)
    vector = head.encode_prompts(features, PROMPTS[:1])
    under, around = ([m.clone() for m in features] for _ in range(2))
    for changed, other in zip(under, around, strict=True):
        side = changed.shape[-1] // 2
        changed[..., :side, :side] += 1  # not the same for all channels after the norm
        changed[:, 0, :side, :side] -= 5
        other[:, 0, side:] -= 5
    per_layer = vector.unflatten(1, (len(COARSE), 3, 4))
    by_under = head.encode_prompts(under, PROMPTS[:1]).unflatten(1, (len(COARSE), 3, 4))
    by_around = head.encode_prompts(around, PROMPTS[:1]).unflatten(1, (len(COARSE), 3, 4))
    torch.testing.assert_close(by_around[:, :, :2], per_layer[:, :, :2])
    torch.testing.assert_close(by_under[:, :, 2], per_layer[:, :, 2])
    assert not torch.allclose(by_under[:, :, :2], per_layer[:, :, :2])
    assert not torch.allclose(by_around[:, :, 2], per_layer[:, :, 2])


@torch.no_grad()
def test_an_empty_prompt_stands_for_everything(head: ConceptHead) -> None:
    features = maps(1)
    empty, full = torch.zeros(1, 64, 64, dtype=torch.bool), torch.ones(1, 64, 64, dtype=torch.bool)
    vectors = [head.encode_prompts(features, prompt) for prompt in (empty, full)]
    torch.testing.assert_close(*vectors)
    assert len(head.encode_prompts(features, empty[:0])) == 0


@torch.no_grad()
def test_every_concept_and_target_is_mapped_as_if_alone(head: ConceptHead) -> None:
    features, concepts = maps(2, 64, 96), torch.randn(3, head.dim)
    together = head(features, concepts)
    assert together.shape == (2, 3, 8, 12)
    for b in range(2):
        for k in range(3):
            alone = head([m[b : b + 1] for m in features], concepts[k : k + 1])
            torch.testing.assert_close(together[b, k], alone[0, 0], rtol=1e-4, atol=1e-5)
    own = head(features, concepts[:2, None])
    torch.testing.assert_close(own[:, 0], together[[0, 1], [0, 1]], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_target_is_mapped_as_the_square_that_it_is_padded_to(head: ConceptHead) -> None:
    narrow = maps(1, 64, 32)
    square = [torch.nn.functional.pad(m, (0, m.shape[-2] - m.shape[-1])) for m in narrow]
    concepts = torch.randn(2, head.dim)
    torch.testing.assert_close(head(narrow, concepts), head(square, concepts)[..., :4])


def test_every_weight_is_learned(head: ConceptHead) -> None:
    references, targets = maps(1, seed=1), maps(1, seed=2)
    vectors = head.encode_prompts(references, PROMPTS[:1])
    head(targets, vectors).square().sum().backward()
    without = [name for name, p in head.named_parameters() if p.grad is None or not p.grad.any()]
    head.zero_grad()
    assert not without


@torch.no_grad()
def test_the_lite_backbone_gives_what_timm_gives_and_what_leads_to_it() -> None:
    config = VARIANTS["lite"]
    backbone = LiteBackbone("tf_efficientnet_lite0").eval()
    pixels = torch.randn(1, 3, 64, 96)
    found = backbone(pixels)
    mean, std = (torch.tensor(v)[:, None, None] for v in (PIXEL_MEAN, PIXEL_STD))
    expected = backbone.body((pixels * std + mean - 127) / 128)
    for name, value in zip(("res2", "res3", "res4", "res5"), expected, strict=True):
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-4)
    assert config.concept_head is not None
    for name, channels in {**config.concept_head.fine, **config.concept_head.coarse}.items():
        assert found[name].shape[1] == channels


PIXEL_MEAN, PIXEL_STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


@torch.no_grad()
def test_the_rest_of_a_model_does_not_notice_its_head() -> None:
    torch.manual_seed(0)
    model = build_model(VARIANTS["tiny"], with_concept_head=True).eval()
    plain = build_model(VARIANTS["tiny"]).eval()
    plain.load_state_dict(
        {n: v for n, v in model.state_dict().items() if not n.startswith("concept_head.")}
    )
    pyramids = [m.encode_image(torch.randn(1, 3, 64, 64).fill_(0.5)) for m in (model, plain)]
    assert len(pyramids[0].concept_maps) == 3
    assert not pyramids[1].concept_maps
    longer, embedded = (
        m.embed_prompts(p, PROMPTS) for m, p in zip((model, plain), pyramids, strict=True)
    )
    torch.testing.assert_close(model.of_decoder(longer), embedded)
    assert longer.shape[1] > embedded.shape[1]
    for step in ("decode_categories", "decode_prompts"):
        torch.testing.assert_close(
            getattr(model, step)(pyramids[0], longer), getattr(plain, step)(pyramids[1], embedded)
        )
    assert model.decode_concepts(pyramids[0], longer).shape == (1, 2, 8, 8)
