"""Examples: found objects become references, each can be left out, and odd ones are pointed out."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.pictures import THREE_RED, TWO_RED_ONE_BLUE, draw
from tests.e2e.serving import StudioServer
from tests.e2e.studio_page import CANVAS, StudioPage

pytestmark = pytest.mark.e2e


@pytest.fixture
def studio(page: Page, studio_server: StudioServer, tmp_path: Path) -> StudioPage:
    studio = StudioPage(page, studio_server.url)
    studio.add_images(
        draw(tmp_path / "three.png", THREE_RED), draw(tmp_path / "two.png", TWO_RED_ONE_BLUE)
    )
    studio.expect_open("three.png")
    return studio


def test_a_found_object_becomes_a_reference_with_one_key_and_undo_takes_it_back(
    studio: StudioPage,
) -> None:
    studio.mark_point(80, 80)
    studio.segment_all()
    studio.open_image("two.png")
    expect(studio.instances).to_have_count(2)
    studio.instances.first.get_by_role("button").first.click()
    studio.page.keyboard.press("q")
    studio.expect_prompts(1)
    expect(studio.examples).to_have_count(2)
    expect(studio.card("two.png").get_by_role("button", name="Ref")).to_have_attribute(
        "aria-pressed", "true"
    )
    studio.page.keyboard.press("q")
    expect(studio.page.locator("#st-canvas")).to_contain_text("already")
    studio.expect_prompts(1)
    studio.page.keyboard.press("Control+z")
    studio.expect_prompts(0)
    expect(studio.examples).to_have_count(1)

    studio.instances.last.hover()
    studio.instances.last.get_by_label("Use as a reference").click()
    expect(studio.examples).to_have_count(2)


def test_an_example_can_be_left_out_and_leads_to_its_mark(studio: StudioPage) -> None:
    studio.mark_point(80, 80)
    studio.open_image("two.png")
    studio.draw_box((30, 110), (110, 190))
    expect(studio.examples).to_have_count(2)
    first = studio.examples.first
    first.hover()
    first.get_by_role("checkbox").uncheck()
    expect(studio.page.locator("#st-references")).to_contain_text("1 example, 1 off")
    studio.page.reload()
    expect(studio.examples.first.get_by_role("checkbox")).not_to_be_checked()
    studio.examples.first.get_by_role("button").click()
    studio.expect_open("three.png")
    studio.page.wait_for_function(f"() => {CANVAS}.store.selectedPrompt?.type === 'point'")


def test_the_example_that_the_others_do_not_find_is_pointed_out(studio: StudioPage) -> None:
    compare = studio.page.get_by_role("button", name="Compare examples")
    studio.mark_point(80, 80)
    expect(compare).to_be_hidden()
    for disc in THREE_RED[1:]:
        studio.mark_point(disc.x, disc.y)
    studio.open_image("two.png")
    for disc in TWO_RED_ONE_BLUE:
        studio.mark_point(disc.x, disc.y)
    compare.click()
    expect(studio.page.get_by_label("does not fit the others")).to_have_count(1)
    expect(studio.examples.last).to_have_class("st-example is-odd")
    expect(compare).to_be_hidden()
    studio.mark_point(10, 10)
    expect(compare).to_be_visible()
    expect(studio.page.get_by_label("does not fit the others")).to_have_count(0)


def test_a_concept_goes_to_another_project_as_a_file(
    studio: StudioPage, studio_server: StudioServer, tmp_path: Path
) -> None:
    studio.mark_point(80, 80)
    panel = studio.page.locator("#st-references")
    with studio.page.expect_download() as download:
        panel.get_by_label("for other projects").first.click()
    assert download.value.suggested_filename == "Object.safetensors"
    path = tmp_path / "red.safetensors"
    download.value.save_as(path)

    other = studio_server.studio.create_project("Other")
    studio_server.studio.add_images(other.id, [tmp_path / "two.png"])
    studio.page.goto(f"{studio_server.url}?project={other.id}")
    studio.expect_open("two.png")
    panel.get_by_label("Files of concepts").set_input_files(path)
    use = panel.get_by_role("checkbox", name="red.safetensors")
    expect(use).to_be_checked()
    studio.segment_all()
    expect(studio.card("two.png")).to_contain_text("2 found")
    use.uncheck()
    expect(panel.locator(".st-concept.is-off")).to_have_count(1)
    panel.get_by_label("Remove the examples").click()
    expect(panel.locator(".st-concept")).to_have_count(0)
