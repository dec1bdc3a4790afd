"""Every mark reaches the server, or the page says so and keeps it."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from app.project import InvalidInput
from tests.e2e.canvas.board import Board

pytestmark = pytest.mark.e2e


def test_marks_are_there_again_after_another_image_and_after_a_reload(board: Board) -> None:
    board.press("p")
    board.click(50, 60)
    board.prompts(1)
    board.show(3)
    board.click(70, 80)
    board.prompts(1, image_id=3)
    board.show(1)
    board.click(90, 60)
    board.prompts(2)
    board.open(1)
    points = [list(prompt.points) for prompt in board.server.saved[1]]
    board.becomes("canvas.store.prompts.map(p => p.points)", points)


def test_a_refused_save_is_kept_and_can_be_tried_again(board: Board) -> None:
    board.server.fail_with = InvalidInput("The disk is full.")
    board.press("p")
    board.click(50, 60)
    expect(board.saved).to_contain_text("Not saved")
    expect(board.status).to_have_text("The disk is full.")
    board.show(3).show(1)
    assert board.look("canvas.store.prompts.length") == 1, "kept although the server has none"
    board.server.fail_with = None
    board.page.get_by_role("button", name="Retry").click()
    board.prompts(1)


def test_without_a_server_marks_are_saved_as_soon_as_it_is_back(board: Board) -> None:
    board.page.route("**/component_server/**", lambda route: route.abort())
    board.press("p")
    board.click(50, 60)
    expect(board.saved).to_contain_text("Not saved")
    board.click(90, 60)
    board.page.unroute("**/component_server/**")
    assert len(board.prompts(2)) == 2


def test_marks_of_another_window_stay_beside_those_drawn_here(board: Board) -> None:
    board.server.mark_elsewhere(1)
    board.press("p")
    board.click(50, 60)
    assert [mark.category_id for mark in board.prompts(2)] == [2, 1]
    expect(board.saved).to_contain_text("Saved")
    board.click(90, 60)
    assert [mark.category_id for mark in board.prompts(3)] == [2, 1, 1]


def test_a_mark_that_two_windows_changed_is_asked_about(board: Board) -> None:
    board.press("p")
    board.click(50, 60)
    board.open(1)
    bar = board.page.get_by_text("Somebody else changed this mark")
    for answer, category, x in (("Keep theirs", 2, 20), ("Use mine", 1, 30)):
        board.server.mark_elsewhere(1, x)
        board.look(
            "canvas.store.replacePrompt("
            "{ ...canvas.store.prompts[0], category_id: 1, points: [70, 80] })"
        )
        expect(bar).to_be_visible()
        assert [mark.category_id for mark in board.prompts(1)] == [2]
        board.page.get_by_role("button", name=answer).click()
        expect(bar).to_be_hidden()
        board.becomes("canvas.store.prompts[0].category_id", category)
    assert [mark.points for mark in board.prompts(1)] == [(70, 80)]


def test_marks_are_sent_as_one_text(board: Board) -> None:
    """As a nested value Gradio would take seconds for each save of a long session."""
    board.press("p")
    with board.page.expect_request("**/component_server/**") as saving:
        board.click(50, 60)
    board.prompts(1)
    assert isinstance(saving.value.post_data_json["data"], str)


def test_nothing_is_left_in_the_browser_but_habits(board: Board) -> None:
    """Gradio's run history would keep every document in localStorage."""
    board.press("p")
    board.click(50, 60)
    board.prompts(1)
    kept = board.page.evaluate("JSON.stringify(localStorage)")
    assert len(kept) < 500
    assert "media" not in kept
