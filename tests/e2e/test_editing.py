"""Objects decided on, corrected and drawn on the page; one undo for everything."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.pictures import ONE_BLUE, THREE_RED, draw
from tests.e2e.serving import StudioServer
from tests.e2e.studio_page import CANVAS, StudioPage

pytestmark = pytest.mark.e2e


@pytest.fixture
def studio(page: Page, studio_server: StudioServer, tmp_path: Path) -> StudioPage:
    studio = StudioPage(page, studio_server.url)
    studio.add_images(draw(tmp_path / "three.png", THREE_RED))
    studio.expect_open("three.png")
    return studio


@pytest.fixture
def segmented(studio: StudioPage) -> StudioPage:
    studio.mark_point(80, 80)
    studio.segment_all()
    expect(studio.instances).to_have_count(3)
    return studio


def accepted(studio: StudioPage):
    return studio.page.locator("#st-instances .st-row.is-accepted")


def drag(studio: StudioPage, *places: tuple[float, float]) -> None:
    mouse = studio.page.mouse
    mouse.move(*studio.at(*places[0]))
    mouse.down()
    for place in places[1:]:
        mouse.move(*studio.at(*place), steps=4)
    mouse.up()


SELECTED_BOX = f"{CANVAS}.surface.selectedInstances[0]?.box"


def box_of_selected(page: Page) -> list[float]:
    """Its corners, as soon as the canvas has read the masks."""
    page.wait_for_function(f"() => {SELECTED_BOX}")
    return page.evaluate(f"(({{ x0, y0, x1, y1 }}) => [x0, y0, x1, y1])({SELECTED_BOX})")


def test_the_list_decides_by_keys_and_one_undo_takes_back_marks_and_objects(
    segmented: StudioPage,
) -> None:
    page = segmented.page
    segmented.instances.first.get_by_role("button").first.focus()
    page.keyboard.press("a")
    expect(accepted(segmented)).to_have_count(1)
    expect(segmented.instances.nth(1).get_by_role("button").first).to_be_focused()
    page.keyboard.press("x")
    expect(segmented.rejected).to_have_count(1)
    segmented.mark_point(20, 20)
    segmented.expect_prompts(2)
    page.reload()
    expect(page.locator("#st-canvas [role=application]")).to_be_attached()
    segmented.expect_open("three.png")
    segmented.expect_prompts(2)
    segmented.choose_tool("v")
    page.keyboard.press("Control+z")
    segmented.expect_prompts(1)
    page.keyboard.press("Control+z")
    expect(segmented.rejected).to_have_count(0)
    page.keyboard.press("Control+Shift+z")
    expect(segmented.rejected).to_have_count(1)


def test_an_object_is_cut_painted_on_and_merged_again(segmented: StudioPage) -> None:
    page = segmented.page
    segmented.instances.first.get_by_role("button").first.click()
    x0, y0, x1, y1 = box_of_selected(page)
    middle = (x0 + x1) / 2
    segmented.choose_tool("k")
    drag(segmented, (middle, y0 - 5), (middle, (y0 + y1) / 2))
    expect(page.locator("#st-canvas")).to_contain_text("does not cut through")
    drag(segmented, (middle, y0 - 5), (middle, y1 + 5))
    expect(segmented.instances).to_have_count(4)
    expect(accepted(segmented)).to_have_count(2)

    page.keyboard.press("Shift+M")
    before = box_of_selected(page)
    drag(segmented, (middle, y1), (middle, y1 + 15))
    page.wait_for_function(f"(y) => {SELECTED_BOX}?.y1 > y", arg=before[3])
    page.keyboard.press("Escape")
    left, right = (accepted(segmented).nth(i).get_by_role("button").first for i in (0, 1))
    left.click()
    for count in (2, 1, 2):
        right.click(modifiers=["Control"])
        expect(page.locator("#st-instances .st-row.is-active")).to_have_count(count)
    page.get_by_role("button", name="Merge the selected").click()
    expect(segmented.instances).to_have_count(3)


def test_objects_are_drawn_without_the_model(studio: StudioPage) -> None:
    studio.choose_tool("d")
    studio.page.keyboard.press("b")
    drag(studio, (10, 10), (60, 50))
    expect(accepted(studio)).to_have_count(1)
    studio.choose_tool("m")
    drag(studio, (100, 20), (130, 20))
    expect(accepted(studio)).to_have_count(2)
    # A further stroke goes on with the object.
    drag(studio, (100, 30), (130, 30))
    expect(studio.page.locator("#st-canvas")).to_contain_text("Added to the object")
    expect(accepted(studio)).to_have_count(2)
    studio.expect_prompts(0)
    expect(studio.page.get_by_role("link", name="Download COCO JSON")).to_be_enabled()


def test_many_are_accepted_at_once_and_taken_back(segmented: StudioPage) -> None:
    page = segmented.page
    page.get_by_role("button", name="Many at once").click()
    page.get_by_label("Where").select_option("project")
    page.get_by_label("Score", exact=True).fill("0")
    page.locator(".st-bulk").get_by_role("button", name="Accept").click()
    expect(accepted(segmented)).to_have_count(3)
    page.get_by_role("button", name="Take it back").click()
    expect(accepted(segmented)).to_have_count(0)


def corners_of_outline(page: Page) -> list[tuple[float, float]]:
    """The corners that are shown; waits until they are."""
    page.wait_for_function(f"() => {CANVAS}.surface.draft?.type === 'outline'")
    points = page.evaluate(f"{CANVAS}.surface.draft.rings.flatMap(({{ points }}) => points)")
    return list(zip(points[::2], points[1::2], strict=True))


def wait_for_box(page: Page, box: list[float]) -> None:
    page.wait_for_function(
        f"""([x0, y0, x1, y1]) => {{
          const box = {SELECTED_BOX};
          return box?.x0 === x0 && box.y0 === y0 && box.x1 === x1 && box.y1 === y1;
        }}""",
        arg=box,
    )


def test_an_outline_is_edited_by_its_corners_as_one_step(
    segmented: StudioPage, tmp_path: Path
) -> None:
    page = segmented.page
    segmented.instances.first.get_by_role("button").first.click()
    x0, y0, x1, y1 = before = box_of_selected(page)
    page.keyboard.press("o")
    corners = corners_of_outline(page)
    right, top = max(corners), min(corners, key=lambda corner: corner[1])
    drag(segmented, right, (x1 + 12, right[1]))
    drag(segmented, top, (top[0], y0 - 12))
    page.mouse.click(*segmented.at(top[0], y0 - 12))
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Delete")
    assert len(corners_of_outline(page)) == len(corners) - 1
    # Undo takes back one change after the other, not what was done before.
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    page.get_by_role("button", name="Keep the outline").click()
    wait_for_box(page, [x0, y0 - 12, x1 + 12, y1])
    expect(accepted(segmented)).to_have_count(1)

    page.keyboard.press("o")
    drag(segmented, max(corners_of_outline(page)), (x1 + 40, right[1]))
    page.keyboard.press("Escape")
    page.keyboard.press("o")
    assert max(corners_of_outline(page))[0] == x1 + 12
    page.keyboard.press("Enter")
    page.keyboard.press("Control+z")
    wait_for_box(page, before)
    expect(accepted(segmented)).to_have_count(0)

    # What is in the making is kept when another image is opened.
    segmented.add_images(draw(tmp_path / "next.png", ONE_BLUE))
    expect(segmented.cards).to_have_count(2)
    page.keyboard.press("o")
    drag(segmented, max(corners_of_outline(page)), (x1 + 12, right[1]))
    page.keyboard.press("PageDown")
    segmented.expect_open("next.png")
    page.keyboard.press("PageUp")
    segmented.expect_open("three.png")
    expect(accepted(segmented)).to_have_count(1)
    accepted(segmented).get_by_role("button").first.click()
    # Another object may be the selected one until the click has arrived.
    page.wait_for_function(f"(x) => {SELECTED_BOX}?.x1 === x", arg=x1 + 12)
