"""Compiled layers compute the same for images of any size, or say what they lack."""

from __future__ import annotations

import pytest
import torch
import torch._inductor.config

from dinov import cli
from dinov.compiling import compile_layers
from dinov.config import VARIANTS
from dinov.model.build import build_model
from dinov.model.dinov import DINOv

CPU, GPU = torch.device("cpu"), torch.device("cuda")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def make_model(variant: str) -> DINOv:
    torch.manual_seed(0)
    model = build_model(VARIANTS[variant]).eval()
    for parameter in model.parameters():
        if parameter.dim() > 1 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return model


@torch.inference_mode()
@pytest.mark.parametrize(
    ("variant", "backend", "device"),
    [
        ("tiny", "eager", CPU),
        pytest.param("lite", "inductor", CPU, marks=pytest.mark.slow),
        pytest.param("lite", "inductor", GPU, marks=[pytest.mark.slow, needs_gpu]),
    ],
)
def test_compiled_layers_encode_images_of_any_size_alike(
    variant: str, backend: str, device: torch.device
) -> None:
    model, compiled = make_model(variant).to(device), make_model(variant).to(device)
    compile_layers(compiled, device, backend=backend)
    assert list(compiled.state_dict()) == list(model.state_dict())
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    for size_hw in [(96, 128), (160, 96)]:
        pixels = torch.randn(1, 3, *size_hw, device=device)
        found, expected = compiled.encode_image(pixels), model.encode_image(pixels)
        for level, expected_level in zip(found.levels, expected.levels, strict=True):
            torch.testing.assert_close(level, expected_level, atol=5e-5, rtol=0)
        torch.testing.assert_close(found.mask_features, expected.mask_features, atol=5e-5, rtol=0)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > before


@torch.inference_mode()
def test_compiled_layers_decode_alike() -> None:
    model, compiled = make_model("tiny"), make_model("tiny")
    compile_layers(compiled, CPU, backend="eager")
    prompts = torch.randn(3, VARIANTS["tiny"].width)
    pyramid = model.encode_image(torch.randn(1, 3, 96, 128))
    generic, expected = (m.decode_generic(pyramid, prompts) for m in (compiled, model))
    torch.testing.assert_close(generic.logits, expected.logits, atol=1e-4, rtol=0)
    refer, expected_refer = (m.decode_refer(pyramid, prompts, grid=4) for m in (compiled, model))
    torch.testing.assert_close(refer.match_scores, expected_refer.match_scores, atol=1e-4, rtol=0)
    torch.testing.assert_close(refer.mask_logits, expected_refer.mask_logits, atol=3e-4, rtol=0)


def test_without_a_compiler_it_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    torch._dynamo.reset()
    with torch._inductor.config.patch({"cpp.cxx": ("/nowhere/g++",)}):
        assert cli.main(["benchmark", "--variant", "tiny", "--compile", "--device", "cpu"]) == 1
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("dinov:"))
    assert "Nothing can be compiled for CPU on this machine" in line
    assert "apt install g++ python3-dev" in line
