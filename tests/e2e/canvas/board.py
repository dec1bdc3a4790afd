"""The canvas on a page, driven by image coordinates as a hand would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from dinov.types import Prompt
from tests.e2e import waiting
from tests.e2e.canvas.server import CanvasServer


class Board:
    """The canvas on a page, driven by image coordinates."""

    def __init__(self, page: Page, server: CanvasServer) -> None:
        self.page, self.server = page, server
        self.stage = page.get_by_role("application")
        self.status = page.locator(".pc-message")
        self.saved = page.locator(".pc-saved")

    def open(self, image_id: int, query: str = "") -> Board:
        """Load the page and show an image."""
        self.page.goto(f"{self.server.url}/{query}")
        return self.show(image_id)

    def show(self, image_id: int) -> Board:
        """Show another image and wait until it is there."""
        self.page.get_by_role("button", name=f"Image {image_id}").click()
        self.page.wait_for_function(
            "id => document.querySelector('.prompt-canvas')?.__canvas?.store.image?.id === id"
            " && document.querySelector('.prompt-canvas').__canvas.surface.stage.width > 0",
            arg=image_id,
        )
        waiting.painted(self.page)
        return self

    def look(self, expression: str) -> Any:
        """The value of a JavaScript expression, in which ``canvas`` is the canvas."""
        canvas = "document.querySelector('.prompt-canvas').__canvas"
        code = f"() => {{ const canvas = {canvas}; return {expression} }}"
        return self.page.evaluate(code)

    def becomes(self, expression: str, value: Any) -> None:
        """Wait until a JavaScript expression, in which ``canvas`` is the canvas, has a value."""
        canvas = "document.querySelector('.prompt-canvas').__canvas"
        code = f"""(value) => {{
          const canvas = {canvas};
          return JSON.stringify({expression}) === JSON.stringify(value);
        }}"""
        self.page.wait_for_function(code, arg=value)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a place of the image lies on the page now."""
        box, view = self.stage.bounding_box(), self.look("canvas.surface.view")
        assert box
        left, top = box["x"] + view["x"], box["y"] + view["y"]
        return left + x * view["scale"], top + y * view["scale"]

    def click(self, x: float, y: float, **options: Any) -> None:
        """Press and let go of the mouse at a place of the image."""
        self.page.mouse.click(*self.place(x, y), **options)

    def drag(self, *places: tuple[float, float]) -> None:
        """Press the mouse at the first place of the image, let go at the last."""
        first, *others = [self.place(*place) for place in places]
        self.page.mouse.move(*first)
        self.page.mouse.down()
        for place in others:
            self.page.mouse.move(*place, steps=4)
        self.page.mouse.up()

    def press(self, *keys: str) -> None:
        """Press keys one after the other; a tool in hand may give the toolbar another row."""
        for key in keys:
            self.page.keyboard.press(key)
        waiting.painted(self.page)

    def prompts(self, count: int, image_id: int = 1) -> list[Prompt]:
        """The prompts on the server, as soon as there are so many and all is saved."""
        self.until(lambda: len(self.server.saved.get(image_id, [])) == count)
        expect(self.saved).to_have_attribute("data-kind", "saved")
        return self.server.saved[image_id]

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something to become true on the server."""
        waiting.until(self.page, condition)

    def painted(self, layer: str, x: float, y: float) -> list[int]:
        """Red, green, blue and alpha of a canvas at a place of the image, after the next frame."""
        waiting.painted(self.page)
        pixel = f"""(() => {{
          const {{ view, canvases }} = canvas.surface;
          const at = [{x} * view.scale + view.x, {y} * view.scale + view.y];
          const [left, top] = at.map((value) => Math.round(value * devicePixelRatio));
          return [...canvases.{layer}.getContext("2d").getImageData(left, top, 1, 1).data];
        }})()"""
        return list(self.look(pixel))


def near(prompt: Prompt, *points: float) -> bool:
    return list(prompt.points) == pytest.approx(points, abs=1.5)
