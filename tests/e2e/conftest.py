"""A browser for the session; for every test a page that fails it when something breaks silently."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from app.ui.hints import NextStep
from tests.browsers import find_browser
from tests.e2e.serving import StudioServer

# Nothing but this machine can be reached, so that a page which needs the internet fails here.
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
WAIT_MS = 10_000
HINTS = [step.value for step in NextStep]
DESKTOP = {"width": 1400, "height": 900}

expect.set_options(timeout=WAIT_MS)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=[OFFLINE])
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A fresh browser profile on a desktop, watched for errors and foreign requests."""
    context = browser.new_context(viewport=DESKTOP, color_scheme="light")
    yield from watched(context)


def watched(context: BrowserContext) -> Iterator[BrowserContext]:
    """Yield the context, then fail if a page of it threw an error or asked another machine."""
    context.set_default_timeout(WAIT_MS)
    # Hints may lie where a test wants to draw; the one about them brings them back.
    context.add_init_script(
        f"if (location.host) localStorage['st-hints-read'] ??= '{json.dumps(HINTS)}'"
    )
    problems: list[str] = []
    context.on("weberror", lambda error: problems.append(f"error on the page: {error.error}"))
    context.on(
        "request",
        lambda request: (
            None
            if request.url.startswith(("http://127.0.0.1:", "data:", "blob:"))
            else problems.append(f"asked another machine: {request.url}")
        ),
    )
    yield context
    context.close()
    assert not problems, "\n".join(problems)


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """An empty page of a fresh browser profile."""
    return context.new_page()


@pytest.fixture
def studio_server(tmp_path: Path) -> Iterator[StudioServer]:
    """The application with an empty data folder, finding things by their colour."""
    server = StudioServer(tmp_path / "data")
    yield server
    server.stop()
