"""The recorded tensors of the published model, and models filled with the recipe's weights."""

from __future__ import annotations

import importlib.util
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from dinov.config import VARIANTS, ModelConfig
from dinov.images import ImageTransform
from dinov.model.build import build_model
from dinov.model.dinov import DINOv, FeaturePyramid
from dinov.upstream import from_official, our_name

VARIANT_OF = {"tiny": "tiny", "tiny5": "tiny5", "swinT": "swin-t", "swinL": "swin-l"}

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def load_script(path: Path) -> ModuleType:
    """Import one of the two scripts that lie beside the recorded tensors."""
    spec = importlib.util.spec_from_file_location(f"parity_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Parity:
    """One archive, the model that belongs to it, and the recipe's images and prompts.

    With another seed than 0 all weights are others, and so is nothing recorded. ``more_images`` are
    (height, width) of images that the recipe draws beside its own, by name. Everything is computed
    on ``device``.
    """

    name: str
    folder: Path
    seed: int = 0
    more_images: tuple[tuple[str, tuple[int, int]], ...] = ()
    device: str = "cpu"

    @cached_property
    def recipe(self) -> Any:
        recipe: Any = load_script(self.folder / "recipe.py")
        for number, (name, size_hw) in enumerate(self.more_images, start=7):
            recipe.SIZES[name], recipe._SEED[name] = size_hw, number + self.seed
        if self.seed:  # the recipe seeds by the checksum of a name
            salt = f"{self.seed}:".encode()
            recipe.zlib = SimpleNamespace(crc32=lambda name: zlib.crc32(salt + name))
        return recipe

    @cached_property
    def golden(self) -> Any:
        return load_script(self.folder / "golden.py").Golden(
            self.folder / f"golden_{self.name}.npz"
        )

    @cached_property
    def manifest(self) -> dict[str, Any]:
        text = (self.folder / f"manifest_{self.name}.json").read_text()
        entries: dict[str, Any] = json.loads(text)["entries"]
        return entries

    @property
    def config(self) -> ModelConfig:
        return VARIANTS[VARIANT_OF[self.name]]

    @cached_property
    def model(self) -> DINOv:
        # Tests train it, too, whoever asks for it first.
        with torch.inference_mode(mode=False):
            model = build_model(self.config).eval()
            model.load_state_dict(from_official(self.official_state_dict(model)), strict=True)
            return model.to(self.device)

    def official_state_dict(self, model: DINOv) -> dict[str, Tensor]:
        """Every tensor of the official layout, without prefix."""
        own = model.state_dict()
        return {
            key: own[our_name(key)]
            if entry["kind"] == "buffer"
            else self.recipe.value(key, entry["shape"])
            for key, entry in self.manifest.items()
        }

    def transform(self, image: str) -> ImageTransform:
        height, width = self.recipe.SIZES[image]
        padded = (-(-height // 32) * 32, -(-width // 32) * 32)
        return ImageTransform((height, width), (height, width), padded)

    def pixels(self, image: str) -> Tensor:
        rgb = self.recipe.image(image).permute(1, 2, 0).numpy()
        return torch.from_numpy(self.transform(image).apply_image(rgb))[None].to(self.device)

    def prompts(self, image: str, *kinds: str) -> Tensor:
        masks = [self.recipe.prompt(image, kind).numpy() for kind in kinds]
        transform = self.transform(image)
        stacked = torch.stack([torch.from_numpy(transform.apply_mask(mask)) for mask in masks])
        return stacked.to(self.device)

    @lru_cache  # noqa: B019 - lives as long as the session's fixture
    def features(self, image: str) -> dict[str, Tensor]:
        with torch.inference_mode():
            return dict(self.model.backbone(self.pixels(image)))

    @lru_cache  # noqa: B019
    def pyramid(self, image: str) -> FeaturePyramid:
        with torch.inference_mode():
            return self.model.pixel_decoder(self.features(image))

    def tokens(self, image: str, *kinds: str) -> Tensor:
        """Bare prompt embeddings, [P, C]."""
        with torch.inference_mode():
            return self.model.encode_prompts(self.pyramid(image), self.prompts(image, *kinds))

    def cases(self) -> dict[str, Tensor]:
        """Category embeddings [K, C] of the recorded open-set cases."""
        three = self.tokens("refA", "mask", "box", "scribble")
        other = self.tokens("refB", "box")
        return {"single": three[:1], "mean2": (three[:1] + other) / 2, "three": three}

    def check(self, name: str, value: Tensor, atol: float) -> None:
        """Compare with the recorded tensor; for bool tensors ``atol`` is a share of the pixels."""
        assert name in self.golden.index, f"{name} is not in the archive"
        error, _ = self.golden.compare(name, value.cpu())
        limit = atol * value.numel() if value.dtype == torch.bool else atol
        assert error <= limit, f"{name}: off by {error:.2e}, allowed {limit:.2e}"

    def check_order(self, name: str, scores: Tensor, atol: float) -> None:
        """The recorded indices rank these scores, best first; near ties may swap."""
        order = self.golden.stored(name)
        assert sorted(order.tolist()) == list(range(len(scores)))
        ranked = scores.cpu()[order]
        assert bool((ranked[1:] <= ranked[:-1] + atol).all()), f"{name}: another order"

    def recorded(self, pattern: str, values: Sequence[str]) -> list[str]:
        """Those of the values whose tensor is in the archive; some archives hold fewer."""
        found = [value for value in values if pattern.format(value) in self.golden.index]
        assert found, f"{pattern} is not in the archive"
        return found
