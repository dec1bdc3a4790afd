"""What a user does on the page, in the user's words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.e2e import waiting

CANVAS = 'document.querySelector("#st-canvas .prompt-canvas").__canvas'
STAGE = f"""() => {{
  const {{ surface, store }} = {CANVAS};
  const {{ left, top }} = surface.element.getBoundingClientRect();
  return {{ ...surface.view, left, top, prompts: store.prompts.length }};
}}"""


class StudioPage:
    """One browser tab. Places on the image are given in image pixels."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        page.goto(url)
        expect(page.locator("#st-filmstrip h2")).to_be_visible()
        expect(page.locator("#st-canvas [role=application]")).to_be_attached()

    def add_images(self, *paths: Path) -> None:
        self.page.locator("#st-filmstrip input[type=file]").set_input_files(list(paths))

    @property
    def cards(self) -> Locator:
        return self.page.locator(".st-card")

    def card(self, name: str) -> Locator:
        return self.cards.filter(has_text=name)

    def open_image(self, name: str) -> None:
        self.card(name).locator(".st-card-open").click()
        self.expect_open(name)

    def expect_open(self, name: str) -> None:
        """Wait until an image is on the canvas, and not just chosen."""
        expect(self.card(name).locator(".st-card-open")).to_have_attribute("aria-current", "true")
        self.page.wait_for_function(f"(name) => {CANVAS}.store.image?.name === name", arg=name)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The place on the screen of a place in the image."""
        stage = self.page.evaluate(STAGE)
        return (
            stage["left"] + stage["x"] + x * stage["scale"],
            stage["top"] + stage["y"] + y * stage["scale"],
        )

    def choose_tool(self, key: str) -> None:
        """P point, B box, S scribble, G polygon, V select."""
        self.page.locator("#st-canvas [role=application]").focus()
        self.page.keyboard.press(key)
        # The toolbar may get another row, below which the image has another place.
        waiting.painted(self.page)

    def mark_point(self, x: float, y: float) -> None:
        self.choose_tool("p")
        self.page.mouse.click(*self.at(x, y))
        self.expect_saved()

    def scribble(self, *points: tuple[float, float]) -> None:
        self.choose_tool("s")
        self.page.mouse.move(*self.at(*points[0]))
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*self.at(*point), steps=4)
        self.page.mouse.up()
        self.expect_saved()

    def draw_box(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        self.choose_tool("b")
        self.drag(start, end)
        self.expect_saved()

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        self.page.mouse.move(*self.at(*start))
        self.page.mouse.down()
        self.page.mouse.move(*self.at(*end), steps=4)
        self.page.mouse.up()

    def expect_saved(self) -> None:
        self.page.wait_for_function(f"() => !{CANVAS}.saver.isDirty")
        expect(self.page.locator("#st-canvas")).to_contain_text("Saved")

    def expect_prompts(self, count: int) -> None:
        self.page.wait_for_function(f"(n) => {CANVAS}.store.prompts.length === n", arg=count)

    def add_category(self, name: str) -> None:
        field = self.page.get_by_label("Name of a new category")
        field.fill(name)
        field.press("Enter")
        expect(self.page.locator("#st-categories .st-row", has_text=name)).to_be_visible()

    def find(self, what: str) -> None:
        """Choose between every object like the marked ones and the very object that is marked."""
        self.page.get_by_role("radio", name=what).check()

    def press_segment_all(self) -> None:
        self.page.locator(".st-run-buttons .st-primary").click()

    def segment_all(self) -> None:
        self.press_segment_all()
        self.expect_idle()

    def expect_idle(self) -> None:
        expect(self.page.locator(".st-run-buttons .st-primary")).to_be_enabled()
        expect(self.page.get_by_role("button", name="Cancel")).to_have_count(0)

    @property
    def examples(self) -> Locator:
        return self.page.locator("#st-references .st-example")

    @property
    def instances(self) -> Locator:
        return self.page.locator("#st-instances .st-row")

    @property
    def rejected(self) -> Locator:
        return self.page.locator("#st-instances .st-row.is-rejected")

    def set_threshold(self, value: float) -> None:
        self.page.get_by_label("Score threshold", exact=True).fill(str(value))

    def download(self) -> Any:
        with self.page.expect_download() as download:
            self.page.get_by_role("link", name="Download COCO JSON").click()
        return download.value

    def confirm(self, action: str) -> None:
        self.page.get_by_role("dialog").last.get_by_role("button", name=action).click()

    def project_menu(self, *items: str) -> None:
        """Open the menu of projects and click through the named items."""
        self.page.get_by_label("Projects", exact=True).click()
        for item in items:
            self.page.locator("#st-projects-menu").get_by_role("button", name=item).click()
