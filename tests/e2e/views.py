"""Every view and state of the page, one after the other, in one project that grows on the way."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page, expect

from app.project import StoredPrompt
from dinov.types import Prompt, PromptType
from tests.e2e.pictures import Disc
from tests.e2e.serving import StudioServer
from tests.e2e.studio_page import CANVAS, StudioPage

Box = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class Scene:
    """What the views are made of: images, and objects on the first that are marked."""

    images: Sequence[Path]
    box: Box
    other_box: Box


@dataclass
class Tour:
    """One walk through the page. ``server`` is the application behind it."""

    studio: StudioPage
    server: StudioServer
    scene: Scene
    folder: Path

    @property
    def page(self) -> Page:
        return self.studio.page

    @property
    def first(self) -> str:
        return self.scene.images[0].name

    def views(self) -> Iterator[str]:
        """Bring every view on the page in turn, and say its name."""
        for show in VIEWS:
            with contextlib.ExitStack() as stack:
                show(self, stack.callback)
                yield show.__name__.strip("_").replace("_", "-")


After = Callable[..., object]
"""Takes what has to be done to leave a view."""


def disc_scene(images: Sequence[Path], disc: Disc, other: Disc) -> Scene:
    """Mark two of the discs that were drawn on the first image."""
    return Scene(images, *(_corners(one) for one in (disc, other)))


def _corners(disc: Disc) -> Box:
    x, y, reach = disc.x, disc.y, disc.radius / 2
    return (x - reach, y - reach), (x + reach, y + reach)


def _empty(tour: Tour, after: After) -> None:
    expect(tour.page.locator("#st-canvas")).to_be_visible()


def _images(tour: Tour, after: After) -> None:
    tour.studio.add_images(*tour.scene.images)
    expect(tour.studio.cards.first).to_be_visible()
    tour.studio.expect_open(tour.first)


def _marks(tour: Tour, after: After) -> None:
    tour.studio.draw_box(*tour.scene.box)
    (x0, y0), (x1, y1) = tour.scene.other_box
    tour.studio.choose_tool("n")
    tour.studio.scribble((x0, y0), ((x0 + x1) / 2, y1), (x1, y0))
    tour.studio.choose_tool("v")
    tour.page.mouse.click(*tour.studio.at((x0 + x1) / 2, y1))


def _hint(tour: Tour, after: After) -> None:
    tour.studio.choose_tool("?")
    tour.page.get_by_role("button", name="Show the hints again").click()
    hint = tour.page.get_by_role("region", name="What to do next")
    expect(hint).to_be_visible()
    after(hint.get_by_role("button", name="No more hints").click)


def _busy(tour: Tour, after: After) -> None:
    tour.page.keyboard.press("Delete")
    tour.studio.choose_tool("n")
    tour.server.predictor.gate.clear()
    after(tour.studio.expect_idle)
    after(tour.server.predictor.gate.set)
    tour.studio.press_segment_all()
    expect(tour.page.get_by_role("button", name="Cancel")).to_be_visible()


def _results(tour: Tour, after: After) -> None:
    expect(tour.studio.instances.first).to_be_visible()


def _selected(tour: Tour, after: After) -> None:
    tour.studio.instances.first.get_by_role("button").first.click()
    expect(tour.page.get_by_role("toolbar", name="Selected objects")).to_be_visible()


def _outline(tour: Tour, after: After) -> None:
    tour.page.keyboard.press("o")
    tour.page.wait_for_function(f"() => {CANVAS}.surface.draft?.type === 'outline'")
    after(tour.page.keyboard.press, "Escape")


def _many_at_once(tour: Tour, after: After) -> None:
    toggle = tour.page.get_by_role("button", name="Many at once")
    toggle.click()
    tour.page.locator(".st-bulk").scroll_into_view_if_needed()
    after(toggle.click)


def _reviewed(tour: Tour, after: After) -> None:
    tour.page.keyboard.press("Shift+Enter")
    expect(tour.studio.card(tour.first)).to_contain_text("Reviewed")
    tour.studio.expect_open(tour.scene.images[1].name)
    tour.page.get_by_role("button", name="More filters").click()


def _conflict(tour: Tour, after: After) -> None:
    tour.studio.open_image(tour.first)
    core = tour.server.studio
    project = core.projects()[0]
    image = core.images(project.id)[0]
    rev, prompts = core.prompts(image.id)
    tour.studio.choose_tool("v")
    (x, y), _ = tour.scene.box
    # The page would learn of it by itself, if it looked between what is done here.
    tour.page.route("**/changes/**", lambda route: route.abort())
    after(tour.page.unroute, "**/changes/**")
    # Somebody else has changed the mark that is moved here.
    points = tuple(value + 2 for value in prompts[0].prompt.points)
    moved = Prompt(prompts[0].prompt.category_id, PromptType.BOX, points)
    core.save_prompts(image.id, rev, [StoredPrompt(prompts[0].id, image.id, moved)])
    tour.page.mouse.click(*tour.studio.at(x, y + 4))
    tour.page.keyboard.press("ArrowRight")
    expect(tour.page.locator(".pc-conflict")).to_be_visible()
    after(tour.page.locator(".pc-conflict button").first.click)


def _disconnected(tour: Tour, after: After) -> None:
    # Gradio loads the page again some time after it was cut off; so that no view meets this, now.
    after(lambda: StudioPage(tour.page, tour.page.url).expect_open(tour.first))
    tour.page.context.set_offline(True)
    after(tour.studio.expect_saved)
    after(tour.page.context.set_offline, False)
    tour.page.keyboard.press("ArrowLeft")
    expect(tour.page.locator("#st-canvas")).to_contain_text("Not saved")


def _references(tour: Tour, after: After) -> None:
    panel = tour.page.locator("#st-references")
    with tour.page.expect_download() as download:
        panel.get_by_role("button", name="Save", exact=True).click()
    file = tour.folder / "concept.safetensors"
    download.value.save_as(file)
    panel.locator("input[type=file]").set_input_files(file)
    expect(panel).to_contain_text("concept")
    panel.scroll_into_view_if_needed()


def _video(tour: Tour, after: After) -> None:
    toggle = tour.page.locator("#st-video").get_by_role("button", name="Video", exact=True)
    toggle.click()
    tour.page.locator("#st-video").scroll_into_view_if_needed()
    after(toggle.click)


def _sequence(tour: Tour, after: After) -> None:
    select = tour.page.get_by_role("button", name="Select images")
    select.click()
    for card in tour.studio.cards.locator(".st-card-open").all()[:2]:
        card.click()
    tour.page.get_by_role("button", name="Make a sequence").click()
    expect(tour.page.locator(".st-sequence")).to_be_visible()
    select.click()
    tour.studio.cards.locator(".st-card-open").first.click()
    after(tour.page.get_by_role("button", name="Cancel").click)


def _reference_beside(tour: Tour, after: After) -> None:
    tour.studio.choose_tool("\\")
    expect(tour.page.get_by_role("region", name="Reference beside the image")).to_be_visible()
    after(tour.studio.choose_tool, "\\")


def _statistics(tour: Tour, after: After) -> None:
    tour.page.get_by_role("button", name="Statistics of this project").click()
    expect(tour.page.locator("dialog[open], .st-view:visible").first).to_be_visible()
    expect(tour.page.get_by_text("Counting")).to_have_count(0)
    after(tour.page.keyboard.press, "Escape")


def _settings(tour: Tour, after: After) -> None:
    tour.page.get_by_role("button", name="Settings", exact=True).click()
    expect(tour.page.get_by_label("Overlap threshold")).to_be_visible()
    after(tour.page.keyboard.press, "Escape")


def _shortcuts(tour: Tour, after: After) -> None:
    tour.studio.choose_tool("?")
    after(tour.page.keyboard.press, "Escape")


def _export(tour: Tour, after: After) -> None:
    tour.page.get_by_role("button", name="Export …").click()
    expect(tour.page.get_by_role("dialog")).to_be_visible()
    after(tour.page.keyboard.press, "Escape")


def _import(tour: Tour, after: After) -> None:
    tour.page.get_by_role("button", name="Import …").click()
    expect(tour.page.get_by_role("dialog")).to_be_visible()
    after(tour.page.keyboard.press, "Escape")


def _background_work(tour: Tour, after: After) -> None:
    toggle = tour.page.get_by_role("button", name="Background work")
    toggle.click()
    after(tour.page.keyboard.press, "Escape")


def _menu_of_projects(tour: Tour, after: After) -> None:
    tour.page.get_by_label("Projects", exact=True).click()
    after(tour.page.keyboard.press, "Escape")


def _projects(tour: Tour, after: After) -> None:
    core = tour.server.studio
    core.create_project("Beetles 2026")
    core.library.delete_project(core.create_project("Old trial").id)
    tour.studio.project_menu("All projects …")
    expect(tour.page.locator(".st-project-grid")).to_be_visible()
    tour.page.locator(".st-trash summary").click()


VIEWS = (
    *(
        _empty,
        _images,
        _marks,
        _hint,
        _busy,
        _results,
        _selected,
        _outline,
        _many_at_once,
        _reviewed,
    ),
    *(_conflict, _disconnected, _references, _video, _sequence, _reference_beside, _statistics),
    *(_settings, _shortcuts, _export, _import, _background_work, _menu_of_projects, _projects),
)
