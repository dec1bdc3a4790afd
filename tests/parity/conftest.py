"""Fixtures of the parity tests."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import pytest

from tests.parity.archive import Parity


@pytest.fixture(scope="session")
def parity_of(shared_dir: Path) -> Callable[[str], Parity]:
    """Archive by name: "tiny", "tiny5", "swinT"; loaded once."""
    return lru_cache(lambda name: Parity(name, shared_dir / "parity"))
