"""Open, mark and review images of a project of many: what a user waits for, in a real browser.

    python -m tests.project_at_scale --images 500 --instances 10000 --folder /tmp/many

Photos are noise of 1280 x 960 and masks are ellipses; no model takes part. Prints one line of JSON
with the medians and the worst of each wait in milliseconds, from the key or click to what is seen.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import Page, sync_playwright

from app.project import InstanceStatus, RunOptions
from app.results import stored_instance
from app.segmentation import Studio
from app.settings import Settings
from app.store import Store
from dinov.masks import encode_rle, rle_area, rle_box_xyxy
from dinov.types import Instance
from tests.browsers import find_browser
from tests.e2e.serving import StudioServer
from tests.e2e.studio_page import CANVAS, StudioPage

SIZE_HW = (960, 1280)
READY = f"""(name) => {{
  const {{ store, surface }} = {CANVAS};
  return store.image?.name === name && surface.pictureState === "ready"
    && surface.resultsState === "ready";
}}"""


def fill(folder: Path, images: int, instances: int) -> None:
    """Make the project: photos through the front door, instances as a run would store them."""
    studio = Studio.open(Settings(data_dir=folder))
    noise = np.random.default_rng(0)
    project = studio.create_project("Many")
    categories = [studio.add_category(project.id, f"category {n}") for n in range(5)]
    for number in range(images):
        small = noise.integers(0, 255, (15, 20, 3), np.uint8)
        picture = cv2.resize(small, SIZE_HW[::-1], interpolation=cv2.INTER_CUBIC)
        path = folder / f"{number:05}.jpg"
        cv2.imwrite(str(path), picture)
        studio.add_images(project.id, [path])
        path.unlink()
    studio.close()
    store = Store(folder / "studio.sqlite3")
    run_id = store.add_run(
        project.id, checkpoint="none", fingerprint="none", prompt_ids={}, options=RunOptions()
    )
    each = instances // images
    for image in store.images(project.id):
        found = []
        for _ in range(each):
            mask = np.zeros(SIZE_HW, np.uint8)
            centre = [int(noise.integers(80, side - 80)) for side in SIZE_HW[::-1]]
            axes = [int(noise.integers(20, 80)) for _ in range(2)]
            cv2.ellipse(mask, centre, axes, float(noise.integers(180)), 0, 360, 1, -1)
            rle = encode_rle(mask.astype(bool))
            category = categories[int(noise.integers(5))]
            one = Instance(
                category.id, float(noise.random()), rle, rle_box_xyxy(rle), rle_area(rle)
            )
            found.append(stored_instance(image.id, run_id, one, InstanceStatus.PROPOSED))
        store.replace_proposals(image.id, run_id, "none", found)
    store.close()


def waits(page: Page, act: Callable[[int], None], seen: Callable[[int], None], times: int) -> dict:
    """Do something several times, and say how long each took until it was seen."""
    taken = []
    for number in range(times):
        begin = time.perf_counter()
        act(number)
        seen(number)
        taken.append(1000 * (time.perf_counter() - begin))
        page.wait_for_timeout(300)
    return {"median_ms": round(statistics.median(taken)), "worst_ms": round(max(taken))}


def measure(url: str, images: int, times: int) -> dict:
    """Use the page as somebody who labels does."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser())
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        begin = time.perf_counter()
        studio = StudioPage(page, url)
        is_open = lambda name: page.wait_for_function(READY, arg=name)  # noqa: E731
        is_open("00000.jpg")
        result = {"page_ms": round(1000 * (time.perf_counter() - begin))}
        result["open"] = waits(
            page,
            lambda n: page.keyboard.press("PageDown"),
            lambda n: is_open(f"{n + 1:05}.jpg"),
            times,
        )
        studio.choose_tool("p")
        saved = f"(rev) => {CANVAS}.saver.revs.get({CANVAS}.store.image.id) > rev"
        revs: list[int] = []

        def mark(number: int) -> None:
            revs.append(page.evaluate(f"{CANVAS}.saver.revs.get({CANVAS}.store.image.id)"))
            page.mouse.click(500 + 10 * number, 400)

        result["save"] = waits(
            page, mark, lambda n: page.wait_for_function(saved, arg=revs[-1]), times
        )
        result["review_and_go_on"] = waits(
            page,
            lambda n: page.keyboard.press("Shift+Enter"),
            lambda n: is_open(f"{times + n + 1:05}.jpg"),
            times,
        )
        strip = page.locator(".st-filmstrip-scroll")
        result["cards_on_page"] = studio.cards.count()
        result["jump_to_the_end"] = waits(
            page,
            lambda n: strip.evaluate(f"(e) => e.scrollTo(0, {n % 2} ? 0 : e.scrollHeight)"),
            lambda n: studio.card(f"{0 if n % 2 else images - 1:05}.jpg").wait_for(),
            times,
        )
        browser.close()
    return result


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--instances", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=15)
    parser.add_argument("--folder", type=Path, required=True)
    arguments = parser.parse_args()
    if not (arguments.folder / "studio.sqlite3").exists():
        fill(arguments.folder, arguments.images, arguments.instances)
    server = StudioServer(arguments.folder)
    try:
        result = measure(server.url, arguments.images, arguments.times)
    finally:
        server.stop()
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
