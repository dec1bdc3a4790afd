"""What goes wrong in real life: bad files, restarts, second windows, a change of mind."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.conftest import NewContext
from tests.e2e.pictures import THREE_RED, TWO_RED_ONE_BLUE, draw
from tests.e2e.serving import StudioServer
from tests.e2e.studio_page import StudioPage
from tests.e2e.waiting import until

pytestmark = pytest.mark.e2e


@pytest.fixture
def at_work(page: Page, studio_server: StudioServer, tmp_path: Path) -> StudioPage:
    """A page whose job waits, at the first of two images, for the predictor's gate to open."""
    studio = StudioPage(page, studio_server.url)
    studio.add_images(
        draw(tmp_path / "three.png", THREE_RED), draw(tmp_path / "two.png", TWO_RED_ONE_BLUE)
    )
    studio.expect_open("three.png")
    studio.mark_point(80, 80)
    until(page, lambda: studio_server.is_warm)
    studio_server.predictor.gate.clear()
    studio.press_segment_all()
    expect(page.locator("#st-runs .st-job")).to_contain_text("Segmenting image 1 of 2")
    return studio


def test_bad_files_are_named_and_the_good_ones_are_added(
    page: Page, studio_server: StudioServer, tmp_path: Path
) -> None:
    good = draw(tmp_path / "good.png", THREE_RED)
    same = tmp_path / "same again.png"
    same.write_bytes(good.read_bytes())
    empty = tmp_path / "empty.jpg"
    empty.write_bytes(b"")
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(draw(tmp_path / "whole.jpg", THREE_RED).read_bytes()[:400])
    text = tmp_path / "notes.png"
    text.write_text("not an image")
    studio = StudioPage(page, studio_server.url)
    studio.add_images(empty, good, cut, text, same)
    studio.expect_open("good.png")
    expect(studio.cards).to_have_count(1)
    problems = page.locator("#st-filmstrip .st-problems")
    for name in ("empty.jpg", "cut.jpg", "notes.png", "same again.png"):
        expect(problems).to_contain_text(name)
    page.get_by_role("button", name="Dismiss").click()
    expect(problems).to_have_count(0)


def test_files_that_a_lost_connection_kept_from_arriving_are_named(
    page: Page, studio_server: StudioServer, tmp_path: Path
) -> None:
    studio = StudioPage(page, studio_server.url)
    strip = page.locator("#st-filmstrip")
    page.route("**/upload*", lambda route: None)
    studio.add_images(draw(tmp_path / "lost.png", THREE_RED))
    expect(strip).to_contain_text("Adding 1 image")
    # As Gradio does by itself once the server is there again.
    page.reload()
    page.unroute("**/upload*")
    expect(strip.locator(".st-problems")).to_contain_text("lost.png: did not arrive")
    studio.add_images(draw(tmp_path / "other.png", THREE_RED))
    studio.expect_open("other.png")
    page.reload()
    expect(strip.locator(".st-problems")).to_contain_text("lost.png: did not arrive")
    strip.get_by_role("button", name="Dismiss").click()
    page.reload()
    studio.expect_open("other.png")
    expect(strip.locator(".st-problems")).to_have_count(0)


def test_a_job_can_be_cancelled_and_keeps_what_was_done(
    at_work: StudioPage, studio_server: StudioServer
) -> None:
    studio, page = at_work, at_work.page
    page.get_by_role("button", name="Cancel").click()
    studio_server.predictor.gate.set()
    studio.expect_idle()
    expect(page.locator("#st-runs .st-job")).to_contain_text("Stopped after 1 of 2 images")
    expect(studio.card("two.png")).not_to_contain_text("found")

    studio.segment_all()
    expect(studio.card("two.png")).to_contain_text("2 found")


def test_the_page_stays_usable_while_segmenting(
    at_work: StudioPage, studio_server: StudioServer
) -> None:
    studio = at_work
    studio.open_image("two.png")
    studio.mark_point(200, 60)
    expect(studio.card("two.png").locator(".st-badge-marks")).to_have_text("1")
    studio_server.predictor.gate.set()
    studio.expect_idle()
    studio.expect_open("two.png")
    expect(studio.instances).to_have_count(2)


def test_a_restarted_server_reopens_where_the_user_was(page: Page, tmp_path: Path) -> None:
    server = StudioServer(tmp_path / "data")
    try:
        studio = StudioPage(page, server.url)
        studio.add_images(
            draw(tmp_path / "three.png", THREE_RED), draw(tmp_path / "two.png", TWO_RED_ONE_BLUE)
        )
        studio.expect_open("three.png")
        studio.open_image("two.png")
        studio.scribble((60, 150), (80, 155))
        studio.segment_all()
        expect(studio.instances).to_have_count(2)
        page.goto("about:blank")
    finally:
        server.stop()
    server = StudioServer(tmp_path / "data")
    try:
        studio = StudioPage(page, server.url)
        studio.expect_open("two.png")
        expect(studio.instances).to_have_count(2)
        studio.expect_prompts(1)
        page.goto("about:blank")
    finally:
        server.stop()


def test_marks_of_two_windows_on_one_image_are_merged(
    context: BrowserContext, studio_server: StudioServer, tmp_path: Path
) -> None:
    first = StudioPage(context.new_page(), studio_server.url)
    first.add_images(draw(tmp_path / "three.png", THREE_RED))
    first.expect_open("three.png")
    second = StudioPage(context.new_page(), first.page.url)
    second.expect_open("three.png")
    first.mark_point(80, 80)
    second.mark_point(220, 90)
    second.expect_prompts(2)
    # The window in which nothing is done follows by itself.
    first.expect_prompts(2)
    expect(first.card("three.png")).to_contain_text("2")
    project = studio_server.studio.projects()[0]
    assert len(studio_server.studio.prompts(studio_server.studio.images(project.id)[0].id)[1]) == 2


def test_a_finger_marks_and_segments_on_a_phone(
    new_context: NewContext, studio_server: StudioServer, tmp_path: Path
) -> None:
    page = new_context(viewport={"width": 360, "height": 740}, has_touch=True).new_page()
    studio = StudioPage(page, studio_server.url)
    studio.add_images(draw(tmp_path / "three.png", THREE_RED))
    studio.expect_open("three.png")
    page.locator("#st-canvas").get_by_label("Point").first.tap()
    page.locator("#st-canvas [role=application]").scroll_into_view_if_needed()
    page.touchscreen.tap(*studio.at(80, 80))
    studio.expect_saved()
    studio.expect_prompts(1)
    page.locator(".st-run-buttons .st-primary").tap()
    studio.expect_idle()
    expect(studio.card("three.png")).to_contain_text("3 found")
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 360


def test_an_image_opened_right_after_a_mark_was_made_always_opens(
    page: Page, studio_server: StudioServer, tmp_path: Path
) -> None:
    studio = StudioPage(page, studio_server.url)
    names = ("three.png", "two.png")
    studio.add_images(
        draw(tmp_path / names[0], THREE_RED), draw(tmp_path / names[1], TWO_RED_ONE_BLUE)
    )
    studio.expect_open(names[0])
    studio.choose_tool("p")
    for turn in range(8):
        page.mouse.click(*studio.at(60 + 20 * turn, 60))
        studio.open_image(names[(turn + 1) % 2])
    expect(studio.card("three.png").locator(".st-badge-marks")).to_have_text("4")
    expect(studio.card("two.png").locator(".st-badge-marks")).to_have_text("4")
