"""How found objects are shown is chosen beside the image, and remembered by the browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from app.project import Task
from tests.e2e.pictures import TWO_RED_ONE_BLUE, draw
from tests.e2e.serving import StudioServer
from tests.e2e.studio_page import CANVAS, StudioPage
from tests.e2e.waiting import settle, until

pytestmark = pytest.mark.e2e

PIXEL = f"""([x, y]) => {{
  const {{ view, canvases }} = {CANVAS}.surface;
  const density = window.devicePixelRatio;
  const at = (v, offset) => Math.round((offset + v * view.scale) * density);
  return [...canvases.found.getContext("2d").getImageData(at(x, view.x), at(y, view.y), 1, 1).data];
}}"""
INSIDE = (70, 150)


@pytest.fixture
def studio(page: Page, studio_server: StudioServer, tmp_path: Path) -> StudioPage:
    studio = StudioPage(page, studio_server.url)
    studio.add_images(draw(tmp_path / "two.png", TWO_RED_ONE_BLUE))
    studio.expect_open("two.png")
    studio.mark_point(200, 60)
    studio.segment_all()
    expect(studio.instances).to_have_count(2)
    page.wait_for_function(f"(at) => ({PIXEL})(at)[3] > 0", arg=INSIDE)
    return studio


def test_outlines_patterns_colours_and_hidden_categories(studio: StudioPage) -> None:
    page = studio.page

    def becomes(holds: str) -> None:
        page.wait_for_function(
            f"(at) => {{ const p = ({PIXEL})(at); return {holds}; }}", arg=INSIDE
        )

    filled = page.evaluate(PIXEL, INSIDE)
    page.get_by_role("button", name="A colour for each object").click()
    becomes(f"p[3] > 0 && String(p) !== '{','.join(map(str, filled))}'")
    page.keyboard.press("t")
    becomes("p[3] === 0")
    page.reload()
    studio.expect_open("two.png")
    becomes("p[3] === 0")
    expect(page.get_by_role("button", name="Outlines only")).to_have_attribute(
        "aria-pressed", "true"
    )
    page.keyboard.press("t")
    becomes("p[3] > 0")
    eye = page.get_by_role("button", name="Show Object on the image")
    eye.click()
    becomes("p[3] === 0")
    # Hidden is not gone: the list and the counts are as before.
    expect(studio.instances).to_have_count(2)
    expect(eye).to_have_attribute("aria-pressed", "false")
    studio.add_category("Other")
    page.get_by_role("button", name="Show Object on the image").click(modifiers=["Alt"])
    becomes("p[3] > 0")
    expect(page.get_by_role("button", name="Show Other on the image")).to_have_attribute(
        "aria-pressed", "false"
    )


def test_a_category_has_a_threshold_of_its_own(
    studio: StudioPage, studio_server: StudioServer, tmp_path: Path
) -> None:
    row = studio.page.locator("#st-categories .st-row", has_text="Object")
    row.hover()
    row.get_by_label("Score threshold of Object").click()
    studio.page.get_by_role("slider", name="Score threshold of Object").fill("1")
    expect(studio.instances).to_have_count(0)
    expect(studio.card("two.png")).to_contain_text("2 below")
    expect(row).to_contain_text("≥ 1.00")
    core = studio_server.studio
    project = core.projects()[0]
    assert project.score_thresholds[Task.GENERIC] == pytest.approx(0.3)
    exported = tmp_path / "out.json"
    until(studio.page, lambda: core.export_coco(project.id, exported).annotations == 0)
    studio.page.get_by_role("button", name="Use the project's").click()
    expect(studio.instances).to_have_count(2)
    expect(studio.card("two.png")).to_contain_text("2 found")


def test_a_reference_lies_beside_the_image(studio: StudioPage, tmp_path: Path) -> None:
    page = studio.page
    studio.add_images(draw(tmp_path / "other.png", TWO_RED_ONE_BLUE[:2]))
    studio.open_image("other.png")
    studio.mark_point(70, 150)
    reference = page.get_by_role("region", name="Reference beside the image")
    expect(reference).to_be_hidden()
    page.keyboard.press("\\")
    # First the one that is not open; then all of them in turn.
    expect(reference).to_contain_text("1 of 2 · two.png")
    expect(page.get_by_role("img", name="Reference two.png")).to_be_visible()
    reference.get_by_role("button", name="Next reference").click()
    expect(reference).to_contain_text("2 of 2 · other.png")
    stage, image = page.locator(".pc-reference-stage"), page.locator(".pc-stage")
    left, right = stage.bounding_box(), image.bounding_box()
    assert left
    assert right
    assert left["x"] + left["width"] <= right["x"] + 1
    zoom = f"{CANVAS}.reference.view.scale"
    settle(page, f"[{zoom}, {CANVAS}.surface.view]")
    before, target = page.evaluate(zoom), page.evaluate(f"{CANVAS}.surface.view.scale")
    stage.hover()
    page.mouse.wheel(0, -200)
    page.wait_for_function(f"(before) => {zoom} > before", arg=before)
    assert page.evaluate(f"{CANVAS}.surface.view.scale") == target
    # It follows the category that is being marked, and stays from image to image.
    studio.add_category("Bolt")
    expect(reference).to_contain_text("No image is a reference for “Bolt” yet.")
    studio.open_image("two.png")
    expect(reference).to_be_visible()
    # On a tablet the bar of what was found leaves the buttons of the reference free.
    page.set_viewport_size({"width": 810, "height": 1080})
    found = page.get_by_role("group", name="Found objects", exact=True)
    expect(found).to_be_visible()
    settle(page, f"{CANVAS}.surface.stage")
    left, bar = reference.bounding_box(), found.bounding_box()
    assert left
    assert bar
    assert left["x"] + left["width"] <= bar["x"]
    reference.get_by_role("button", name="Close the reference").click()
    expect(reference).to_be_hidden()
