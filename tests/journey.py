"""The main job, done in a real browser with the real model: from 20 photos to a reviewed COCO file.

    python tests/journey.py

Somebody who knows the truth marks a few objects, has every other one found, rejects what is wrong,
and exports. Every click, drag, key press and typed name counts as one action. Prints how many there
were for each object that was kept, what they were for, and how well the exported masks fit the
truth. If something does not happen that should, a picture of the page is left in the working
directory.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import expect, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from dinov.coco import rle_of_segmentation  # noqa: E402 - after the path is known
from dinov.masks import decode_rle, rle_area, rle_iou  # noqa: E402
from dinov.types import Rle  # noqa: E402
from tests.browsers import find_browser  # noqa: E402
from tests.e2e.studio_page import CANVAS, StudioPage  # noqa: E402
from tests.studio_at_scale import served  # noqa: E402

DATA = ROOT.parent / "shared" / "data"
SOURCES = (("balloon", "balloon"), ("animals", "elephant"))
"""Folder of data and name of the category in it; half of the photos from each."""

SAME_OBJECT = 0.5
"""Mask IoU from which a found object is the true one."""

STAGE = "#st-canvas [role=application]"

SCROLL = """(share) => {
  const strip = document.querySelector(".st-filmstrip-scroll");
  strip.scrollTop = strip.scrollHeight * share;
}"""

NEAR = 2
"""Photos that are gone past by the keys rather than in the filmstrip."""

MUCH = 2
"""Objects that must have been missed on a photo to mark one of them."""

NONE_PROPOSED = f"{CANVAS}.surface.shown.every(({{ status }}) => status !== 'proposed')"

SHOWN = f"""async () => {{
  const {{ store }} = {CANVAS};
  if (!store.resultsUrl) return [];
  const response = await fetch(new URL(store.resultsUrl, document.baseURI));
  const {{ instances }} = await response.json();
  return instances.filter(({{ status, score }}) =>
    status === "accepted" || (status === "proposed" && score >= store.scoreThreshold));
}}"""


@dataclass(frozen=True)
class Truth:
    """A photo and the objects of one category on it."""

    path: Path
    category: str
    size_hw: tuple[int, int]
    masks: tuple[Rle, ...]


class Annotator:
    """Works on the page, and counts what it takes."""

    def __init__(self, studio: StudioPage, truths: Sequence[Truth]) -> None:
        self.studio = studio
        self.page = studio.page
        self.truths = truths
        self.actions: Counter[str] = Counter()

    def act(self, what: str, action: Callable[..., object], *arguments: Any) -> None:
        """Do one thing with mouse or keyboard."""
        self.actions[what] += 1
        action(*arguments)

    def press(self, what: str, key: str) -> None:
        """Press a key while the canvas has the focus."""
        self.page.locator(STAGE).focus()
        self.act(what, self.page.keyboard.press, key)

    def begin(self) -> None:
        """Add the photos, and name what is looked for."""
        self.act("set up", self.studio.add_images, *(truth.path for truth in self.truths))
        expect(self.page.locator("#st-filmstrip h2 + .st-subtle")).to_have_text(
            str(len(self.truths)), timeout=120_000
        )
        first, *others = self.categories
        self.act("set up", self.page.locator("#st-categories .st-row-main").first.dblclick)
        self.act("set up", self.page.get_by_label("Category name").fill, first)
        self.act("set up", self.page.keyboard.press, "Enter")
        for name in others:
            field = self.page.get_by_label("Name of a new category")
            self.act("set up", field.fill, name)
            self.act("set up", field.press, "Enter")
            expect(self.page.locator("#st-categories .st-row", has_text=name)).to_be_visible()

    @property
    def categories(self) -> list[str]:
        """In the order of their number keys."""
        return list(dict.fromkeys(truth.category for truth in self.truths))

    def mark(self, truth: Truth, mask: Rle) -> None:
        """Draw a box around an object of the open image."""
        place = self.categories.index(truth.category)
        if self.page.evaluate(f"{CANVAS}.store.activeCategory.name") != truth.category:
            self.press("mark", str(1 + place))
        self.take("box", "b", "mark")
        rows, columns = np.nonzero(decode_rle(mask))
        corners = (columns.min(), rows.min()), (columns.max() + 1, rows.max() + 1)
        self.act("mark", self.studio.drag, *corners)
        self.studio.expect_saved()

    def take(self, tool: str, key: str, what: str) -> None:
        """Take a tool, unless it is in hand."""
        if self.page.evaluate(f"{CANVAS}.settings.tool") != tool:
            self.press(what, key)

    def open(self, truth: Truth) -> None:
        """Go to a photo: by the keys if it is near, else in the filmstrip."""
        names = [one.path.name for one in self.truths]
        at, to = names.index(self.shown_name()), names.index(truth.path.name)
        if abs(to - at) > NEAR:
            card = self.studio.card(truth.path.name).locator(".st-card-open")
            self.act("open", self.page.evaluate, SCROLL, to / len(names))
            expect(card).to_be_visible()
            self.act("open", card.click)
        else:
            for place in range(at, to, 1 if at < to else -1):
                self.press("open", "PageDown" if at < to else "PageUp")
                self.expect_open(names[place + (1 if at < to else -1)])
        self.expect_open(truth.path.name)

    def shown_name(self) -> str:
        """The photo on the canvas."""
        return str(self.page.evaluate(f"{CANVAS}.store.image.name"))

    def expect_open(self, name: str) -> None:
        """Wait until a photo can be worked on."""
        self.studio.expect_open(name)
        self.page.wait_for_function(f"{CANVAS}.surface.pictureState === 'ready'")
        self.page.wait_for_function(f"{CANVAS}.surface.resultsState !== 'loading'")

    def segment(self) -> float:
        """Have all found, and say how many seconds it took."""
        started = time.monotonic()
        self.act("segment", self.studio.press_segment_all)
        expect(self.page.get_by_role("button", name="Cancel")).to_be_visible()
        # Until it is done, the button for the next run cannot be pressed.
        expect(self.page.locator(".st-run-buttons .st-primary")).to_be_enabled(timeout=900_000)
        return time.monotonic() - started

    def found(self, truth: Truth) -> dict[int, Rle]:
        """The masks that are shown on the open image, by id."""
        shown = self.page.evaluate(SHOWN)
        return {one["id"]: Rle(size=list(truth.size_hw), counts=one["counts"]) for one in shown}

    def missed(self, truth: Truth) -> list[Rle]:
        """The objects of the open image that were not found, the largest first."""
        found = self.found(truth).values()
        left = [m for m in truth.masks if all(rle_iou(m, one) < SAME_OBJECT for one in found)]
        return sorted(left, key=rle_area, reverse=True)

    def review(self, truth: Truth, after: Truth | None) -> None:
        """Reject what is wrong on the open image, and call it reviewed: the next one opens."""
        wrong = self.found(truth)
        for mask in truth.masks:
            best = max(wrong, key=lambda id_: rle_iou(mask, wrong[id_]), default=None)
            if best is not None and rle_iou(mask, wrong[best]) >= SAME_OBJECT:
                del wrong[best]
        right = {id_: rle for id_, rle in self.found(truth).items() if id_ not in wrong}
        if len(right) + 1 < len(wrong):
            self.decide(right, truth, "a", "accepted")
            self.press("decide", "Shift+A")
            self.page.wait_for_function(NONE_PROPOSED)
        else:
            self.decide(wrong, truth, "x", "rejected")
        self.press("review", "Shift+Enter")
        if after is not None:
            self.expect_open(after.path.name)

    def decide(self, objects: Mapping[int, Rle], truth: Truth, key: str, status: str) -> None:
        """Point at one object after the other and press a key."""
        # Small ones lie on large ones, so that each can be pointed at when its turn comes.
        for id_ in sorted(objects, key=lambda id_: rle_area(objects[id_])):
            if place := self.visible_place(id_, self.found(truth)):
                self.take("select", "v", "decide")
                self.page.mouse.move(*self.studio.at(*place))
                self.press("decide", key)
                done = f"([id, status]) => {CANVAS}.surface.findInstance(id)?.status === status"
                self.page.wait_for_function(done, arg=[id_, status])

    def visible_place(self, id_: int, shown: Mapping[int, Rle]) -> tuple[float, float] | None:
        """Where on an object none smaller lies above it; None if it is all covered."""
        mask = decode_rle(shown[id_])
        for other, rle in shown.items():
            if other != id_ and rle_area(rle) <= rle_area(shown[id_]):
                mask = mask & ~decode_rle(rle)
        if not mask.any():
            return None
        depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
        y, x = np.unravel_index(depth.argmax(), depth.shape)
        return float(x) + 0.5, float(y) + 0.5


def truths(count: int) -> list[Truth]:
    """The photos of the validation splits, most objects first, half from each source."""
    chosen: list[Truth] = []
    for folder, category in SOURCES:
        document = json.loads((DATA / folder / "val.json").read_text())
        (category_id,) = [one["id"] for one in document["categories"] if one["name"] == category]
        photos = []
        for image in document["images"]:
            size_hw = (image["height"], image["width"])
            rows = [row for row in document["annotations"] if row["image_id"] == image["id"]]
            masks = tuple(
                rle_of_segmentation(row["segmentation"], size_hw)
                for row in rows
                if row["category_id"] == category_id
            )
            path = DATA / folder / "images" / image["file_name"]
            photos.append(Truth(path, category, size_hw, masks))
        photos = [photo for photo in photos if photo.masks]
        chosen += sorted(photos, key=lambda photo: -len(photo.masks))[: count // 2]
    return chosen


def work(annotator: Annotator, photos: Sequence[Truth], marked: int) -> dict[str, Any]:
    """The whole way; the answer says how long it took where."""
    annotator.begin()
    started = time.monotonic()
    for category in dict.fromkeys(photo.category for photo in photos):
        for photo in [one for one in photos if one.category == category][:marked]:
            annotator.open(photo)
            annotator.mark(photo, max(photo.masks, key=rle_area))
    seconds = [annotator.segment()]
    # A first look: where much was missed, one more mark shows what was meant.
    more = marked
    annotator.open(photos[0])
    for photo in photos:
        annotator.open(photo)
        missed = annotator.missed(photo)
        if more and len(missed) >= MUCH:
            annotator.mark(photo, missed[0])
            more -= 1
    seconds.append(annotator.segment())
    annotator.open(photos[0])
    for photo, after in zip(photos, [*photos[1:], None], strict=True):
        annotator.review(photo, after)
    return {
        "seconds_of_segmenting": [round(one, 1) for one in seconds],
        "seconds_in_all": round(time.monotonic() - started, 1),
    }


def judge(document: Mapping[str, Any], photos: Sequence[Truth]) -> dict[str, Any]:
    """Compare an exported COCO document with the truth, mask by mask."""
    ids = {image["file_name"]: image["id"] for image in document["images"]}
    kept = len(document["annotations"])
    ious: list[float] = []
    for photo in photos:
        rows = [row for row in document["annotations"] if row["image_id"] == ids[photo.path.name]]
        masks = [rle_of_segmentation(row["segmentation"], photo.size_hw) for row in rows]
        ious += [max((rle_iou(truth, mask) for mask in masks), default=0) for truth in photo.masks]
    hits = [iou for iou in ious if iou >= SAME_OBJECT]
    return {
        "photos": len(photos),
        "objects": len(ious),
        "kept": kept,
        "right": len(hits),
        "recall": round(len(hits) / len(ious), 3),
        "precision": round(len(hits) / kept, 3) if kept else None,
        "mean_iou_of_right": round(float(np.mean(hits)), 3) if hits else None,
    }


def main() -> None:
    """Read the command line and go the way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=20)
    parser.add_argument(
        "--marked", type=int, default=3, help="photos marked per category, at first"
    )
    arguments = parser.parse_args()
    photos = truths(arguments.photos)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url, _ = stack.enter_context(served(folder / "data"))
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=find_browser())
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        annotator = Annotator(StudioPage(page, url), photos)
        try:
            times = work(annotator, photos, arguments.marked)
        except PlaywrightError:
            page.screenshot(path="journey-failed.png")
            raise
        annotator.actions["export"] += 1
        annotator.studio.download().save_as(folder / "coco.json")
        result = judge(json.loads((folder / "coco.json").read_text()), photos)
        browser.close()
    total = annotator.actions.total()
    result |= {
        "actions": total,
        "actions_per_kept": round(total / max(1, result["kept"]), 2),
        "actions_by_purpose": dict(annotator.actions),
        **times,
    }
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
