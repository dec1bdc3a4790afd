"""Reviewing with the keyboard: what is left, what was done, and how to take it back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from app.project import ReviewStatus
from tests.e2e.pictures import ONE_BLUE, THREE_RED, TWO_RED_ONE_BLUE, draw
from tests.e2e.serving import StudioServer
from tests.e2e.studio_page import CANVAS, StudioPage

pytestmark = pytest.mark.e2e


@pytest.fixture
def studio(page: Page, studio_server: StudioServer, tmp_path: Path) -> StudioPage:
    """Three images in which red discs were looked for."""
    studio = StudioPage(page, studio_server.url)
    studio.add_images(
        draw(tmp_path / "three.png", THREE_RED),
        draw(tmp_path / "two.png", TWO_RED_ONE_BLUE),
        draw(tmp_path / "blue.png", ONE_BLUE),
    )
    studio.expect_open("three.png")
    studio.mark_point(80, 80)
    studio.segment_all()
    return studio


def test_images_are_reviewed_one_after_the_other(
    studio: StudioPage, studio_server: StudioServer
) -> None:
    page, strip = studio.page, studio.page.locator("#st-filmstrip")
    expect(strip).to_contain_text("0 of 3 reviewed")
    expect(studio.card("three.png")).to_contain_text("To review")
    page.keyboard.press("Shift+Enter")
    studio.expect_open("two.png")
    expect(studio.card("three.png")).to_contain_text("Reviewed")
    page.keyboard.press(".")
    studio.expect_open("blue.png")
    page.keyboard.press(".")
    studio.expect_open("two.png")
    page.keyboard.press(",")
    studio.expect_open("blue.png")
    page.keyboard.press("Shift+Enter")
    studio.expect_open("two.png")
    expect(studio.card("blue.png")).to_contain_text("Empty")
    mark = page.get_by_role("button", name="Reviewed, next")
    expect(mark).to_have_attribute("title", re.compile(r"\(Shift\+Enter\)$"))
    # Tooltips name the keys in use, also while the page is open.
    page.keyboard.press("?")
    page.get_by_role("button", name="Reviewed, next; or review again: Shift Enter").click()
    page.keyboard.press("y")
    page.keyboard.press("?")
    expect(mark).to_have_attribute("title", re.compile(r"\(Y\)$"))
    page.keyboard.press("y")
    expect(strip).to_contain_text("3 of 3 reviewed")
    # The last one stays open, and is given back in the same way.
    page.get_by_role("button", name="Review again").click()
    expect(studio.card("two.png")).to_contain_text("To review")
    expect(strip).to_contain_text("2 of 3 reviewed")
    # The time this took is told when the page is left, at the latest.
    with page.expect_response("**/time-spent") as told:
        page.evaluate("window.dispatchEvent(new Event('blur'))")
    assert told.value.ok
    # It is a step of the history like any other, once the canvas has heard of it.
    page.wait_for_function(f"() => {CANVAS}.store.history.undo === 'review taken back'")
    page.keyboard.press("Control+z")
    expect(strip).to_contain_text("3 of 3 reviewed")
    page.keyboard.press("Control+z")
    expect(strip).to_contain_text("2 of 3 reviewed")
    page.reload()
    expect(strip).to_contain_text("2 of 3 reviewed")
    project = studio_server.studio.projects()[0]
    figures = studio_server.studio.statistics.figures(project.id)
    assert figures.time.images == 3
    assert 0 < figures.time.total < 300
    statuses = [counts.status for counts in studio_server.studio.counts(project.id).values()]
    assert statuses == [ReviewStatus.REVIEWED, ReviewStatus.PROPOSED, ReviewStatus.EMPTY]


def test_images_are_filtered_and_ordered(studio: StudioPage) -> None:
    page = studio.page
    page.keyboard.press("Shift+Enter")
    studio.expect_open("two.png")
    page.get_by_label("Show images by status").select_option("reviewed")
    expect(studio.cards).to_have_count(1)
    expect(studio.card("three.png")).to_be_visible()
    # From an image that is not among those shown, one comes to the next that is.
    page.keyboard.press("PageUp")
    studio.expect_open("three.png")
    page.get_by_role("button", name="Show all").click()
    page.get_by_role("button", name="More filters").click()
    page.get_by_label("Show images by role").select_option("is_reference")
    expect(studio.cards).to_have_count(1)
    page.get_by_role("button", name="Show all").click()
    page.get_by_label("Show images by category").select_option(label="Object")
    expect(studio.cards).to_have_count(2)
    page.get_by_role("button", name="Show all").click()
    page.get_by_label("Order of the images").select_option("name")
    expect(studio.cards.first).to_contain_text("blue.png")


def test_of_many_images_only_those_in_sight_are_on_the_page(
    page: Page, studio_server: StudioServer, tmp_path: Path
) -> None:
    core = studio_server.studio
    project = core.create_project("Many")
    paths = [draw(tmp_path / f"{n:03}.png", (), (20 + n % 10, 30 + n // 10)) for n in range(60)]
    core.add_images(project.id, paths)
    studio = StudioPage(page, studio_server.url)
    studio.expect_open("000.png")
    few = "() => document.querySelectorAll('.st-card').length"
    page.wait_for_function(f"() => ({few})() >= 3 && ({few})() < 30")
    expect(page.locator("#st-filmstrip")).to_contain_text("0 of 60 reviewed")
    page.locator(".st-filmstrip-scroll").evaluate("(e) => e.scrollTo(0, e.scrollHeight)")
    studio.open_image("059.png")
    page.wait_for_function(f"() => ({few})() < 30")
    page.keyboard.press("PageUp")
    studio.expect_open("058.png")
    page.get_by_role("button", name="Next image that is not reviewed").click()
    studio.expect_open("059.png")
    page.get_by_role("button", name="Next image that is not reviewed").click()
    studio.expect_open("000.png")
