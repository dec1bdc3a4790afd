"""How work tells whoever waits for it how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Told how many of how many items are done."""


def unheard(done: int, total: int) -> None:
    """Progress that nobody wants to know."""
