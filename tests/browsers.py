"""Which browser drives the page: an installed Chromium or Chrome, else Playwright's own."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
MAC_APPS = (
    Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
    Path("/Applications/Chromium.app/Contents/MacOS/Chromium"),
)


def find_browser() -> str | None:
    """The path of a browser to drive, or None if Playwright's own must be downloaded.

    CHROMIUM=/path/to/browser overrides the search.
    """
    if chosen := os.environ.get("CHROMIUM"):
        return chosen
    installed = [path for name in NAMES if (path := shutil.which(name))]
    installed += [str(path) for path in MAC_APPS if path.exists()]
    return installed[0] if installed else _playwright_browser()


def _playwright_browser() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = Path(playwright.chromium.executable_path)
    return str(path) if path.exists() else None


if __name__ == "__main__":
    found = find_browser()
    sys.stdout.write(f"{found or 'no browser found'}\n")
    sys.exit(found is None)
