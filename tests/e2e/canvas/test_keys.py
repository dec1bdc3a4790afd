"""The sheet of keys: told, changed, remembered."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.canvas.board import Board

pytestmark = pytest.mark.e2e


def test_a_key_is_changed_on_the_sheet_and_told_everywhere(board: Board) -> None:
    page = board.page
    sheet = page.get_by_role("dialog", name="Keys")
    board.press("?")
    sheet.get_by_role("button", name="Box: B", exact=True).click()
    expect(sheet.get_by_role("status")).to_contain_text("Press the new key for “Box”")
    board.press("p")
    expect(sheet.get_by_role("status")).to_have_text("P does “Point”.")
    board.press("Enter")
    expect(sheet.get_by_role("button", name="Box: P", exact=True)).to_be_focused()
    sheet.get_by_role("button", name="Point: none").press("Enter")
    board.press("Control+b")
    expect(sheet.get_by_role("button", name="Point: Ctrl B")).to_be_visible()
    board.press("Escape")
    expect(sheet).to_be_hidden()
    expect(page.get_by_role("button", name="Box", exact=True)).to_have_attribute("title", "Box (P)")
    board.press("p")
    board.becomes("canvas.settings.tool", "box")
    board.open(1).press("Control+b")
    board.becomes("canvas.settings.tool", "point")
    board.press("?")
    sheet.get_by_role("button", name="Reset all keys").click()
    expect(sheet.get_by_role("button", name="Box: B", exact=True)).to_be_visible()


def test_asking_for_a_key_can_be_given_up(board: Board) -> None:
    sheet = board.page.get_by_role("dialog", name="Keys")
    board.press("?")
    sheet.get_by_role("button", name="Fit the image: F").click()
    board.press("Escape")
    expect(sheet.get_by_role("status")).to_have_text("Choose a key to change it.")
    sheet.get_by_role("button", name="Fit the image: F").click()
    sheet.get_by_role("button", name="No key").click()
    expect(sheet.get_by_role("button", name="Fit the image: none")).to_be_focused()
