"""Several annotators on one server: logging in, sharing, working side by side."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError, AuthenticationError
from playwright.sync_api import Page, expect

from app import passwords
from tests.e2e.conftest import DESKTOP, NewContext
from tests.e2e.pictures import THREE_RED, draw
from tests.e2e.serving import StudioServer
from tests.e2e.studio_page import StudioPage

pytestmark = pytest.mark.e2e

PASSWORD = "correct horse"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StudioServer]:
    monkeypatch.setattr(passwords, "_COST", 4)
    file = passwords.PasswordFile(tmp_path / "users.txt")
    for name in ("anna", "ben"):
        file.add(name, PASSWORD)
    server = StudioServer(tmp_path / "data", auth_file=file.path)
    yield server
    server.stop()


def log_in(page: Page, url: str, name: str, password: str = PASSWORD) -> None:
    page.goto(url)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.keyboard.press("Enter")


def entered(page: Page, url: str, name: str) -> StudioPage:
    log_in(page, url, name)
    expect(page.get_by_label(f"Account: {name}")).to_be_visible()
    return StudioPage(page, page.url)


def test_a_user_logs_in_works_and_logs_out(
    page: Page, server: StudioServer, tmp_path: Path
) -> None:
    log_in(page, server.url, "anna", "a wrong one")
    expect(page.get_by_role("alert")).to_have_text("The name or the password is wrong.")
    expect(page.get_by_label("Password")).to_be_focused()
    anna = entered(page, server.url, "anna")
    anna.add_images(draw(tmp_path / "three.png", THREE_RED))
    anna.expect_open("three.png")
    anna.mark_point(80, 80)
    anna.segment_all()
    expect(anna.instances).to_have_count(3)
    assert server.studio.projects()[0].owner == "anna"
    page.get_by_label("Account: anna").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Password")).to_be_visible()
    page.go_back()
    page.reload()
    expect(page.get_by_label("Password")).to_be_visible()


def test_a_shared_project_shows_who_is_here_and_what_they_do(
    page: Page, new_context: NewContext, server: StudioServer, tmp_path: Path
) -> None:
    anna = entered(page, server.url, "anna")
    anna.add_images(draw(tmp_path / "three.png", THREE_RED))
    anna.expect_open("three.png")
    place = page.url
    ben = entered(new_context(**DESKTOP).new_page(), place, "ben")
    expect(ben.cards).to_have_count(0)

    page.get_by_label("Account: anna").click()
    page.get_by_label("All users may work in this project").check()
    ben.page.goto(place)
    ben.expect_open("three.png")
    expect(page.locator(".st-here")).to_have_text("Also here: ben")
    expect(ben.page.locator(".st-here")).to_have_text("Also here: anna")

    ben.mark_point(80, 80)
    ben.segment_all()
    expect(anna.instances).to_have_count(3)


def test_a_script_logs_in_as_a_user(server: StudioServer) -> None:
    with pytest.raises(AuthenticationError):
        Client(server.url, verbose=False)
    with pytest.raises(AuthenticationError):
        Client(server.url, verbose=False, auth=("anna", "a wrong one"))
    anna = Client(server.url, verbose=False, auth=("anna", PASSWORD))
    project_id = anna.predict("From a script", api_name="/create_project")
    assert server.studio.project(project_id).owner == "anna"
    ben = Client(server.url, verbose=False, auth=("ben", PASSWORD))
    with pytest.raises(AppError, match="not shared with you"):
        ben.predict(project_id, api_name="/export_coco")
