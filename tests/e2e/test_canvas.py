"""The canvas in a real browser: what a hand does on it is what the server is told."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, CDPSession, Page, expect

from app.project import InvalidInput
from dinov.types import Prompt, PromptType
from tests.e2e.canvas_server import CanvasServer
from tests.e2e.conftest import watched

pytestmark = pytest.mark.e2e


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
        return self

    def look(self, expression: str) -> Any:
        """The value of a JavaScript expression, in which ``canvas`` is the canvas."""
        code = f"() => {{ const canvas = document.querySelector('.prompt-canvas').__canvas; return {expression} }}"
        return self.page.evaluate(code)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a place of the image lies on the page now."""
        box, view = self.stage.bounding_box(), self.look("canvas.surface.view")
        assert box
        return box["x"] + view["x"] + x * view["scale"], box["y"] + view["y"] + y * view["scale"]

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
        """Press keys one after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    def prompts(self, count: int, image_id: int = 1) -> list[Prompt]:
        """The prompts on the server, as soon as there are so many and all is saved."""
        self.until(lambda: len(self.server.saved.get(image_id, [])) == count)
        expect(self.saved).to_have_attribute("data-kind", "saved")
        return self.server.saved[image_id]

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something to become true on the server."""
        for _ in range(200):
            if condition():
                return
            self.page.wait_for_timeout(25)
        raise AssertionError("it did not happen")

    def painted(self, layer: str, x: float, y: float) -> list[int]:
        """Red, green, blue and alpha of a canvas at a place of the image, after the next frame."""
        self.page.evaluate(
            "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )
        x, y = self.place(x, y)
        box = self.stage.bounding_box()
        assert box
        at = f"Math.round({x - box['x']} * devicePixelRatio), Math.round({y - box['y']} * devicePixelRatio)"
        return list(
            self.look(
                f"[...canvas.surface.canvases.{layer}.getContext('2d').getImageData({at}, 1, 1).data]"
            )
        )


@pytest.fixture
def server() -> Iterator[CanvasServer]:
    server = CanvasServer()
    yield server
    server.stop()


@pytest.fixture
def board(page: Page, server: CanvasServer) -> Board:
    return Board(page, server).open(1)


@pytest.fixture
def touch_board(browser: Browser, server: CanvasServer) -> Iterator[Board]:
    """The canvas on a narrow screen that is touched."""
    context = browser.new_context(viewport={"width": 400, "height": 800}, has_touch=True)
    for open_context in watched(context):
        yield Board(open_context.new_page(), server).open(1)


def near(prompt: Prompt, *points: float) -> bool:
    return list(prompt.points) == pytest.approx(points, abs=1.5)


def test_every_tool_makes_its_prompt(board: Board) -> None:
    board.press("p")
    board.click(50, 60)
    board.press("b")
    board.drag((200, 200), (120, 100))
    board.press("s")
    board.drag((20, 20), (60, 20), (60, 80))
    board.press("g")
    for corner in [(300, 50), (360, 50), (360, 120)]:
        board.click(*corner)
    board.press("Enter")
    point, box, scribble, polygon = board.prompts(4)
    assert (point.type, point.category_id, point.positive) == (PromptType.POINT, 1, True)
    assert near(point, 50, 60)
    assert box.type is PromptType.BOX
    assert near(box, 120, 100, 200, 200)
    assert (scribble.type, scribble.width) == (PromptType.SCRIBBLE, 4)
    assert near(scribble, 20, 20, 60, 20, 60, 80)
    assert polygon.type is PromptType.POLYGON
    assert near(polygon, 300, 50, 360, 50, 360, 120)


def test_a_polygon_closes_at_its_first_corner_or_by_a_double_click(board: Board) -> None:
    board.press("g")
    for corner in [(300, 50), (360, 50), (360, 120), (301, 51)]:
        board.click(*corner)
    for corner in [(30, 50), (90, 50)]:
        board.click(*corner)
    board.page.mouse.dblclick(*board.place(90, 120))
    first, second = board.prompts(2)
    assert len(first.points) == len(second.points) == 6


def test_what_is_drawn_stays_inside_the_image(board: Board) -> None:
    board.press("b")
    board.drag((350, 250), (460, 330))
    (box,) = board.prompts(1)
    assert near(box, 350, 250, 400, 300)


def test_sign_and_category_go_with_the_mark(board: Board) -> None:
    board.press("p", "n", "2")
    board.click(50, 60)
    board.press("n")
    board.click(80, 60, button="right")
    board.click(110, 60)
    marks = board.prompts(3)
    assert [mark.positive for mark in marks] == [False, False, True]
    assert {mark.category_id for mark in marks} == {2}
    board.until(lambda: board.server.named("category_picked") == [{"category_id": 2}])


def test_the_category_menu_works_with_mouse_and_keys(board: Board) -> None:
    chip = board.page.locator(".pc-chip")
    chip.click()
    board.page.get_by_role("option", name="bus").click()
    expect(chip).to_contain_text("bus")
    chip.press("Enter")
    board.press("ArrowUp", "Enter")
    expect(chip).to_contain_text("coin")
    assert board.look("canvas.store.activeCategoryId") == 1


def test_undo_and_redo_by_key_and_button(board: Board) -> None:
    board.press("p")
    board.click(50, 60)
    board.click(90, 60)
    board.prompts(2)
    board.press("Control+z")
    board.prompts(1)
    board.page.get_by_role("button", name="Undo").click()
    board.prompts(0)
    board.page.get_by_role("button", name="Redo").click()
    board.press("Control+y")
    assert near(board.prompts(2)[1], 90, 60)
    expect(board.page.get_by_role("button", name="Redo")).to_be_disabled()


def test_a_mark_is_moved_reshaped_changed_and_deleted(board: Board) -> None:
    board.press("b")
    board.drag((220, 20), (280, 60))
    board.prompts(1)
    board.press("v")
    board.drag((220, 40), (240, 60))
    board.until(lambda: near(board.server.saved[1][0], 240, 40, 300, 80))
    board.drag((300, 80), (330, 90))
    board.until(lambda: near(board.server.saved[1][0], 240, 40, 330, 90))
    board.press("Shift+ArrowLeft", "ArrowUp", "ArrowUp", "2", "n")
    board.until(lambda: near(board.server.saved[1][0], 230, 38, 320, 88))
    board.until(lambda: board.server.saved[1][0].category_id == 2)
    board.until(lambda: not board.server.saved[1][0].positive)
    board.press("Delete")
    board.prompts(0)


def test_marks_can_be_reached_without_a_mouse(board: Board) -> None:
    board.stage.focus()
    board.press("p", "ArrowRight", "Enter", "b", "Enter")
    board.press(
        "Shift+ArrowRight", "Shift+ArrowRight", "Shift+ArrowDown", "Shift+ArrowDown", "Enter"
    )
    point, box = board.prompts(2)
    assert near(point, 201, 150)
    assert near(box, 201, 150, 221, 170)
    board.page.get_by_role("button", name="2 marks").press("Enter")
    row = board.page.get_by_role("button", name="Box for coin", exact=True)
    row.press("Enter")
    assert board.look("canvas.store.selectedPrompt.type") == "box"
    board.page.get_by_role("button", name="Delete: Point for coin").press("Enter")
    board.prompts(1)
    board.press("Escape")
    expect(row).to_be_hidden()


def test_keys_are_left_alone_while_something_else_is_typed(board: Board) -> None:
    board.press("v")
    note = board.page.get_by_label("Note")
    note.press_sequentially("bsg 1 2")
    expect(note).to_have_value("bsg 1 2")
    assert board.look("canvas.settings.tool") == "select"


def test_escape_drops_what_is_being_drawn(board: Board) -> None:
    board.press("g")
    board.click(30, 30)
    board.click(60, 30)
    board.press("Escape", "b")
    board.page.mouse.move(*board.place(100, 100))
    board.page.mouse.down()
    board.page.mouse.move(*board.place(200, 200), steps=3)
    board.press("Escape")
    board.page.mouse.up()
    assert board.look("canvas.surface.draft") is None
    assert board.look("canvas.store.prompts.length") == 0


def test_zoom_keeps_the_place_and_drawing_stays_exact(board: Board) -> None:
    place = board.place(100, 100)
    board.page.mouse.move(*place)
    for _ in range(4):
        board.page.mouse.wheel(0, -240)
    board.page.wait_for_function(
        "() => document.querySelector('.prompt-canvas').__canvas.surface.view.scale > 4"
    )
    assert board.place(100, 100) == pytest.approx(place, abs=0.5)
    assert board.page.evaluate("scrollY") == 0
    board.press("p")
    board.page.mouse.click(*place)
    assert near(board.prompts(1)[0], 100, 100)
    before = board.place(100, 100)
    board.page.keyboard.down(" ")
    board.page.mouse.down()
    board.page.mouse.move(place[0] + 60, place[1] + 40, steps=3)
    board.page.mouse.up()
    board.page.keyboard.up(" ")
    assert board.place(100, 100) == pytest.approx((before[0] + 60, before[1] + 40), abs=1)
    board.press("f")
    expect(board.page.locator(".pc-percent")).to_have_text(
        f"{round(100 * board.look('canvas.surface.view.scale'))}%"
    )
    assert len(board.server.saved[1]) == 1


def test_found_objects_are_painted_where_their_masks_are(board: Board) -> None:
    expect(board.page.locator(".pc-count")).to_have_text("2 of 3 found")
    red, _, blue, alpha = board.painted("found", 70, 150)
    assert alpha > 60
    assert red > blue, "the colour of its category"
    assert board.painted("found", 300, 185)[3] == 0, "below the threshold"
    assert board.painted("found", 300, 20)[3] == 0, "outside"
    board.press("h")
    assert board.painted("found", 70, 150)[3] == 0
    expect(board.page.get_by_text("Found objects are hidden")).to_be_visible()


def test_the_score_threshold_is_live_and_told_by_anyone(board: Board) -> None:
    def threshold(value: float) -> None:
        event = "v => document.dispatchEvent(new CustomEvent('dinov:threshold', {detail: {score_threshold: v}}))"
        board.page.evaluate(event, value)

    count = board.page.locator(".pc-count")
    threshold(0.2)
    expect(count).to_have_text("3 found")
    _, _, blue, alpha = board.painted("found", 300, 185)
    assert (alpha > 60, blue > 100) == (True, True)
    assert board.painted("found", 300, 150)[3] == 0, "the hole of the ring"
    threshold(0.95)
    expect(board.page.get_by_text("All 3 objects found are below the score 0.95")).to_be_visible()
    board.page.get_by_role("button", name="Lower").click()
    expect(count).to_have_text("3 found")


def test_a_found_object_is_highlighted_selected_deleted_and_brought_back(board: Board) -> None:
    board.press("v")
    board.page.mouse.move(*board.place(150, 150))
    assert board.look("canvas.store.highlightedInstanceId") == 12, "the smaller one, on top"
    board.click(150, 150)
    board.press("Delete")
    board.until(
        lambda: board.server.named("instance_deleted") == [{"image_id": 1, "instance_id": 12}]
    )
    expect(board.page.locator(".pc-count")).to_have_text("1 of 2 found")
    board.press("Control+z")
    board.until(
        lambda: board.server.named("instance_restored") == [{"image_id": 1, "instance_id": 12}]
    )
    expect(board.page.locator(".pc-count")).to_have_text("2 of 3 found")
    assert board.server.named("instance_selected")[0] == {"image_id": 1, "instance_id": 12}
    assert 1 not in board.server.saved, "the marks did not change"


def test_other_panels_can_highlight_and_select(board: Board) -> None:
    board.page.evaluate(
        """() => {
          window.hovered = [];
          document.addEventListener("dinov:hover", ({ detail }) => window.hovered.push(detail.instance_id));
          document.dispatchEvent(new CustomEvent("dinov:highlight", { detail: { instance_id: 11 } }));
          document.dispatchEvent(new CustomEvent("dinov:select", { detail: { instance_id: 12 } }));
          document.dispatchEvent(new CustomEvent("dinov:category", { detail: { category_id: 2 } }));
        }"""
    )
    assert board.look("[canvas.store.highlightedInstanceId, canvas.store.selectedInstanceId]") == [
        11,
        12,
    ]
    assert board.look("canvas.store.activeCategory.name") == "bus"
    board.page.mouse.move(*board.place(70, 150))
    board.page.mouse.move(*board.place(20, 20))
    assert board.page.evaluate("window.hovered") == [11, None]


def test_nothing_found_is_said_in_words(board: Board) -> None:
    board.show(2)
    expect(board.page.get_by_text("Nothing found in this image")).to_be_visible()
    board.show(3)
    expect(board.page.get_by_text("Nothing found in this image")).to_be_hidden()
    expect(board.page.locator(".pc-found")).to_be_hidden()


def test_no_image_and_a_broken_image_are_explained(board: Board) -> None:
    board.page.get_by_role("button", name="No image").click()
    expect(board.page.get_by_role("heading", name="No image yet")).to_be_visible()
    expect(board.page.get_by_role("button", name="Box")).to_be_disabled()
    board.show(4)
    expect(board.page.get_by_text("4.png could not be loaded")).to_be_visible()
    expect(board.page.get_by_role("button", name="Try again")).to_be_visible()


def test_marks_are_there_again_after_another_image_and_after_a_reload(board: Board) -> None:
    board.press("p")
    board.click(50, 60)
    board.prompts(1)
    board.show(3)
    board.click(70, 80)
    board.prompts(1, image_id=3)
    board.show(1)
    board.click(90, 60)
    board.prompts(2)
    board.open(1)
    assert board.look("canvas.store.prompts.map(p => p.points)") == [
        list(p.points) for p in board.server.saved[1]
    ]


def test_a_refused_save_is_kept_and_can_be_tried_again(board: Board) -> None:
    board.server.fail_with = InvalidInput("The disk is full.")
    board.press("p")
    board.click(50, 60)
    expect(board.saved).to_contain_text("Not saved")
    expect(board.status).to_have_text("The disk is full.")
    board.show(3).show(1)
    assert board.look("canvas.store.prompts.length") == 1, "kept although the server has none"
    board.server.fail_with = None
    board.page.get_by_role("button", name="Retry").click()
    board.prompts(1)


def test_without_a_server_marks_are_saved_as_soon_as_it_is_back(board: Board) -> None:
    board.page.route("**/component_server*", lambda route: route.abort())
    board.press("p")
    board.click(50, 60)
    expect(board.saved).to_contain_text("Not saved")
    board.click(90, 60)
    board.page.unroute("**/component_server*")
    assert len(board.prompts(2)) == 2


def test_a_change_in_another_window_is_not_overwritten(board: Board) -> None:
    board.server.mark_elsewhere(1)
    board.press("p")
    board.click(50, 60)
    expect(board.saved).to_contain_text("Changed in another window")
    assert len(board.server.saved[1]) == 1
    board.page.get_by_role("button", name="Reload").click()
    board.page.wait_for_function(
        "() => document.querySelector('.prompt-canvas').__canvas.store.prompts[0].category_id === 2"
    )
    board.click(90, 60)
    assert [mark.category_id for mark in board.prompts(2)] == [2, 1]


def test_a_long_session_is_saved_quickly(board: Board) -> None:
    """60 scribbles of 170 points: as a nested value Gradio would take seconds for each save."""
    board.look(
        """canvas.store.commit({ prompts: Array.from({ length: 60 }, (_, n) => ({
          id: `p${n}`, type: "scribble", category_id: 1, positive: true, width: 3,
          points: Array.from({ length: 340 }, (_, i) => (i % 2 ? n * 4 : i) + 0.3) })) })"""
    )
    board.prompts(60)
    duration = board.look(
        """(async () => { const start = performance.now();
          const { saver, store } = canvas; store.removePrompt("p0");
          while (saver.isDirty) await new Promise((done) => setTimeout(done, 2));
          return performance.now() - start; })()"""
    )
    board.prompts(59)
    assert duration < 2000


def test_fingers_draw_pinch_and_never_both(touch_board: Board) -> None:
    board = touch_board
    page = board.page
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *places: tuple[float, float]) -> None:
        points = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(places)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    page.get_by_role("button", name="Scribble").tap()
    a, b = board.place(50, 50), board.place(120, 90)
    touch("touchStart", a)
    touch("touchMove", b)
    touch("touchEnd")
    assert near(board.prompts(1)[0], 50, 50, 120, 90)
    scale = board.look("canvas.surface.view.scale")
    touch("touchStart", a)
    touch("touchMove", (a[0] + 5, a[1]))
    touch("touchStart", (a[0] + 5, a[1]), b)
    touch("touchMove", (a[0] - 30, a[1] - 30), (b[0] + 60, b[1] + 60))
    touch("touchEnd", (a[0] - 30, a[1] - 30))
    touch("touchMove", (a[0] - 60, a[1] - 60))
    touch("touchEnd")
    assert board.look("canvas.surface.view.scale") > 1.3 * scale
    assert board.look("canvas.store.prompts.length") == 1, (
        "the stroke begun by the first finger is dropped"
    )


def test_a_pen_draws_and_the_hand_that_rests_does_not(board: Board) -> None:
    session = board.page.context.new_cdp_session(board.page)
    board.press("s")
    pen(session, [board.place(50, 50), board.place(80, 60), board.place(120, 50)])
    assert board.prompts(1)[0].type is PromptType.SCRIBBLE
    x, y = board.place(200, 200)
    for kind, points in [
        ("touchStart", [{"x": x, "y": y}]),
        ("touchMove", [{"x": x + 9, "y": y}]),
        ("touchEnd", []),
    ]:
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert board.look("canvas.store.prompts.length") == 1


def pen(session: CDPSession, places: list[tuple[float, float]]) -> None:
    """Draw with a pen through places of the page."""
    kinds = ["mousePressed", *["mouseMoved"] * (len(places) - 1), "mouseReleased"]
    for kind, (x, y) in zip(kinds, [*places, places[-1]], strict=True):
        event = {"type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "pointerType": "pen"}
        session.send("Input.dispatchMouseEvent", {**event, "clickCount": 1, "force": 0.6})


def test_a_narrow_screen_shows_every_control(touch_board: Board) -> None:
    page = touch_board.page
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for name in [
        "Polygon",
        "Negative",
        "Undo",
        "Keys and help",
        "Fit the image",
        "Show found objects",
    ]:
        box = page.get_by_role("button", name=name).bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360


def test_screen_readers_get_names_states_and_news(board: Board) -> None:
    page = board.page
    expect(board.stage).to_have_attribute("aria-label", re.compile("question mark lists all keys"))
    box = page.get_by_role("button", name="Box", exact=True)
    box.click()
    expect(box).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("status").first).to_have_text("Drag a box around an object")
    board.drag((20, 20), (60, 60))
    expect(board.status).to_have_text("Box for coin added")
    board.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    board.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()


def test_dark_mode_follows_gradio(page: Page, server: CanvasServer) -> None:
    board = Board(page, server).open(1, "?__theme=dark")
    toolbar = "getComputedStyle(document.querySelector('.prompt-canvas')).backgroundColor"
    red, green, blue = (int(part) for part in page.evaluate(toolbar)[4:-1].split(","))
    assert max(red, green, blue) < 60
    assert board.look("getComputedStyle(canvas.host).color") != "rgb(0, 0, 0)"


def test_a_hostile_name_is_only_text(page: Page, server: CanvasServer) -> None:
    """Handlebars and a template literal stand behind Gradio's templates: the canvas uses neither."""
    board = Board(page, server).open(1)
    board.look(
        """canvas.receive(JSON.stringify({ schema: 1, kind: "update", image_id: 1, categories: [
          { id: 1, name: "${window.pwned = 1}{{value}}<img src=x onerror='window.pwned = 1'>", color: "#112233" }] }))"""
    )
    page.locator(".pc-chip").click()
    board.press("Escape")
    board.press("p")
    board.click(50, 60)
    board.prompts(1)
    page.get_by_role("button", name="1 mark").click()
    expect(page.locator(".pc-row")).to_contain_text("<img src=x")
    assert page.evaluate("window.pwned") is None


def test_nothing_is_left_in_the_browser_but_habits(board: Board) -> None:
    """Gradio's run history would keep every document in localStorage."""
    board.press("p")
    board.click(50, 60)
    board.prompts(1)
    kept = board.page.evaluate("JSON.stringify(localStorage)")
    assert len(kept) < 500
    assert "media" not in kept
