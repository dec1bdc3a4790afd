"""A predictor of random weights that answers at once, and pictures for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from dinov.config import VARIANTS
from dinov.model.build import build_model
from dinov.predictor import Predictor
from dinov.types import Image


def make_predictor(**options: Any) -> Predictor:
    """The same weights each time."""
    torch.manual_seed(0)
    settings: dict[str, Any] = {"variant": "tiny", "checkpoint_hash": "abc", "device": "cpu"}
    return Predictor(build_model(VARIANTS["tiny"]), **(settings | options))


def photo(seed: int, height: int = 90, width: int = 120) -> Image:
    """Noise."""
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
