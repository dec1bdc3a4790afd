"""Work in a project of many images in a real browser: how long a user waits for what.

    python tests/studio_at_scale.py --images 500 --instances 10000 --folder /tmp/large

Builds the project once, with masks of the size they have in photos; then serves it with
``python app.py`` and drives the page. Prints a table of medians, and one line of JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import torch
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from app.project import InstanceStatus  # noqa: E402 - after the path is known
from app.segmentation import Studio  # noqa: E402
from app.settings import Settings  # noqa: E402
from dinov.masks import encode_rle, rle_area, rle_box_xyxy  # noqa: E402
from dinov.options import InstanceOptions  # noqa: E402
from dinov.prompt_bank import PromptBank  # noqa: E402
from dinov.types import Image, Instance, Prompt, Referral, Segmentation  # noqa: E402
from tests.browsers import find_browser  # noqa: E402

NAME = "Large"
SIZE_HW = (960, 1280)
CATEGORIES = ("cell", "leaf", "stone")
MARKED_IMAGES = 10
DECIDED_SHARE = 0.3
STARTED = re.compile(r"DINOv Studio is at (\S+)")


class Scatter:
    """A predictor that finds wobbly blobs at places drawn from the image: no weights."""

    variant = "scatter"
    input_size = 64
    score_threshold = 0.3
    fingerprint = "scatter:1"
    checkpoint_hash = "5c" * 32
    device_name = "CPU"

    def __init__(self, per_image: int) -> None:
        self._per_image = per_image

    def embed_prompts(
        self, image: Image, prompts: Sequence[Prompt], *, for_refer: bool = False
    ) -> torch.Tensor:
        return torch.zeros(len(prompts), 4)

    def segment(
        self,
        image: Image,
        bank: PromptBank,
        *,
        score_threshold: float | None = None,
        options: InstanceOptions | None = None,
        tile: int | None = None,
    ) -> Segmentation:
        generator = np.random.default_rng(int(image[::97, ::89].sum()))
        categories = list(bank.category_ids)
        found = [
            _blob(generator, image.shape[:2], categories[number % len(categories)])
            for number in range(self._per_image)
        ]
        return Segmentation(image.shape[:2], tuple(sorted(found, key=lambda one: -one.score)))

    def refer(self, image: Image, bank: PromptBank, *, max_candidates: int = 1) -> Referral:
        return Referral(image.shape[:2], {})


def _blob(generator: np.random.Generator, size_hw: tuple[int, int], category_id: int) -> Instance:
    height, width = size_hw
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    waves = sum(generator.uniform(0, 0.12) * np.sin(k * angles) for k in range(2, 7))
    radii = generator.uniform(20, 90) * (1 + waves)
    centre = generator.uniform((90, 90), (width - 90, height - 90))
    outline = centre + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    mask = np.zeros(size_hw, np.uint8)
    cv2.fillPoly(mask, [outline.round().astype(np.int32)], 1)
    rle = encode_rle(mask.astype(bool))
    score = float(generator.uniform(0.1, 1))
    return Instance(category_id, score, rle, rle_box_xyxy(rle), rle_area(rle))


def _photo(number: int) -> bytes:
    """A JPEG with as much detail as a photo: clouds of several sizes."""
    generator = np.random.default_rng(number)
    height, width = SIZE_HW
    picture = np.full((height, width, 3), 127, np.float32)
    for cells, strength in ((4, 60), (24, 25), (160, 14)):
        noise = generator.normal(0, strength, (cells, cells, 3)).astype(np.float32)
        picture += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    encoded = cv2.imencode(".jpg", picture.clip(0, 255).astype(np.uint8))[1]
    return encoded.tobytes()


def build(data_dir: Path, images: int, instances: int) -> None:
    """Make the project as a user would: images, marks, a run, decisions."""
    scatter = Scatter(round(instances / images))
    studio = Studio.open(Settings(data_dir=data_dir), load_predictor=lambda _: scatter)
    try:
        if any(project.name == NAME for project in studio.projects()):
            return
        project_id = studio.create_project("In the making").id
        for number in range(images):
            studio.add_images(project_id, [(f"photo-{number:04}.jpg", _photo(number))])
        image_ids = [image.id for image in studio.images(project_id)]
        for number, image_id in enumerate(image_ids[:MARKED_IMAGES]):
            category = CATEGORIES[number % len(CATEGORIES)]
            studio.add_prompt(project_id, image_id, category, "box", [200, 200, 400, 400])
        studio.segment_now(project_id, score_threshold=0.3)
        generator = np.random.default_rng(0)
        for image_id in image_ids:
            ids = [instance["id"] for instance in studio.results(image_id)["instances"]]
            decided = [id_ for id_ in ids if generator.random() < DECIDED_SHARE]
            if decided:
                studio.editing.decide(image_id, decided, InstanceStatus.ACCEPTED)
        studio.rename_project(project_id, NAME)
    finally:
        studio.close()


@contextlib.contextmanager
def served(data_dir: Path) -> Iterator[tuple[str, int]]:
    """Run the real program; give the address of the project's page and the process id."""
    command = [sys.executable, "app.py", "--data-dir", str(data_dir), "--port", "0"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        lines = iter(process.stdout.readline, "")
        yield next(found[1] for line in lines if (found := STARTED.search(line))), process.pid
    finally:
        process.terminate()
        process.wait(timeout=30)


# In the page, so that the way between this script and the browser is not measured.
PAGE_SIDE = """
window.atScale = {
  canvas: () => document.querySelector("#st-canvas .prompt-canvas")?.__canvas,
  isOpen(id) {
    const { store, surface } = this.canvas() ?? {};
    const isIt = store?.image && (id === null || store.image.id === id);
    return isIt && surface.pictureState === "ready" && surface.resultsState === "ready";
  },
  frame: () => new Promise((done) => requestAnimationFrame(done)),
  async until(holds) {
    while (!holds()) await this.frame();
    await this.frame();
    return performance.now();
  },
  images: () => Number(document.querySelector(".st-card").ariaSetSize),
  async open(place) {
    const strip = document.querySelector(".st-filmstrip-scroll");
    const card = () => document.querySelector(`.st-card[aria-posinset="${place}"]`);
    // Only cards in sight are on the page.
    strip.scrollTop = (strip.scrollHeight * (place - 1)) / this.images();
    await this.until(card);
    const id = Number(card().dataset.key);
    const started = performance.now();
    card().querySelector(".st-card-open").click();
    return (await this.until(() => this.isOpen(id))) - started;
  },
  async changed(selector, act) {
    const text = () => document.querySelector(selector)?.textContent;
    const before = text();
    const started = performance.now();
    act();
    return (await this.until(() => text() !== before)) - started;
  },
  watchSave() {
    const { saver } = this.canvas();
    const current = () => document.querySelector(".st-card.is-current").textContent;
    const before = current();
    this.saved = new Promise((done) =>
      document.addEventListener("pointerup", async () => {
        const started = performance.now();
        await this.until(() => saver.isDirty);
        const saved = (await this.until(() => !saver.isDirty)) - started;
        done([saved, (await this.until(() => current() !== before)) - started]);
      }, { once: true, capture: true }));
  },
};
"""


@dataclass(frozen=True)
class Wait:
    """How long a user waits for something, in milliseconds, each time it was tried."""

    what: str
    goal_ms: int | None
    tries_ms: list[float]


def measure(page: Page, url: str, tries: int) -> list[Wait]:
    """Do on the page what users do, and take the times."""
    page.add_init_script(PAGE_SIDE)

    def load() -> float:
        page.goto(url)
        return float(page.evaluate("atScale.until(() => atScale.isOpen(null))"))

    waits = [Wait("first load: filmstrip, image and results shown", None, [load()])]
    page.locator(".st-light.is-on").wait_for(timeout=120_000)  # the model shares the processor
    waits.append(Wait("reload", None, [load() for _ in range(3)]))
    images = page.evaluate("atScale.images()")
    strip = f"images in the filmstrip: {images}"
    steps = [2 + number * (images - 2) // tries for number in range(tries)]
    opened = [float(page.evaluate("(place) => atScale.open(place)", one)) for one in steps]
    waits.append(Wait(f"open an image ({strip})", 500, opened))
    again = [float(page.evaluate("(place) => atScale.open(place)", one)) for one in steps[-2::-1]]
    waits.append(Wait("open an image again", 500, again))
    saves = [_mark(page, number) for number in range(tries)]
    waits.append(Wait("save a mark", 200, [saved for saved, _ in saves]))
    waits.append(Wait("the filmstrip counts a mark", None, [counted for _, counted in saves]))
    return waits


def _mark(page: Page, number: int) -> tuple[float, float]:
    stage = page.locator("#st-canvas [role=application]")
    stage.focus()
    page.keyboard.press("p")
    page.evaluate("atScale.watchSave()")
    box = stage.bounding_box()
    assert box
    page.mouse.click(
        box["x"] + box["width"] * (0.4 + 0.02 * (number % 10)), box["y"] + box["height"] / 2
    )
    saved, counted = page.evaluate("atScale.saved")
    return float(saved), float(counted)


def timed(act: Callable[[], object]) -> float:
    """The milliseconds something takes."""
    started = time.perf_counter()
    act()
    return 1000 * (time.perf_counter() - started)


def measure_export(page: Page, url: str, tries: int = 1) -> Wait:
    """Download the COCO file of the whole project."""
    project_id = re.search(r"project=(\w+)", page.url)
    assert project_id
    address = f"{url}/projects/{project_id[1]}/coco.json"
    times = [timed(lambda: page.request.get(address, timeout=900_000).body()) for _ in range(tries)]
    return Wait("download COCO JSON", None, times)


def resident_megabytes(pid: int) -> float:
    """Memory of the server. Linux only."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", text)[0]) / 1024


def table(waits: Sequence[Wait]) -> str:
    """The medians, for people."""
    lines = [f"{'what a user waits for':56} {'median':>9} {'slowest':>9} {'goal':>7}"]
    for wait in waits:
        goal = f"{wait.goal_ms} ms" if wait.goal_ms else ""
        middle, slowest = median(wait.tries_ms), max(wait.tries_ms)
        lines.append(f"{wait.what:56} {middle:6.0f} ms {slowest:6.0f} ms {goal:>7}")
    return "\n".join(lines)


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--instances", type=int, default=10_000)
    parser.add_argument("--tries", type=int, default=15)
    parser.add_argument("--folder", type=Path, help="kept for the next time; else a temporary one")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = arguments.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        data_dir = folder / f"{arguments.images}-images-{arguments.instances}-instances"
        build(data_dir, arguments.images, arguments.instances)
        url, pid = stack.enter_context(served(data_dir))
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=find_browser())
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(60_000)
        waits = [*measure(page, url, arguments.tries), measure_export(page, url)]
        memory = resident_megabytes(pid)
        browser.close()
    sys.stdout.write(f"{table(waits)}\nmemory of the server: {memory:.0f} MB\n")
    medians = {wait.what: round(median(wait.tries_ms), 1) for wait in waits}
    sys.stdout.write(json.dumps({"medians_ms": medians, "server_mb": round(memory)}) + "\n")


if __name__ == "__main__":
    main()
