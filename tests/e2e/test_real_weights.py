"""The whole way with the checkpoint that ships with the project, on photos it has not seen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from pycocotools.coco import COCO
from scipy.ndimage import distance_transform_edt

from dinov.download import known_score_threshold
from dinov.masks import decode_rle, mask_iou
from dinov.types import Mask
from tests.e2e.serving import StudioServer
from tests.e2e.studio_page import StudioPage

pytestmark = [pytest.mark.e2e, pytest.mark.weights, pytest.mark.slow]

REFERENCE = "5603212091_2dfe16ea72_b.jpg"
TARGETS = ("3825919971_93fb1ec581_b.jpg", "5555705118_3390d70abe_b.jpg")


@pytest.fixture
def server(tmp_path: Path, lite_checkpoint: Path) -> Iterator[StudioServer]:
    server = StudioServer(tmp_path / "data", with_weights=True)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def balloons(shared_dir: Path) -> dict[str, tuple[Path, list[Mask]]]:
    """By file name, held-out photos with the true mask of every balloon, largest first."""
    folder = shared_dir / "data/balloon"
    truth = json.loads((folder / "val.json").read_text())
    return {
        image["file_name"]: (
            folder / "images" / image["file_name"],
            sorted(
                (
                    decode_rle(a["segmentation"])
                    for a in truth["annotations"]
                    if a["image_id"] == image["id"]
                ),
                key=lambda mask: -int(mask.sum()),
            ),
        )
        for image in truth["images"]
        if image["file_name"] in (REFERENCE, *TARGETS)
    }


def test_balloons_marked_on_one_photo_are_found_on_two_others(
    page: Page,
    server: StudioServer,
    balloons: dict[str, tuple[Path, list[Mask]]],
    tmp_path: Path,
) -> None:
    studio = StudioPage(page, server.url)
    studio.add_images(*(balloons[name][0] for name in (REFERENCE, *TARGETS)))
    studio.expect_open(REFERENCE)
    # What the file says, whether or not the model is there already.
    usual = f"{known_score_threshold('lite'):g}"
    expect(page.get_by_label("Score threshold", exact=True)).to_have_value(usual)
    for mask in balloons[REFERENCE][1][:3]:
        studio.scribble(*stroke_inside(mask))
    studio.card(REFERENCE).get_by_role("button", name="Target").click()
    expect(page.get_by_role("button", name="Segment all 2 targets")).to_be_enabled()
    studio.press_segment_all()
    expect(page.locator(".st-badge-found, .st-badge-none")).to_have_count(2, timeout=180_000)
    studio.expect_idle()

    studio.open_image(TARGETS[0])
    expect(studio.instances.first).to_be_visible()
    shown = studio.instances.count()
    chosen = float(page.get_by_label("Score threshold", exact=True).input_value())
    studio.set_threshold(1)
    expect(studio.instances).to_have_count(0)
    studio.set_threshold(chosen)
    expect(studio.instances).to_have_count(shown)

    page.reload()
    studio.expect_open(TARGETS[0])
    expect(studio.instances).to_have_count(shown)

    studio.download().save_as(tmp_path / "balloons.json")
    coco = COCO(str(tmp_path / "balloons.json"))
    for image in coco.loadImgs(coco.getImgIds()):
        found = [
            coco.annToMask(annotation).astype(bool)
            for annotation in coco.loadAnns(coco.getAnnIds(image["id"]))
        ]
        if image["file_name"] in TARGETS:
            largest = balloons[image["file_name"]][1][0]
            assert max(mask_iou(largest, mask) for mask in found) > 0.6
        else:
            assert not found


def stroke_inside(mask: Mask) -> list[tuple[float, float]]:
    """A short stroke around the place of an object that is farthest from its edge."""
    depth = distance_transform_edt(mask)
    y, x = np.unravel_index(int(depth.argmax()), mask.shape)
    reach = 0.4 * float(depth.max())
    return [(x - reach, float(y)), (float(x), y - reach), (x + reach, float(y))]
