"""What people come for: mark, segment, look through, take the result away."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from pycocotools.coco import COCO

from app.project import Task
from dinov.masks import mask_iou
from tests.e2e.pictures import ONE_BLUE, THREE_RED, TWO_RED_ONE_BLUE, draw
from tests.e2e.serving import StudioServer
from tests.e2e.studio_page import StudioPage
from tests.e2e.waiting import until

pytestmark = pytest.mark.e2e


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    return [
        draw(tmp_path / "three.png", THREE_RED),
        draw(tmp_path / "two.png", TWO_RED_ONE_BLUE),
        draw(tmp_path / "blue.png", ONE_BLUE),
    ]


@pytest.fixture
def studio(page: Page, studio_server: StudioServer) -> StudioPage:
    return StudioPage(page, studio_server.url)


def test_from_the_first_upload_to_masks_that_pycocotools_reads(
    studio: StudioPage, pictures: list[Path], tmp_path: Path
) -> None:
    studio.add_images(*pictures)
    studio.expect_open("three.png")
    expect(studio.cards).to_have_count(3)
    hint = studio.page.get_by_role("region", name="What to do next")
    expect(hint).to_have_count(0)
    studio.page.keyboard.press("?")
    studio.page.get_by_role("button", name="Show the hints again").click()
    expect(hint).to_contain_text("a scribble S, a box B")
    studio.scribble((60, 80), (80, 70), (100, 80))
    expect(studio.card("three.png")).to_contain_text("1")
    expect(hint).to_contain_text("Segment looks on all targets")
    studio.segment_all()
    # What has been read does not come back.
    expect(hint).to_contain_text("Look through what was found")
    hint.get_by_role("button", name="Got it").click()
    expect(hint).to_have_count(0)
    studio.page.reload()

    expect(studio.card("three.png")).to_contain_text("3 found")
    expect(studio.card("two.png")).to_contain_text("2 found")
    expect(studio.instances).to_have_count(3)
    expect(hint).to_have_count(0)

    download = studio.download()
    assert download.suggested_filename == "Untitled-project.coco.json"
    path = tmp_path / "result.json"
    download.save_as(path)
    coco = COCO(str(path))
    truth = {"three.png": THREE_RED, "two.png": TWO_RED_ONE_BLUE[:2], "blue.png": ()}
    for image in coco.loadImgs(coco.getImgIds()):
        masks = [coco.annToMask(a).astype(bool) for a in coco.loadAnns(coco.getAnnIds(image["id"]))]
        discs = truth[image["file_name"]]
        assert len(masks) == len(discs)
        for disc in discs:
            assert max(mask_iou(disc.mask((240, 320)), mask) for mask in masks) > 0.9


def test_the_example_gives_a_result_with_two_clicks(studio: StudioPage) -> None:
    studio.page.get_by_role("button", name="Open the example").click()
    expect(studio.page.locator(".st-run-buttons .st-primary")).to_be_enabled()
    studio.segment_all()
    expect(studio.card("coins.jpg")).to_contain_text("found")
    expect(studio.page.locator(".st-badge-found").nth(2)).to_be_visible()


def test_nothing_found_is_said_in_words(studio: StudioPage, pictures: list[Path]) -> None:
    studio.add_images(*pictures)
    studio.expect_open("three.png")
    studio.mark_point(80, 80)
    studio.segment_all()
    expect(studio.card("blue.png")).to_contain_text("nothing found")
    studio.open_image("blue.png")
    expect(studio.page.locator("#st-instances")).to_contain_text("Nothing found on this image.")
    expect(studio.page.locator("#st-canvas")).to_contain_text("Nothing found")


def test_the_threshold_hides_instances_at_once_and_is_kept(
    studio: StudioPage, pictures: list[Path], tmp_path: Path
) -> None:
    studio.add_images(*pictures)
    studio.expect_open("three.png")
    studio.mark_point(80, 80)
    studio.segment_all()
    studio.set_threshold(1)
    expect(studio.instances).to_have_count(0)
    expect(studio.page.locator("#st-instances")).to_contain_text("below the score threshold")
    expect(studio.card("two.png")).to_contain_text("2 below")

    studio.page.reload()
    expect(studio.page.get_by_label("Score threshold", exact=True)).to_have_value("1")
    studio.download().save_as(tmp_path / "none.json")
    assert COCO(str(tmp_path / "none.json")).getAnnIds() == []
    studio.set_threshold(0.3)
    expect(studio.instances).to_have_count(3)


def test_the_very_object_is_found_once_or_said_not_to_be_there(
    studio: StudioPage, pictures: list[Path], tmp_path: Path
) -> None:
    studio.add_images(*pictures)
    studio.expect_open("three.png")
    studio.mark_point(80, 80)
    studio.segment_all()
    studio.set_threshold(0.4)
    expect(studio.instances).to_have_count(3)

    studio.find("This very object")
    studio.page.reload()
    expect(studio.page.get_by_role("radio", name="This very object")).to_be_checked()
    # What is on the image still comes from the run before, and so does its threshold.
    expect(studio.page.get_by_label("Score threshold", exact=True)).to_have_value("0.4")
    studio.segment_all()
    expect(studio.instances).to_have_count(1)
    expect(studio.page.get_by_label("Score threshold", exact=True)).to_have_value("0")
    expect(studio.card("three.png")).to_contain_text("1 found")
    studio.download().save_as(tmp_path / "refer.json")
    coco = COCO(str(tmp_path / "refer.json"))
    assert len(coco.getAnnIds()) == 2
    assert coco.dataset["info"]["task"] == "refer"

    studio.set_threshold(0.9)
    expect(studio.page.locator("#st-instances")).to_contain_text(
        "Below the score threshold: Object"
    )
    studio.open_image("blue.png")
    expect(studio.page.locator("#st-instances")).to_contain_text("Not found on this image: Object")
    studio.find("Every object like these")
    studio.segment_all()
    studio.open_image("three.png")
    expect(studio.instances).to_have_count(3)
    expect(studio.page.get_by_label("Score threshold", exact=True)).to_have_value("0.4")


def test_the_search_in_tiles_stays_in_sight_once_it_is_chosen(
    studio: StudioPage, pictures: list[Path], studio_server: StudioServer
) -> None:
    studio.add_images(pictures[0])
    studio.expect_open("three.png")
    studio.mark_point(80, 80)
    studio.page.get_by_text("More", exact=True).click()
    studio.page.get_by_label("Search large photos in tiles").check()
    studio.segment_all()
    assert 128 in studio_server.predictor.tiles
    studio.page.reload()
    expect(studio.page.get_by_label("Search large photos in tiles")).to_be_checked()
    expect(studio.page.get_by_label("Search large photos in tiles")).to_be_visible()
    studio.find("This very object")
    expect(studio.page.get_by_label("Search large photos in tiles")).to_be_hidden()


def test_a_rejected_instance_stays_away_and_can_be_taken_back(
    studio: StudioPage, pictures: list[Path]
) -> None:
    studio.add_images(pictures[0])
    studio.expect_open("three.png")
    studio.mark_point(80, 80)
    studio.segment_all()
    studio.instances.first.hover()
    studio.instances.first.get_by_label("Reject").click()
    expect(studio.rejected).to_have_count(1)
    expect(studio.card("three.png")).to_contain_text("2 found")
    studio.page.get_by_role("button", name="Undo", exact=True).click()
    expect(studio.rejected).to_have_count(0)
    # A key means the object under the pointer, without a click.
    studio.choose_tool("v")
    studio.page.mouse.move(*studio.at(80, 80))
    studio.page.keyboard.press("x")
    expect(studio.rejected).to_have_count(1)
    studio.page.keyboard.press("Control+z")
    expect(studio.rejected).to_have_count(0)
    studio.page.keyboard.press("Shift+A")
    expect(studio.rejected).to_have_count(2)
    studio.page.keyboard.press("Control+z")
    expect(studio.rejected).to_have_count(0)
    studio.page.mouse.move(0, 0)

    studio.instances.first.get_by_role("button").first.press("x")
    expect(studio.rejected).to_have_count(1)
    # The next undecided one is at hand.
    expect(studio.instances.nth(1).get_by_role("button").first).to_be_focused()
    studio.segment_all()
    expect(studio.instances).to_have_count(3)
    expect(studio.rejected).to_have_count(1)


def test_a_reload_comes_back_to_the_same_image(studio: StudioPage, pictures: list[Path]) -> None:
    studio.add_images(*pictures)
    studio.expect_open("three.png")
    studio.open_image("two.png")
    studio.draw_box((30, 110), (110, 190))
    studio.page.reload()
    studio.expect_open("two.png")
    studio.expect_prompts(1)
    expect(studio.page).to_have_title(re.compile("^two.png"))


def test_page_keys_open_the_next_image_and_the_one_before(
    studio: StudioPage, pictures: list[Path]
) -> None:
    studio.add_images(*pictures)
    studio.expect_open("three.png")
    studio.page.keyboard.press("PageDown")
    studio.expect_open("two.png")
    studio.page.keyboard.press("PageUp")
    studio.expect_open("three.png")


def test_the_slider_shows_what_will_be_used_before_anything_was_found(
    studio: StudioPage, pictures: list[Path], studio_server: StudioServer
) -> None:
    studio.add_images(pictures[0])
    studio.expect_open("three.png")
    slider = studio.page.get_by_label("Score threshold", exact=True)
    usual = f"{studio_server.predictor.score_threshold:g}"
    expect(slider).to_have_value(usual)
    studio.mark_point(70, 70)
    studio.expect_prompts(1)
    studio.segment_all()
    expect(slider).to_have_value(usual)


def test_quick_steps_of_the_slider_are_all_counted(
    studio: StudioPage, pictures: list[Path], studio_server: StudioServer
) -> None:
    def threshold() -> float:
        return studio_server.studio.projects()[0].score_thresholds[Task.GENERIC]

    studio.add_images(pictures[0])
    studio.expect_open("three.png")
    slider = studio.page.get_by_label("Score threshold", exact=True)
    before = threshold()
    expect(slider).to_have_value(f"{before:g}")
    slider.focus()
    for _ in range(12):
        studio.page.keyboard.press("ArrowRight")
    expect(slider).to_have_value(f"{before + 0.12:.2f}")
    until(studio.page, lambda: threshold() == pytest.approx(before + 0.12))
    studio.page.reload()
    expect(slider).to_have_value(f"{before + 0.12:.2f}")


def test_an_address_opens_its_own_image_and_not_the_one_looked_at_last(
    studio: StudioPage, pictures: list[Path]
) -> None:
    studio.add_images(*pictures)
    studio.expect_open("three.png")
    studio.page.wait_for_url("**/?project=*&image=*")
    bookmark = studio.page.url
    studio.open_image("two.png")
    studio.page.goto(bookmark)
    studio.expect_open("three.png")
