"""A video: its frames become images, a marked object is tracked along them, both ways."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.pictures import GREY, Disc, draw
from tests.e2e.serving import StudioServer
from tests.e2e.studio_page import StudioPage

pytestmark = pytest.mark.e2e

SIZE_HW = (240, 320)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Eight frames on which a red disc goes to the right."""
    path = tmp_path / "ball.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, SIZE_HW[::-1])
    for number in range(8):
        disc = Disc(60 + 25 * number, 120, 40)
        pixels = np.full((*SIZE_HW, 3), GREY, np.uint8)
        pixels[disc.mask(SIZE_HW)] = disc.colour
        writer.write(pixels[..., ::-1])
    writer.release()
    return path


def test_an_object_is_tracked_along_a_video_from_any_frame(
    page: Page, studio_server: StudioServer, clip: Path, tmp_path: Path
) -> None:
    studio = StudioPage(page, studio_server.url)
    video = page.locator("#st-video")
    video.get_by_role("button", name="Video").click()
    video.get_by_label("Take every so many frames").fill("2")
    video.get_by_label("Video file").set_input_files(clip)
    expect(studio.cards).to_have_count(4)
    expect(video).to_contain_text("4 frames of ball.avi were added")
    studio.open_image("ball 00004.jpg")
    expect(video).to_contain_text("frame 3 of 4")
    track = video.get_by_role("button", name="Track", exact=True)
    expect(track).to_be_disabled()
    studio.draw_box((130, 90), (190, 150))
    track.click()
    expect(studio.card("ball 00006.jpg")).to_contain_text("To review")
    expect(studio.card("ball 00000.jpg")).to_contain_text("Unmarked")
    video.get_by_role("radio", name="Both ways").check()
    track.click()
    expect(studio.card("ball 00000.jpg")).to_contain_text("To review")

    video.get_by_label("Frame before").click()
    studio.expect_open("ball 00002.jpg")
    expect(studio.instances).to_have_count(1)
    videos, project = studio_server.studio.videos, studio_server.studio.projects()[0]
    (sequence,) = videos.sequences(project.id)
    assert len(sequence.image_ids) == 4

    # Folded away, the frames are still reached by keys.
    head = page.locator("#st-filmstrip").get_by_role("button", name="ball", exact=False).first
    head.click()
    expect(studio.cards).to_have_count(0)
    page.keyboard.press("PageDown")
    expect(video).to_contain_text("frame 3 of 4")
    expect(head).to_contain_text("3 / 4")

    # Images become a sequence, too, in the order of their names.
    names = ["walk 10.png", "walk 9.png", "alone.png"]
    studio.add_images(*(draw(tmp_path / name, [Disc(60, 60, 20 + len(name))]) for name in names))
    expect(studio.cards).to_have_count(3)
    page.get_by_role("button", name="Select images").click()
    for name in names[:2]:
        studio.card(name).locator(".st-card-open").click()
    page.get_by_role("button", name="Make a sequence").click()
    studio.expect_open("walk 9.png")
    expect(video).to_contain_text("frame 1 of 2")
    assert [one.name for one in videos.sequences(project.id)] == ["ball", "walk"]

    # What it is called is chosen in the panel or in the filmstrip.
    strip = page.locator("#st-filmstrip")
    for place, button, name in (
        (video, "Rename the sequence", "In the park"),
        (strip, "Rename In the park", "On the beach"),
    ):
        place.get_by_role("button", name=button).click()
        place.get_by_label("Name of the sequence").fill(name)
        page.keyboard.press("Enter")
        expect(video.locator(".st-video-head")).to_contain_text(name)
        expect(strip.get_by_role("button", name=f"Rename {name}")).to_be_visible()
    page.reload()
    expect(strip.locator(".st-sequence-name")).to_have_text(["ball", "On the beach"])
