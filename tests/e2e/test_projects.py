"""Projects, images and categories: make, name, switch, remove."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.pictures import THREE_RED, TWO_RED_ONE_BLUE, draw
from tests.e2e.serving import StudioServer
from tests.e2e.studio_page import StudioPage

pytestmark = pytest.mark.e2e


@pytest.fixture
def studio(page: Page, studio_server: StudioServer) -> StudioPage:
    return StudioPage(page, studio_server.url)


def test_projects_are_made_named_switched_and_deleted(studio: StudioPage, tmp_path: Path) -> None:
    studio.project_menu("New project")
    field = studio.page.get_by_label("Project name")
    field.fill("Harbour <b>boats</b>")
    field.press("Enter")
    expect(studio.page.locator(".st-project-name")).to_have_text("Harbour <b>boats</b>")
    studio.add_images(draw(tmp_path / "three.png", THREE_RED))
    studio.expect_open("three.png")

    studio.project_menu("New project")
    expect(studio.page.get_by_label("Project name")).to_be_focused()
    studio.page.keyboard.press("Escape")
    expect(studio.cards).to_have_count(0)
    studio.project_menu("Harbour")
    studio.expect_open("three.png")

    studio.project_menu("Delete this project")
    # Under the pointer it stays for as long as it is read.
    studio.page.locator(".st-notice").get_by_role("button", name="Undo").hover()
    expect(studio.page.locator(".st-project-name")).to_have_text("Untitled project")
    expect(studio.page.get_by_role("button", name="Open the example")).to_be_visible()
    studio.page.locator(".st-notice").get_by_role("button", name="Undo").click()
    studio.expect_open("three.png")


def test_all_projects_are_seen_at_once_copied_deleted_and_taken_back(
    studio: StudioPage, tmp_path: Path
) -> None:
    page = studio.page
    studio.add_images(draw(tmp_path / "three.png", THREE_RED))
    studio.expect_open("three.png")
    studio.mark_point(80, 80)
    studio.project_menu("All projects")
    view = page.get_by_role("dialog", name="Projects")
    cards = view.locator(".st-project-card")
    expect(cards).to_contain_text("1 image · 1 mark")

    cards.first.hover()
    cards.first.get_by_role("button", name="Duplicate").click()
    expect(cards).to_have_count(2)
    copy = cards.filter(has_text="(copy)")
    copy.hover()
    copy.get_by_role("button", name="Rename").click()
    page.keyboard.type("Second survey")
    page.keyboard.press("Enter")
    copy = cards.filter(has_text="Second survey")
    view.get_by_label("Search projects").fill("SURVEY")
    expect(cards).to_have_count(1)

    copy.hover()
    copy.get_by_role("button", name="Delete").click()
    expect(view).to_contain_text("No project is called")
    view.get_by_role("button", name="Undo").click()
    copy.get_by_role("button", name="Open").click()
    expect(view).to_have_count(0)
    studio.expect_open("three.png")
    expect(page.locator(".st-project-name")).to_have_text("Second survey")
    studio.expect_prompts(1)

    studio.project_menu("Delete this project")
    expect(page.locator(".st-project-name")).to_have_text("Untitled project")
    studio.project_menu("All projects")
    view.get_by_text("Trash (1)").click()
    view.get_by_role("button", name="Empty the trash").click()
    studio.confirm("Empty the trash")
    expect(view.get_by_text("Trash (1)")).to_have_count(0)
    view.get_by_role("button", name="Back to the images").click()
    expect(view).to_have_count(0)


def test_an_image_is_removed_only_after_a_question(studio: StudioPage, tmp_path: Path) -> None:
    studio.add_images(
        draw(tmp_path / "three.png", THREE_RED), draw(tmp_path / "two.png", TWO_RED_ONE_BLUE)
    )
    studio.expect_open("three.png")
    expect(studio.cards).to_have_count(2)
    studio.card("three.png").hover()
    studio.card("three.png").get_by_label("Remove the image").click()
    studio.confirm("Cancel")
    expect(studio.cards).to_have_count(2)
    studio.card("three.png").get_by_label("Remove the image").click()
    studio.confirm("Remove image")
    expect(studio.cards).to_have_count(1)
    studio.expect_open("two.png")


@pytest.mark.parametrize("is_shown", [True, False])
def test_what_was_begun_on_a_removed_image_does_not_keep_anybody_on_the_page(
    studio: StudioPage, tmp_path: Path, is_shown: bool
) -> None:
    asks = "!window.dispatchEvent(new Event('beforeunload', { cancelable: true }))"
    studio.add_images(
        draw(tmp_path / "three.png", THREE_RED), draw(tmp_path / "two.png", TWO_RED_ONE_BLUE)
    )
    studio.expect_open("three.png")
    studio.choose_tool("g")
    studio.page.mouse.click(*studio.at(30, 30))
    studio.page.mouse.click(*studio.at(60, 30))
    if not is_shown:
        studio.open_image("two.png")
    assert studio.page.evaluate(asks) is True
    studio.card("three.png").hover()
    studio.card("three.png").get_by_label("Remove the image").click()
    studio.confirm("Remove image")
    expect(studio.cards).to_have_count(1)
    studio.expect_open("two.png")
    assert studio.page.evaluate(asks) is False


def test_only_targets_are_segmented(studio: StudioPage, tmp_path: Path) -> None:
    studio.add_images(
        draw(tmp_path / "three.png", THREE_RED), draw(tmp_path / "two.png", TWO_RED_ONE_BLUE)
    )
    studio.expect_open("three.png")
    studio.mark_point(80, 80)
    studio.card("three.png").get_by_role("button", name="Target").click()
    expect(studio.page.get_by_role("button", name="Segment 1 target")).to_be_enabled()
    expect(studio.page.get_by_role("button", name="Segment this image")).to_be_disabled()
    studio.segment_all()
    expect(studio.card("two.png")).to_contain_text("2 found")
    expect(studio.card("three.png")).not_to_contain_text("found")


def test_categories_are_added_renamed_and_deleted_with_their_marks(
    studio: StudioPage, tmp_path: Path
) -> None:
    studio.add_images(draw(tmp_path / "two.png", TWO_RED_ONE_BLUE))
    studio.expect_open("two.png")
    rows = studio.page.locator("#st-categories .st-row")
    rows.first.locator(".st-row-main").dblclick()
    studio.page.keyboard.type("red")
    studio.page.keyboard.press("Enter")
    expect(rows.first).to_contain_text("red")
    studio.mark_point(70, 150)
    studio.add_category("blue")
    studio.mark_point(260, 180)
    expect(rows.nth(1)).to_contain_text("1 mark")
    studio.segment_all()
    expect(studio.instances).to_have_count(3)
    expect(studio.instances.filter(has_text="blue")).to_have_count(1)
    expect(studio.instances.filter(has_text="red")).to_have_count(2)

    rows.nth(1).hover()
    rows.nth(1).get_by_label("Delete the category").click()
    studio.confirm("Delete category")
    expect(rows).to_have_count(1)
    expect(studio.instances).to_have_count(2)
    studio.expect_prompts(1)


def test_a_category_name_that_is_taken_is_refused_in_words(
    studio: StudioPage, tmp_path: Path
) -> None:
    studio.add_images(draw(tmp_path / "two.png", TWO_RED_ONE_BLUE))
    studio.expect_open("two.png")
    studio.add_category("boat")
    field = studio.page.get_by_label("Name of a new category")
    field.fill(" boat ")
    field.press("Enter")
    expect(studio.page.get_by_role("alert").filter(has_text="boat")).to_be_visible()
    expect(studio.page.locator("#st-categories .st-row")).to_have_count(2)


def test_a_number_key_on_the_canvas_chooses_the_category_beside_it(
    studio: StudioPage, tmp_path: Path
) -> None:
    studio.add_images(draw(tmp_path / "two.png", TWO_RED_ONE_BLUE))
    studio.expect_open("two.png")
    studio.add_category("blue")
    rows = studio.page.locator("#st-categories .st-row")
    expect(rows.nth(1)).to_have_class("st-row is-active")
    studio.choose_tool("1")
    expect(rows.first).to_have_class("st-row is-active")


def test_a_project_is_seen_in_figures_and_saved_as_a_table(
    studio: StudioPage, tmp_path: Path
) -> None:
    page = studio.page
    expect(page.get_by_role("button", name="Statistics")).to_be_disabled()
    studio.add_images(draw(tmp_path / "three.png", THREE_RED))
    studio.expect_open("three.png")
    studio.mark_point(80, 80)
    studio.segment_all()
    expect(studio.instances).to_have_count(3)

    page.get_by_role("button", name="Statistics").click()
    view = page.get_by_role("dialog", name="Statistics")
    expect(view.locator("tbody tr")).to_have_count(1)
    expect(view.locator(".st-table-bar")).to_have_text("3")
    expect(
        view.get_by_role("img", name="Instances per image: 3 instances: 1 image")
    ).to_be_visible()
    with page.expect_download() as download:
        view.get_by_role("link", name="Instances (CSV)").click()
    assert download.value.suggested_filename.endswith(".instances.csv")
    assert download.value.path().read_text().count("three.png,") == 3
    page.keyboard.press("Escape")
    expect(view).to_have_count(0)
