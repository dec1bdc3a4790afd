"""The canvas alone on a page: one server for all tests, as new for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.e2e.canvas.board import Board
from tests.e2e.canvas.server import CanvasServer
from tests.e2e.conftest import watched


@pytest.fixture(scope="session")
def running() -> Iterator[CanvasServer]:
    server = CanvasServer()
    yield server
    server.stop()


@pytest.fixture
def server(running: CanvasServer) -> CanvasServer:
    running.forget()
    return running


@pytest.fixture
def board(page: Page, server: CanvasServer) -> Board:
    return Board(page, server).open(1)


@pytest.fixture
def touch_board(browser: Browser, server: CanvasServer) -> Iterator[Board]:
    """The canvas on a narrow screen that is touched."""
    context = browser.new_context(viewport={"width": 400, "height": 800}, has_touch=True)
    for open_context in watched(context):
        yield Board(open_context.new_page(), server).open(1)
