"""What the page looks like and leaves behind, at any width and in both themes."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.pictures import THREE_RED, draw
from tests.e2e.serving import StudioServer
from tests.e2e.studio_page import StudioPage

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("width", [360, 820, 1400, 3840])
def test_nothing_is_cut_off_at_any_width(
    page: Page, studio_server: StudioServer, tmp_path: Path, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    studio = StudioPage(page, studio_server.url)
    studio.add_images(draw(tmp_path / "a rather long name of a photo 0001.png", THREE_RED))
    expect(studio.cards).to_have_count(1)
    page.wait_for_function("(w) => document.documentElement.scrollWidth <= w", arg=width)
    for name in ("Images", "Segment", "Categories", "Instances"):
        box = page.get_by_role("region", name=name, exact=True).bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    if width > 820:
        page.wait_for_function("document.documentElement.scrollHeight <= 800")
    stage = page.locator("#st-canvas [role=application]").bounding_box()
    assert stage is not None
    assert stage["height"] >= 200
    review = page.locator("#st-review").bounding_box()
    zoom = page.get_by_role("group", name="Zoom").bounding_box()
    assert review is not None
    assert zoom is not None
    assert review["x"] + review["width"] <= zoom["x"]


@pytest.mark.parametrize("width", [360, 820, 1280])
def test_the_hint_hides_nothing_of_the_photo(
    page: Page, studio_server: StudioServer, tmp_path: Path, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.add_init_script("localStorage.setItem('st-hints-read', '[]')")
    studio = StudioPage(page, studio_server.url)
    studio.add_images(draw(tmp_path / "three.png", THREE_RED))
    studio.expect_open("three.png")
    hint = page.get_by_role("region", name="What to do next").bounding_box()
    stage = page.locator("#st-canvas [role=application]").bounding_box()
    assert hint is not None
    assert stage is not None
    is_beside = hint["x"] >= stage["x"] + stage["width"]
    is_below = hint["y"] >= stage["y"] + stage["height"]
    assert is_beside or is_below


def test_the_arrangement_of_the_page_is_kept(page: Page, studio_server: StudioServer) -> None:
    StudioPage(page, studio_server.url)
    categories = page.get_by_role("region", name="Categories")
    field = page.get_by_label("Name of a new category")
    categories.get_by_role("button", name="Categories").click()
    expect(field).to_be_hidden()
    images = page.get_by_role("separator", name="Width of Images")
    before = page.locator("#st-left").evaluate("(e) => e.clientWidth")
    images.press("ArrowRight")
    page.get_by_role("separator", name="Width of Panels").press("Enter")
    expect(categories).to_be_hidden()
    page.reload()
    expect(page.locator("#st-filmstrip h2")).to_be_visible()
    expect(categories).to_be_hidden()
    # The columns get their widths when the bars between them are there.
    page.wait_for_function(
        "(before) => document.querySelector('#st-left').clientWidth > before", arg=before
    )
    page.get_by_role("button", name="Show panels").click()
    expect(categories).to_be_visible()
    expect(field).to_be_hidden()


def test_the_chosen_theme_is_kept(page: Page, studio_server: StudioServer) -> None:
    StudioPage(page, studio_server.url)
    expect(page.locator("body")).not_to_have_class("dark")
    page.get_by_label("Light or dark").click()
    expect(page.locator("body")).to_have_class("dark")
    page.reload()
    expect(page.locator("#st-filmstrip h2")).to_be_visible()
    expect(page.locator("body")).to_have_class("dark")


def test_nothing_of_the_work_stays_in_the_browser(
    page: Page, studio_server: StudioServer, tmp_path: Path
) -> None:
    studio = StudioPage(page, studio_server.url)
    studio.add_images(draw(tmp_path / "secret-name.png", THREE_RED))
    studio.expect_open("secret-name.png")
    studio.mark_point(80, 80)
    studio.segment_all()
    kept = page.evaluate("JSON.stringify({ ...localStorage, ...sessionStorage })")
    assert "secret-name" not in kept
    assert len(kept) < 1000


def test_names_are_shown_as_text_whatever_they_contain(
    page: Page, studio_server: StudioServer, tmp_path: Path
) -> None:
    name = "<img src=x onerror=alert(1)> ${1+1} {{value}}.png"
    studio = StudioPage(page, studio_server.url)
    studio.add_images(draw(tmp_path / name, THREE_RED))
    studio.add_category("<b>bold</b> `${2+2}`")
    expect(page.locator("#st-categories")).to_contain_text("<b>bold</b> `${2+2}`")
    expect(page.locator("#st-filmstrip .st-card-name")).to_contain_text("${1+1}")
    assert page.locator("#st-studio img[src=x]").count() == 0


def test_images_can_be_dropped_anywhere(
    page: Page, studio_server: StudioServer, tmp_path: Path
) -> None:
    studio = StudioPage(page, studio_server.url)
    content = list(draw(tmp_path / "dropped.png", THREE_RED).read_bytes())
    page.evaluate(
        """(bytes) => {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(
            new File([new Uint8Array(bytes)], "dropped.png", { type: "image/png" }));
          for (const name of ["dragover", "drop"]) {
            document.querySelector("#st-centre").dispatchEvent(
              new DragEvent(name, { dataTransfer, bubbles: true, cancelable: true }));
          }
        }""",
        content,
    )
    studio.expect_open("dropped.png")
