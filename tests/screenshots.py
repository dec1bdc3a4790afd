"""Pictures of every view and state of the page, to look at: light and dark, narrow and wide.

    python tests/screenshots.py --output /tmp/pictures
    python tests/screenshots.py --output /tmp/pictures --only dark-1280x720

Each is named after theme, size and view. The page works on the example's photos, with a stand-in
for the model that finds things by their colour, so that it takes a minute or two.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from app.passwords import PasswordFile  # noqa: E402 - after the path is known
from tests.browsers import find_browser  # noqa: E402
from tests.e2e.serving import StudioServer  # noqa: E402
from tests.e2e.studio_page import StudioPage  # noqa: E402
from tests.e2e.views import Scene, Tour  # noqa: E402

EXAMPLE = ROOT / "assets" / "example"
SIZES = ((1280, 720), (1920, 1080), (3840, 2160), (810, 1080))
THEMES = ("light", "dark")
EVERYTHING_AT = (1280, 720), (810, 1080)
"""Sizes at which every view is taken; at the others those that use the room."""
ROOMY = {"results", "statistics", "projects"}


def walk(browser: Browser, theme: str, size: tuple[int, int], output: Path) -> None:
    """Take the pictures of one theme at one size."""
    name = f"{theme}-{size[0]}x{size[1]}"
    width, height = size
    with tempfile.TemporaryDirectory() as folder:
        server = StudioServer(Path(folder) / "data")
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if theme == "dark" else "light",
            has_touch=width < height,
        )
        context.set_default_timeout(60_000)
        page = context.new_page()
        tour = Tour(
            StudioPage(page, f"{server.url}/?__theme={theme}"), server, scene(), Path(folder)
        )
        for number, view in enumerate(tour.views()):
            if size in EVERYTHING_AT or view in ROOMY:
                # Notices slide in, thumbnails come one by one.
                page.wait_for_timeout(400)
                page.screenshot(path=output / f"{name}-{number:02}-{view}.png")
        context.close()
        server.stop()


def log_in(browser: Browser, theme: str, output: Path) -> None:
    """Take the page that asks who one is, also after a wrong password."""
    with tempfile.TemporaryDirectory() as folder:
        users = PasswordFile(Path(folder) / "users.txt")
        users.add("anna", "correct horse")
        server = StudioServer(Path(folder) / "data", auth_file=users.path)
        page = browser.new_page(
            viewport={"width": 1280, "height": 720},
            color_scheme="dark" if theme == "dark" else "light",
        )
        page.goto(server.url)
        page.get_by_label("Name").fill("anna")
        page.get_by_label("Password").fill("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_be_visible()
        page.screenshot(path=output / f"{theme}-1280x720-login.png")
        page.close()
        server.stop()


def scene() -> Scene:
    """The example's photos, with what is marked on the first."""
    photos = sorted(EXAMPLE.rglob("*.jpg"), key=lambda path: path.name != "red_buses.jpg")
    return Scene(photos, ((165, 229), (327, 423)), ((20, 250), (140, 330)))


def main() -> None:
    """Read the command line and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--only", help="what their names begin with, such as dark-1280x720")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    wanted = arguments.only or ""
    expect.set_options(timeout=60_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser())
        for theme in THEMES:
            for size in SIZES:
                if f"{theme}-{size[0]}x{size[1]}".startswith(wanted):
                    walk(browser, theme, size, arguments.output)
            if f"{theme}-1280x720-login".startswith(wanted):
                log_in(browser, theme, arguments.output)
        browser.close()


if __name__ == "__main__":
    main()
