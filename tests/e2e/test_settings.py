"""The model is exchanged on the page, and what the one before has found is pointed out."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.pictures import THREE_RED, draw
from tests.e2e.serving import StudioServer
from tests.e2e.studio_page import StudioPage

pytestmark = pytest.mark.e2e


def test_settings_are_changed_while_a_run_is_under_way_and_kept(
    page: Page, studio_server: StudioServer, tmp_path: Path
) -> None:
    studio = StudioPage(page, studio_server.url)
    studio.add_images(draw(tmp_path / "three.png", THREE_RED))
    studio.expect_open("three.png")
    studio.mark_point(80, 80)
    page.keyboard.press("Control+,")
    view = page.get_by_role("dialog", name="Settings")
    expect(view.get_by_role("radio", name="lite")).to_be_checked()
    expect(view.get_by_role("button", name="Apply")).to_be_disabled()

    # What is wrong is said, and nothing has changed.
    own = view.get_by_label("Path of the checkpoint file")
    own.fill("nowhere.pth")
    view.get_by_role("button", name="Apply").click()
    expect(view.get_by_role("alert")).to_contain_text("There is no checkpoint file")
    view.get_by_role("button", name="Discard").click()
    expect(view.get_by_role("radio", name="lite")).to_be_checked()
    page.keyboard.press("Escape")
    expect(view).to_have_count(0)

    # A run keeps its model, and the change waits for it.
    studio_server.predictor.gate.clear()
    studio.press_segment_all()
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    page.get_by_role("button", name="Settings", exact=True).click()
    view.get_by_label("Input size").fill("128")
    view.get_by_role("button", name="Apply").click()
    stop = view.get_by_role("button", name="Stop")
    expect(stop).to_be_visible()
    studio_server.predictor.gate.set()
    expect(stop).to_be_hidden()
    expect(view.get_by_label("Input size")).to_have_value("128")
    expect(view.locator(".st-settings-note")).to_contain_text("1 image not reviewed yet")

    # Thresholds are the project's own, and saved at once.
    view.get_by_label("Overlap threshold").fill("0.7")
    view.get_by_label("Overlap threshold").press("Enter")
    expect(view.get_by_role("button", name="Use the usual, 0.50")).to_be_visible()

    # The address leads back to the view.
    page.reload()
    expect(view.get_by_label("Input size")).to_have_value("128")
    expect(view.get_by_label("Overlap threshold")).to_have_value("0.7")
    page.keyboard.press("Escape")
    expect(page.locator(".st-outdated")).to_be_visible()
    studio.segment_all()
    expect(page.locator(".st-outdated")).to_be_hidden()
    expect(studio.instances).to_have_count(3)


def test_other_open_windows_learn_of_another_model(
    context: BrowserContext, studio_server: StudioServer, tmp_path: Path
) -> None:
    first = StudioPage(context.new_page(), studio_server.url)
    first.add_images(draw(tmp_path / "three.png", THREE_RED))
    first.expect_open("three.png")
    first.mark_point(80, 80)
    first.segment_all()
    second = StudioPage(context.new_page(), first.page.url)
    expect(second.instances).to_have_count(3)
    first.page.keyboard.press("Control+,")
    for size, is_outdated in (("128", True), ("", False)):
        view = first.page.get_by_role("dialog", name="Settings")
        view.get_by_label("Input size").fill(size)
        view.get_by_role("button", name="Apply").click()
        expect(second.page.locator(".st-outdated")).to_be_visible(visible=is_outdated)
        # Also where the settings are being looked at.
        if is_outdated:
            second.page.keyboard.press("Control+,")
        expect(second.page.get_by_label("Input size")).to_have_value(size)
    # Nor does a change of precision alone escape them.
    view = first.page.get_by_role("dialog", name="Settings")
    view.get_by_label("Precision").select_option("bfloat16")
    view.get_by_role("button", name="Apply").click()
    expect(second.page.get_by_label("Precision")).to_have_value("bfloat16")
