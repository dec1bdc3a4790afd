"""Work leaves for other tools and comes back, on the page."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.pictures import THREE_RED, TWO_RED_ONE_BLUE, draw
from tests.e2e.serving import StudioServer
from tests.e2e.studio_page import StudioPage

pytestmark = pytest.mark.e2e


def test_a_project_leaves_as_yolo_and_comes_back_as_annotations_and_as_marks(
    page: Page, studio_server: StudioServer, tmp_path: Path
) -> None:
    studio = StudioPage(page, studio_server.url)
    expect(page.get_by_role("button", name="Export …")).to_be_disabled()
    pictures = [
        draw(tmp_path / "three.png", THREE_RED),
        draw(tmp_path / "two.png", TWO_RED_ONE_BLUE),
    ]
    studio.add_images(*pictures)
    studio.expect_open("three.png")
    studio.mark_point(80, 80)
    studio.segment_all()

    page.get_by_role("button", name="Export …").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Format").select_option("yolo")
    expect(dialog).to_contain_text("Has no place for scores, ids, tracks, decisions.")
    dialog.get_by_label("with the images").check()
    with page.expect_download() as download:
        dialog.get_by_role("button", name="Export", exact=True).click()
    assert download.value.suggested_filename == "Untitled-project.yolo.zip"
    archive = tmp_path / "yolo.zip"
    download.value.save_as(archive)
    expect(dialog).to_contain_text("5 of 5 annotations written.")
    dialog.get_by_role("button", name="Close").click()

    studio.project_menu("New project")
    expect(studio.cards).to_have_count(0)
    page.keyboard.press("Escape")
    import_(page, archive)
    expect(dialog).to_contain_text("5 of 5 annotations imported; 2 images added")
    dialog.get_by_role("button", name="Close").click()
    studio.expect_open("three.png")
    expect(studio.instances).to_have_count(3)
    expect(studio.card("two.png")).to_contain_text("2 found")

    import_(page, archive, "marks")
    expect(dialog).to_contain_text("5 of 5 annotations imported (YOLO")
    dialog.get_by_role("button", name="Close").click()
    studio.expect_prompts(3)


def test_what_cannot_be_imported_is_told(
    page: Page, studio_server: StudioServer, tmp_path: Path
) -> None:
    studio = StudioPage(page, studio_server.url)
    path = tmp_path / "notes.txt"
    path.write_text("nothing that anybody could read")
    import_(page, path)
    expect(page.get_by_role("dialog")).to_contain_text("in none of the known formats")
    page.get_by_role("dialog").get_by_role("button", name="Close").click()

    # As a project of its own it leaves none behind.
    studio.project_menu("All projects")
    page.get_by_role("button", name="Import as a project").click()
    dialog = page.get_by_role("dialog", name="Import as a project")
    dialog.get_by_label("Files to import").set_input_files(path)
    dialog.get_by_role("button", name="Import", exact=True).click()
    expect(dialog).to_contain_text("in none of the known formats")
    dialog.get_by_role("button", name="Close").click()
    expect(page.locator(".st-project-name")).not_to_have_text("notes")


def test_a_data_set_becomes_a_project_of_its_own(
    page: Page, studio_server: StudioServer, tmp_path: Path
) -> None:
    studio = StudioPage(page, studio_server.url)
    studio.add_images(draw(tmp_path / "three.png", THREE_RED))
    studio.expect_open("three.png")
    studio.mark_point(80, 80)
    studio.segment_all()
    page.get_by_role("button", name="Export …").click()
    page.get_by_role("dialog").get_by_label("with the images").check()
    with page.expect_download() as download:
        page.get_by_role("dialog").get_by_role("button", name="Export", exact=True).click()
    archive = tmp_path / "Red discs.zip"
    download.value.save_as(archive)
    page.get_by_role("dialog").get_by_role("button", name="Close").click()

    studio.project_menu("All projects")
    page.get_by_role("button", name="Import as a project").click()
    dialog = page.get_by_role("dialog", name="Import as a project")
    dialog.get_by_label("Files to import").set_input_files(archive)
    dialog.get_by_role("button", name="Import", exact=True).click()
    expect(dialog).to_contain_text("3 of 3 annotations imported; 1 image added")
    dialog.get_by_role("button", name="Close").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator(".st-project-name")).to_have_text("Red discs")
    expect(studio.instances).to_have_count(3)


def import_(page: Page, path: Path, as_: str = "annotations") -> None:
    page.get_by_role("button", name="Import …").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Files to import").set_input_files(path)
    dialog.get_by_label(as_).check()
    dialog.get_by_role("button", name="Import", exact=True).click()
