"""The found objects on the canvas: painted, filtered, selected, deleted, brought back."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.canvas.board import Board

pytestmark = pytest.mark.e2e


def tell(board: Board, name: str, **detail: object) -> None:
    """Do what another panel of the page would: send an event with this detail."""
    send = "([name, detail]) => document.dispatchEvent(new CustomEvent(name, { detail }))"
    board.page.evaluate(send, [name, detail])


def test_found_objects_are_painted_where_their_masks_are(board: Board) -> None:
    expect(board.page.locator(".pc-found .pc-count")).to_have_text("2 of 3 found")
    red, _, blue, alpha = board.painted("found", 70, 150)
    assert alpha > 60
    assert red > blue, "the colour of its category"
    assert board.painted("found", 300, 185)[3] == 0, "below the threshold"
    assert board.painted("found", 300, 20)[3] == 0, "outside"
    board.press("h")
    assert board.painted("found", 70, 150)[3] == 0
    expect(board.page.get_by_text("Found objects are hidden")).to_be_visible()


def test_the_score_threshold_is_live_and_told_by_anyone(board: Board) -> None:
    def threshold(value: float) -> None:
        tell(board, "dinov:threshold", score_threshold=value)

    count = board.page.locator(".pc-found .pc-count")
    threshold(0.2)
    expect(count).to_have_text("3 found")
    _, _, blue, alpha = board.painted("found", 300, 185)
    assert (alpha > 60, blue > 100) == (True, True)
    assert board.painted("found", 300, 150)[3] == 0, "the hole of the ring"
    threshold(0.95)
    expect(
        board.page.get_by_text("All 3 objects found are below the score threshold")
    ).to_be_visible()
    board.page.get_by_role("button", name="Lower").click()
    expect(count).to_have_text("3 found")


def test_a_found_object_is_highlighted_selected_deleted_and_brought_back(board: Board) -> None:
    board.press("v")
    board.page.mouse.move(*board.place(150, 150))
    # The smaller one, which lies on top.
    board.becomes("canvas.store.highlightedInstanceId", 12)
    board.click(150, 150)
    board.press("Delete")
    expect(board.page.locator(".pc-found .pc-count")).to_have_text("1 of 2 found")
    board.until(lambda: board.server.named("image_edited") == [{"image_id": 1}])
    assert [one["id"] for one in board.server.results[1]] == [11, 13]
    board.press("Control+z")
    expect(board.page.locator(".pc-found .pc-count")).to_have_text("2 of 3 found")
    selected = {"image_id": 1, "instance_id": 12}
    board.until(lambda: selected in board.server.named("instance_selected"))
    assert not board.server.saved[1], "the marks did not change"


def test_other_panels_can_highlight_and_select(board: Board) -> None:
    expect(board.page.locator(".pc-found .pc-count")).to_have_text("2 of 3 found")
    board.page.evaluate(
        """() => {
          window.hovered = [];
          const note = ({ detail }) => window.hovered.push(detail.instance_id);
          document.addEventListener("dinov:hover", note);
        }"""
    )
    tell(board, "dinov:highlight", instance_id=11)
    tell(board, "dinov:select", instance_ids=[12])
    tell(board, "dinov:category", category_id=2)
    board.becomes("[canvas.store.highlightedInstanceId, canvas.store.selectedInstanceId]", [11, 12])
    board.becomes("canvas.store.activeCategory.name", "bus")
    board.page.mouse.move(*board.place(70, 150))
    board.page.mouse.move(*board.place(20, 20))
    board.becomes("window.hovered", [11, None])


def test_nothing_found_is_said_in_words(board: Board) -> None:
    board.show(2)
    expect(board.page.get_by_text("Nothing found in this image")).to_be_visible()
    board.show(3)
    expect(board.page.get_by_text("Nothing found in this image")).to_be_hidden()
    expect(board.page.locator(".pc-found")).to_be_hidden()


def test_no_image_and_a_broken_image_are_explained(board: Board) -> None:
    board.page.get_by_role("button", name="No image").click()
    expect(board.page.get_by_role("heading", name="No image yet")).to_be_visible()
    expect(board.page.get_by_role("button", name="Box")).to_be_disabled()
    board.show(4)
    expect(board.page.get_by_text("4.png could not be loaded")).to_be_visible()
    expect(board.page.get_by_role("button", name="Try again")).to_be_visible()
