"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY / "../shared"
LITE = REPOSITORY / "checkpoints/lite.safetensors"


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of this checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Recorded tensors and photos beside the checkout: too large, or not free enough, to ship."""
    if not SHARED.is_dir():
        _skip_or_fail("needs the folder 'shared' beside the checkout (parity data and photos)")
    return SHARED.resolve()


@pytest.fixture(scope="session")
def lite_checkpoint() -> Path:
    """The checkpoint that ships with the project."""
    if not LITE.is_file():
        _skip_or_fail("needs checkpoints/lite.safetensors")
    return LITE


@pytest.fixture(scope="session")
def readers_python() -> Path:
    """The Python of the environment in which other programs' libraries are installed."""
    python = REPOSITORY / ".venv-readers/bin/python"
    if not python.is_file():
        _skip_or_fail("needs .venv-readers, which `make test` sets up")
    return python


def _skip_or_fail(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(f"{reason}; with CI set this may not be skipped")
    pytest.skip(reason)
