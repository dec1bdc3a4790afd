"""Drawing and changing marks: what a hand does is what the server is told."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from dinov.types import PromptType
from tests.e2e import waiting
from tests.e2e.canvas.board import Board, near

pytestmark = pytest.mark.e2e


def test_every_tool_makes_its_prompt(board: Board) -> None:
    board.press("p")
    board.click(50, 60)
    board.press("b")
    board.drag((200, 200), (120, 100))
    board.press("s")
    board.drag((20, 20), (60, 20), (60, 80))
    board.press("g")
    for corner in [(300, 50), (360, 50), (360, 120)]:
        board.click(*corner)
    board.press("Enter")
    point, box, scribble, polygon = board.prompts(4)
    assert (point.type, point.category_id, point.positive) == (PromptType.POINT, 1, True)
    assert near(point, 50, 60)
    assert box.type is PromptType.BOX
    assert near(box, 120, 100, 200, 200)
    assert (scribble.type, scribble.width) == (PromptType.SCRIBBLE, 4)
    assert near(scribble, 20, 20, 60, 20, 60, 80)
    assert polygon.type is PromptType.POLYGON
    assert near(polygon, 300, 50, 360, 50, 360, 120)


def test_a_polygon_closes_at_its_first_corner_or_by_a_double_click(board: Board) -> None:
    board.press("g")
    for corner in [(300, 50), (360, 50), (360, 120), (301, 51)]:
        board.click(*corner)
    for corner in [(30, 50), (90, 50)]:
        board.click(*corner)
    board.page.mouse.dblclick(*board.place(90, 120))
    first, second = board.prompts(2)
    assert len(first.points) == len(second.points) == 6


def test_what_is_drawn_stays_inside_the_image(board: Board) -> None:
    board.press("b")
    board.drag((350, 250), (460, 330))
    (box,) = board.prompts(1)
    assert near(box, 350, 250, 400, 300)


def test_sign_and_category_go_with_the_mark(board: Board) -> None:
    board.press("p", "n", "2")
    board.click(50, 60)
    board.press("n")
    board.click(80, 60, button="right")
    board.click(110, 60)
    marks = board.prompts(3)
    assert [mark.positive for mark in marks] == [False, False, True]
    assert {mark.category_id for mark in marks} == {2}
    board.until(lambda: board.server.named("category_picked") == [{"category_id": 2}])


def test_the_category_menu_works_with_mouse_and_keys(board: Board) -> None:
    chip = board.page.locator(".pc-chip")
    chip.click()
    board.page.get_by_role("option", name="bus").click()
    expect(chip).to_contain_text("bus")
    chip.press("Enter")
    board.press("ArrowUp", "Enter")
    expect(chip).to_contain_text("coin")
    board.becomes("canvas.store.activeCategoryId", 1)


def test_undo_and_redo_by_key_and_button(board: Board) -> None:
    board.press("p")
    board.click(50, 60)
    board.click(90, 60)
    board.prompts(2)
    board.press("Control+z")
    board.prompts(1)
    board.page.get_by_role("button", name="Undo").click()
    board.prompts(0)
    board.page.get_by_role("button", name="Redo").click()
    board.press("Control+y")
    assert near(board.prompts(2)[1], 90, 60)
    expect(board.page.get_by_role("button", name="Redo")).to_be_disabled()


def test_a_mark_is_moved_reshaped_changed_and_deleted(board: Board) -> None:
    board.press("b")
    board.drag((220, 20), (280, 60))
    board.prompts(1)
    board.press("v")
    board.drag((220, 40), (240, 60))
    board.until(lambda: near(board.server.saved[1][0], 240, 40, 300, 80))
    board.drag((300, 80), (330, 90))
    board.until(lambda: near(board.server.saved[1][0], 240, 40, 330, 90))
    board.press("Shift+ArrowLeft", "ArrowUp", "ArrowUp", "2", "n")
    board.until(lambda: near(board.server.saved[1][0], 230, 38, 320, 88))
    board.until(lambda: board.server.saved[1][0].category_id == 2)
    board.until(lambda: not board.server.saved[1][0].positive)
    board.press("Delete")
    board.prompts(0)


def test_escape_drops_what_is_being_drawn(board: Board) -> None:
    board.press("g")
    board.click(30, 30)
    board.click(60, 30)
    board.press("Escape", "b")
    board.page.mouse.move(*board.place(100, 100))
    board.page.mouse.down()
    board.page.mouse.move(*board.place(200, 200), steps=3)
    board.press("Escape")
    board.page.mouse.up()
    board.becomes("canvas.surface.draft", None)
    assert board.look("canvas.store.prompts.length") == 0


def test_a_half_drawn_polygon_goes_on_when_its_image_is_opened_again(board: Board) -> None:
    board.press("g")
    board.click(30, 30)
    board.click(60, 30)
    board.show(3)
    board.becomes("canvas.surface.draft", None)
    board.press("p")
    board.click(50, 60)
    board.prompts(1, image_id=3)
    # Leaving the page would lose it, so the browser asks.
    asks = "!window.dispatchEvent(new Event('beforeunload', { cancelable: true }))"
    assert board.look(asks) is True
    board.show(1)
    expect(board.page.get_by_role("button", name="Polygon")).to_have_attribute(
        "aria-pressed", "true"
    )
    board.click(60, 90)
    board.press("Enter")
    assert near(board.prompts(1)[0], 30, 30, 60, 30, 60, 90)
    board.becomes(asks, False)


def test_choosing_another_tool_ends_what_is_half_drawn_and_loses_none_of_it(board: Board) -> None:
    board.press("g")
    for corner in [(300, 50), (360, 50), (360, 120)]:
        board.click(*corner)
    board.press("g")
    board.becomes("canvas.surface.draft.points.length", 6)
    board.press("v")
    assert near(board.prompts(1)[0], 300, 50, 360, 50, 360, 120)


def test_zoom_keeps_the_place_and_drawing_stays_exact(board: Board) -> None:
    place = board.place(100, 100)
    board.page.mouse.move(*place)
    for _ in range(4):
        board.page.mouse.wheel(0, -240)
    board.page.wait_for_function(
        "() => document.querySelector('.prompt-canvas').__canvas.surface.view.scale > 4"
    )
    assert board.place(100, 100) == pytest.approx(place, abs=3)
    assert board.page.evaluate("scrollY") == 0
    board.press("p")
    board.page.mouse.click(*place)
    assert near(board.prompts(1)[0], 100, 100)
    before = board.place(100, 100)
    board.page.keyboard.down(" ")
    board.page.mouse.down()
    board.page.mouse.move(place[0] + 60, place[1] + 40, steps=3)
    board.page.mouse.up()
    board.page.keyboard.up(" ")
    waiting.painted(board.page)
    assert board.place(100, 100) == pytest.approx((before[0] + 60, before[1] + 40), abs=1)
    board.press("f")
    expect(board.page.locator(".pc-percent")).to_have_text(
        f"{round(100 * board.look('canvas.surface.view.scale'))}%"
    )
    assert len(board.server.saved[1]) == 1
