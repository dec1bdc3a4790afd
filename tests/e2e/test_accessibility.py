"""What axe finds wrong with the views of the page, for people who do not see or point well."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from app.passwords import PasswordFile
from tests.e2e.conftest import NewContext
from tests.e2e.pictures import ONE_BLUE, THREE_RED, TWO_RED_ONE_BLUE, draw
from tests.e2e.serving import StudioServer
from tests.e2e.studio_page import StudioPage
from tests.e2e.views import Tour, disc_scene

pytestmark = pytest.mark.e2e

DARK = 'document.querySelector("body").classList.toggle("dark")'
OURS = {"exclude": [[".toast-wrap"]]}
"""Gradio's own notices are not ours to mend."""
STILL = """addEventListener("DOMContentLoaded", () => {
  const style = document.createElement("style");
  style.textContent = "* { transition: none !important; animation: none !important }";
  document.head.append(style);
})"""
"""What fades in would have less contrast while it does."""


def test_every_view_has_names_roles_and_contrast_in_light_and_dark(
    page: Page, studio_server: StudioServer, tmp_path: Path
) -> None:
    images = [
        draw(tmp_path / "three.png", THREE_RED),
        draw(tmp_path / "two.png", TWO_RED_ONE_BLUE),
        draw(tmp_path / "blue.png", ONE_BLUE),
    ]
    scene = disc_scene(images, THREE_RED[0], THREE_RED[1])
    page.add_init_script(STILL)
    tour = Tour(StudioPage(page, studio_server.url), studio_server, scene, tmp_path)
    axe = Axe()
    problems: set[str] = set()
    for view in tour.views():
        problems |= _problems(axe, page, view)
        page.evaluate(DARK)
        problems |= _problems(axe, page, f"{view}, dark")
        page.evaluate(DARK)
    assert not problems, "\n".join(sorted(problems))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_that_asks_who_one_is_has_names_roles_and_contrast(
    new_context: NewContext, tmp_path: Path, theme: str
) -> None:
    users = PasswordFile(tmp_path / "users.txt")
    users.add("anna", "correct horse")
    server = StudioServer(tmp_path / "data", auth_file=users.path)
    try:
        page = new_context(color_scheme=theme).new_page()
        page.goto(server.url)
        expect(page.get_by_label("Password")).to_be_visible()
        problems = _problems(Axe(), page, "login")
        page.get_by_label("Name").fill("anna")
        page.get_by_label("Password").fill("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_be_visible()
        problems |= _problems(Axe(), page, "refused")
        page.close()
    finally:
        server.stop()
    assert not problems, "\n".join(sorted(problems))


def _problems(axe: Axe, page: Page, view: str) -> set[str]:
    """Each rule that is broken in a view, with where and why."""
    return {
        f"{view}: {violation['id']} ({violation['impact']})"
        f" at {' '.join(map(str, node['target']))}: "
        + "; ".join(check["message"] for check in node["any"] + node["all"] + node["none"])
        for violation in axe.run(page, OURS).response["violations"]
        for node in violation["nodes"]
    }
