"""The canvas for every hand and eye: touch, pen, keyboard, screen reader, narrow, dark."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import CDPSession, Page, expect

from dinov.types import PromptType
from tests.e2e.canvas.board import Board, near
from tests.e2e.canvas.server import CanvasServer

pytestmark = pytest.mark.e2e


def test_marks_can_be_reached_without_a_mouse(board: Board) -> None:
    board.stage.focus()
    board.press("p", "ArrowRight", "Enter", "b", "Enter")
    board.press(
        "Shift+ArrowRight", "Shift+ArrowRight", "Shift+ArrowDown", "Shift+ArrowDown", "Enter"
    )
    point, box = board.prompts(2)
    assert near(point, 201, 150)
    assert near(box, 201, 150, 221, 170)
    board.page.get_by_role("button", name="2 marks").press("Enter")
    row = board.page.get_by_role("button", name="Box for coin", exact=True)
    row.press("Enter")
    board.becomes("canvas.store.selectedPrompt?.type", "box")
    board.page.get_by_role("button", name="Delete: Point for coin").press("Enter")
    board.prompts(1)
    board.press("Escape")
    expect(row).to_be_hidden()


def test_keys_are_left_alone_while_something_else_is_typed(board: Board) -> None:
    board.press("v")
    note = board.page.get_by_label("Note")
    note.press_sequentially("bsg 1 2")
    expect(note).to_have_value("bsg 1 2")
    assert board.look("canvas.settings.tool") == "select"


def test_fingers_draw_pinch_and_never_both(touch_board: Board) -> None:
    board = touch_board
    page = board.page
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *places: tuple[float, float]) -> None:
        points = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(places)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    page.get_by_role("button", name="Scribble").tap()
    a, b = board.place(50, 50), board.place(120, 90)
    touch("touchStart", a)
    touch("touchMove", b)
    touch("touchEnd")
    assert near(board.prompts(1)[0], 50, 50, 120, 90)
    scale = board.look("canvas.surface.view.scale")
    touch("touchStart", a)
    touch("touchMove", (a[0] + 5, a[1]))
    touch("touchStart", (a[0] + 5, a[1]), b)
    touch("touchMove", (a[0] - 30, a[1] - 30), (b[0] + 60, b[1] + 60))
    touch("touchEnd", (a[0] - 30, a[1] - 30))
    touch("touchMove", (a[0] - 60, a[1] - 60))
    touch("touchEnd")
    board.becomes(f"canvas.surface.view.scale > {1.3 * scale}", True)
    assert board.look("canvas.store.prompts.length") == 1, (
        "the stroke begun by the first finger is dropped"
    )


def test_a_pen_draws_and_the_hand_that_rests_does_not(board: Board) -> None:
    session = board.page.context.new_cdp_session(board.page)
    board.press("s")
    pen(session, [board.place(50, 50), board.place(80, 60), board.place(120, 50)])
    assert board.prompts(1)[0].type is PromptType.SCRIBBLE
    x, y = board.place(200, 200)
    for kind, points in [
        ("touchStart", [{"x": x, "y": y}]),
        ("touchMove", [{"x": x + 9, "y": y}]),
        ("touchEnd", []),
    ]:
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert board.look("canvas.store.prompts.length") == 1


def pen(session: CDPSession, places: list[tuple[float, float]]) -> None:
    """Draw with a pen through places of the page."""
    kinds = ["mousePressed", *["mouseMoved"] * (len(places) - 1), "mouseReleased"]
    for kind, (x, y) in zip(kinds, [*places, places[-1]], strict=True):
        event = {"type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "pointerType": "pen"}
        session.send("Input.dispatchMouseEvent", {**event, "clickCount": 1, "force": 0.6})


def test_a_narrow_screen_shows_every_control(touch_board: Board) -> None:
    page = touch_board.page
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for name in [
        "Polygon",
        "Negative",
        "Undo",
        "Keys and help",
        "Fit the image",
        "Show found objects",
    ]:
        box = page.get_by_role("button", name=name).bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360


def test_screen_readers_get_names_states_and_news(board: Board) -> None:
    page = board.page
    expect(board.stage).to_have_attribute("aria-label", re.compile("question mark lists all keys"))
    box = page.get_by_role("button", name="Box", exact=True)
    box.click()
    expect(box).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("status").first).to_have_text("Drag a box around an object")
    board.drag((20, 20), (60, 60))
    expect(board.status).to_have_text("Box for coin added")
    board.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    board.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()


def test_dark_mode_follows_gradio(page: Page, server: CanvasServer) -> None:
    board = Board(page, server).open(1, "?__theme=dark")
    toolbar = "getComputedStyle(document.querySelector('.prompt-canvas')).backgroundColor"
    red, green, blue = (int(part) for part in page.evaluate(toolbar)[4:-1].split(","))
    assert max(red, green, blue) < 60
    assert board.look("getComputedStyle(canvas.host).color") != "rgb(0, 0, 0)"


def test_a_hostile_name_is_only_text(page: Page, server: CanvasServer) -> None:
    """Behind Gradio's templates stand Handlebars and a template literal; names enter neither."""
    board = Board(page, server).open(1)
    name = "${window.pwned = 1}{{value}}<img src=x onerror='window.pwned = 1'>"
    category = {"id": 1, "name": name, "color": "#112233"}
    update = {"schema": 1, "kind": "update", "image_id": 1, "categories": [category]}
    board.look(f"canvas.receive({json.dumps(json.dumps(update))})")
    page.locator(".pc-chip").click()
    board.press("Escape")
    board.press("p")
    board.click(50, 60)
    board.prompts(1)
    page.get_by_role("button", name="1 mark").click()
    expect(page.locator(".pc-row")).to_contain_text("<img src=x")
    assert page.evaluate("window.pwned") is None
