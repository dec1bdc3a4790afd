"""The brush: masks painted, erased from, and painted on again later."""

from __future__ import annotations

import numpy as np
import pytest
from playwright.sync_api import expect

from dinov.masks import rasterise
from dinov.types import PromptType
from tests.e2e.canvas.board import Board
from tests.e2e.canvas.server import HEIGHT, WIDTH

pytestmark = pytest.mark.e2e


def painted(board: Board, index: int = 0) -> np.ndarray:
    """The mask of a prompt as the server has it."""
    return rasterise(board.server.saved[1][index], (HEIGHT, WIDTH))


def disc(x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return np.hypot(columns - x, rows - y) <= radius


def test_strokes_paint_one_mask_and_the_right_button_erases(board: Board) -> None:
    board.press("m")
    board.look("canvas.settings.set({ widths: { mask: 20 } })")
    board.drag((100, 60), (140, 60))
    (mask,) = board.prompts(1)
    assert (mask.type, mask.category_id, mask.positive) == (PromptType.MASK, 1, True)
    once = painted(board)
    expected = disc(100, 60, 10) | disc(140, 60, 10)
    expected[50:70, 100:140] = True
    assert np.count_nonzero(once ^ expected) < 60, "places on screen are not whole pixels"
    board.drag((100, 90), (140, 90))
    board.until(lambda: painted(board).sum() > 1.9 * once.sum())
    board.page.mouse.move(*board.place(120, 60))
    board.page.mouse.down(button="right")
    board.page.mouse.move(*board.place(120, 90), steps=3)
    board.page.mouse.up(button="right")
    board.until(lambda: not painted(board)[75, 120])
    assert painted(board)[60, 100]
    assert len(board.prompts(1)) == 1
    board.press("Control+z")
    board.until(lambda: bool(painted(board)[60, 120]))


def test_a_mask_is_painted_on_again_later_and_erased_to_nothing(board: Board) -> None:
    board.press("m")
    board.drag((100, 60), (110, 60))
    board.prompts(1)
    board.press("Enter")
    board.drag((250, 200), (260, 200))
    board.prompts(2)
    board.press("v")
    board.click(100, 60)
    assert board.look("canvas.store.selectedPrompt.type") == "mask"
    board.press("m", "]", "]", "e")
    expect(board.page.get_by_role("button", name="Erase with the brush")).to_have_attribute(
        "aria-pressed", "true"
    )
    board.press("]", "]", "]")
    board.drag((95, 60), (115, 60))
    (left,) = board.prompts(1)
    assert painted(board)[200, 255]
    assert left.positive
    expect(board.status).to_have_text("Mask for coin erased")
    board.press("Control+z")
    board.prompts(2)


def test_a_mask_is_moved_recategorised_and_made_negative(board: Board) -> None:
    board.press("m")
    board.drag((100, 60), (110, 60))
    board.prompts(1)
    before = painted(board)
    board.press("v", "Shift+ArrowRight", "ArrowDown", "2", "n")
    board.until(lambda: not board.server.saved[1][0].positive)
    assert board.server.saved[1][0].category_id == 2
    assert np.array_equal(painted(board)[1:, 10:], before[:-1, :-10])
    board.drag((115, 61), (135, 61))
    board.until(lambda: bool(painted(board)[61, 135]))
    board.press("Delete")
    board.prompts(0)


def test_the_keyboard_paints(board: Board) -> None:
    board.stage.focus()
    board.press("m", "ArrowRight", "Enter", *["Shift+ArrowRight"] * 3, "Enter")
    board.prompts(1)
    assert painted(board)[150, 201:231].all()


def test_corners_are_added_and_removed_by_mouse_and_keys(board: Board) -> None:
    board.press("g")
    for corner in [(100, 50), (200, 50), (200, 150), (100, 150)]:
        board.click(*corner)
    board.press("Enter", "v")
    board.prompts(1)
    board.click(150, 50)
    board.drag((150, 50), (150, 30))
    board.until(lambda: len(board.server.saved[1][0].points) == 10)
    assert board.server.saved[1][0].points[2:4] == pytest.approx((150, 30), abs=1.5)
    board.click(150, 30)
    board.press("Delete")
    board.until(lambda: len(board.server.saved[1][0].points) == 8)
    board.page.keyboard.down("Control")
    board.click(100, 150)
    board.page.keyboard.up("Control")
    board.until(lambda: len(board.server.saved[1][0].points) == 6)
    board.press("w", "w", "Shift+ArrowUp", "i")
    board.until(lambda: len(board.server.saved[1][0].points) == 8)
    points = board.server.saved[1][0].points
    assert points[2:4] == pytest.approx((200, 40), abs=1.5)
    assert points[4:6] == pytest.approx((200, 95), abs=1.5)
    board.press("Control+z", "Control+z")
    board.until(lambda: board.server.saved[1][0].points[3] == pytest.approx(50, abs=1.5))


def test_the_width_of_a_selected_scribble_is_changed(board: Board) -> None:
    board.press("s")
    board.drag((50, 50), (120, 60))
    assert board.prompts(1)[0].width == 4
    board.press("v")
    board.click(80, 54)
    board.press("]", "]")
    board.until(lambda: board.server.saved[1][0].width == 7)
    board.press("Control+z")
    board.until(lambda: board.server.saved[1][0].width == 4)
