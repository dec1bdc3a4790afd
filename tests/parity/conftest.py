"""Fixtures of the parity tests."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import pytest
import torch

from tests.parity.archive import Parity


@pytest.fixture(scope="session")
def parity_of(shared_dir: Path) -> Callable[[str], Parity]:
    """Archive by name, loaded once: "tiny", "tiny5", "swinT"; "tiny on cuda" computes there."""

    def load(name: str) -> Parity:
        archive, _, device = name.partition(" on ")
        return Parity(archive, shared_dir / "parity", device=device or "cpu")

    return lru_cache(load)


@pytest.fixture(autouse=True)
def _convolutions_in_full_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """By default a GPU rounds their inputs to 11 bits (TF32)."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
