"""A browser for the session; for every test a page that fails it when something breaks silently."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from app.ui.hints import NextStep
from tests.browsers import find_browser
from tests.e2e.serving import StudioServer
from tests.e2e.waiting import PATIENCE_SECONDS

# Nothing but this machine can be reached, so that a page which needs the internet fails here.
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
WAIT_MS = 1000 * PATIENCE_SECONDS
HINTS = [step.value for step in NextStep]
DESKTOP = {"viewport": {"width": 1400, "height": 900}, "color_scheme": "light"}

expect.set_options(timeout=WAIT_MS)

NewContext = Callable[..., BrowserContext]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=[OFFLINE])
        yield browser
        browser.close()


@pytest.fixture
def new_context(browser: Browser) -> Iterator[NewContext]:
    """Makes browser profiles; fails if a page threw an error or asked another machine."""
    problems: list[str] = []

    def make(**options: Any) -> BrowserContext:
        context = browser.new_context(**options)
        context.set_default_timeout(WAIT_MS)
        # Hints come and go above the panels; the test about them brings them back.
        context.add_init_script(
            f"if (location.host) localStorage['st-hints-read'] ??= '{json.dumps(HINTS)}'"
        )
        context.on("weberror", lambda error: problems.append(f"error on the page: {error.error}"))
        context.on(
            "request",
            lambda request: (
                None
                if request.url.startswith(("http://127.0.0.1:", "data:", "blob:"))
                else problems.append(f"asked another machine: {request.url}")
            ),
        )
        return context

    yield make
    close_all(browser)
    assert not problems, "\n".join(problems)


@pytest.fixture
def context(new_context: NewContext) -> BrowserContext:
    """A fresh browser profile on a desktop."""
    return new_context(**DESKTOP)


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """An empty page of a fresh browser profile."""
    return context.new_page()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Function) -> None:
    """Close pages before the servers that they talk to: they would miss them, and say so."""
    if browser := item.funcargs.get("browser"):
        close_all(browser)


def close_all(browser: Browser) -> None:
    for context in browser.contexts:
        context.close()


@pytest.fixture
def studio_server(tmp_path: Path) -> Iterator[StudioServer]:
    """The application with an empty data folder, finding things by their colour."""
    server = StudioServer(tmp_path / "data")
    yield server
    server.stop()
