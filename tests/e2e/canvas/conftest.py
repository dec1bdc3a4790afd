"""The canvas alone on a page: one server for all tests, as new for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.e2e.canvas.board import Board
from tests.e2e.canvas.server import CanvasServer
from tests.e2e.conftest import NewContext


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
def touch_board(new_context: NewContext, server: CanvasServer) -> Board:
    """The canvas on a narrow screen that is touched."""
    context = new_context(viewport={"width": 400, "height": 800}, has_touch=True)
    return Board(context.new_page(), server).open(1)
