"""Waiting for what has no sign on the page."""

from __future__ import annotations

import time
from collections.abc import Callable

from playwright.sync_api import Page

PATIENCE_SECONDS = 30
"""Only bounds a failure: a busy machine may take long for what takes milliseconds."""

STILL = """(place) => new Promise((done) => {
  let [before, frames] = [null, 0];
  const look = () => {
    const now = JSON.stringify(place());
    frames = now === before ? frames + 1 : 0;
    before = now;
    if (frames < 5) requestAnimationFrame(look);
    else done();
  };
  look();
})"""


FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


def until(page: Page, condition: Callable[[], bool]) -> None:
    """Wait for something to become true on the server, while the page goes on."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        page.wait_for_timeout(25)


def painted(page: Page) -> None:
    """Wait until the page has laid out and painted what it was told so far."""
    page.evaluate(FRAMES)


def settle(page: Page, place: str) -> None:
    """Wait until a JavaScript expression has had the same value for five frames."""
    page.evaluate(f"({STILL})(() => {place})")
