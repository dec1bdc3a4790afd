from __future__ import annotations

import pytest
import torch

from dinov.config import VARIANTS, Dinov2Config, recognise_variant
from dinov.model.build import build_model
from dinov.model.dinov2 import Dinov2Backbone


@pytest.fixture
def backbone() -> Dinov2Backbone:
    torch.manual_seed(0)
    config = VARIANTS["tiny-dinov2"].backbone
    assert isinstance(config, Dinov2Config)
    built = Dinov2Backbone(
        config.timm_name,
        embed_dim=config.embed_dim,
        depth=config.depth,
        num_heads=config.num_heads,
    )
    for name, parameter in built.body.named_parameters():
        if name.endswith("gamma"):  # as small as it begins, no block would be seen to do anything
            torch.nn.init.ones_(parameter)
    return built.eval()


@pytest.mark.parametrize("size_hw", [(64, 96), (128, 32), (32, 32), (544, 544)])
def test_maps_have_the_strides_of_every_other_backbone(
    backbone: Dinov2Backbone, size_hw: tuple[int, int]
) -> None:
    with torch.inference_mode():
        maps = backbone(torch.randn(2, 3, *size_hw))
    for name, stride, channels in zip(maps, (4, 8, 16, 32), backbone.channels, strict=True):
        assert maps[name].shape == (2, channels, size_hw[0] // stride, size_hw[1] // stride)


def test_a_batch_of_two_is_two_of_one(backbone: Dinov2Backbone) -> None:
    pixels = torch.randn(2, 3, 64, 96)
    with torch.inference_mode():
        both, one = backbone(pixels), backbone(pixels[1:])
    for name, features in both.items():
        torch.testing.assert_close(features[1:], one[name], atol=1e-5, rtol=1e-5)


def test_what_changes_in_the_picture_changes_there_most(backbone: Dinov2Backbone) -> None:
    pixels = torch.zeros(1, 3, 64, 96)
    changed = pixels.clone()
    changed[..., 32:48, 64:80] = 2  # the patch in row 2, column 4
    with torch.inference_mode():
        difference = (backbone(changed)["res4"] - backbone(pixels)["res4"]).norm(dim=1)[0]
    assert divmod(int(difference.argmax()), 6) == (2, 4)


def test_positions_are_those_of_the_picture_whatever_its_shape(backbone: Dinov2Backbone) -> None:
    """With embeddings that grow from left to right, tokens do so on a map of any size."""
    grid = torch.linspace(0, 1, 37)[None, :, None].expand(37, 37, 64).reshape(1, 37 * 37, 64)
    with torch.no_grad():
        backbone.body.pos_embed[:, 1:] = grid
        tokens = backbone.body._pos_embed(torch.zeros(1, 4, 6, 64))[:, 1:]
    across = tokens[0, :, 0].unflatten(0, (4, 6))
    assert (across.diff(dim=1) > 0.1).all()
    torch.testing.assert_close(across, across[:1].expand(4, 6))
    assert across[0, 0] + across[0, -1] == pytest.approx(1, abs=1e-4)


def test_gradients_reach_every_part() -> None:
    torch.manual_seed(0)
    model = build_model(VARIANTS["tiny-dinov2"])
    pyramid = model.encode_image(torch.randn(1, 3, 64, 64))
    loss = pyramid.mask_features.square().sum() + sum(x.square().sum() for x in pyramid.levels)
    loss.backward()
    missing = [n for n, p in model.backbone.named_parameters() if p.grad is None]
    assert missing == []


def test_stages_are_the_whole_transformer_and_no_more(backbone: Dinov2Backbone) -> None:
    for stage in backbone.stages():
        for part in stage:
            part.requires_grad_(False)
    assert not any(p.requires_grad for p in backbone.body.parameters())
    assert all(p.requires_grad for p in backbone.res2.parameters())


@pytest.mark.parametrize("variant", ["dinov2-s", "dinov2-b", "dinov2-l", "tiny-dinov2", "lite"])
def test_variants_are_recognised_by_their_shapes(variant: str) -> None:
    with torch.device("meta"):
        model = build_model(VARIANTS[variant])
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert recognise_variant(shapes) == variant


@pytest.mark.parametrize("size", ["s", "b", "l"])
def test_sizes_are_those_of_timm(size: str) -> None:
    import timm

    config = VARIANTS[f"dinov2-{size}"].backbone
    assert isinstance(config, Dinov2Config)
    with torch.device("meta"):
        own = build_model(VARIANTS[f"dinov2-{size}"]).backbone.body
        timms = timm.create_model(config.timm_name, pretrained=False, num_classes=0)
    assert {k: v.shape for k, v in own.state_dict().items()} == {
        k: v.shape for k, v in timms.state_dict().items()
    }
    assert own.blocks[0].attn.num_heads == timms.blocks[0].attn.num_heads
