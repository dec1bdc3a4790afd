"""With accounts nothing is reached without logging in; over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image as PillowImage
from starlette.routing import BaseRoute

from app.access import acting_as
from app.passwords import PasswordFile
from app.segmentation import Studio
from app.ui.build import build_app
from app.ui.login import COOKIE

PASSWORD = "correct horse"
PAGE = {"Accept": "text/html"}


@pytest.fixture
def auth_file(tmp_path: Path) -> Path:
    file = PasswordFile(tmp_path / "users.txt")
    for name in ("anna", "ben"):
        file.add(name, PASSWORD)
    return file.path


@pytest.fixture
def client(studio: Studio, auth_file: Path) -> Iterator[TestClient]:
    with TestClient(build_app(studio, auth_file), follow_redirects=False) as client:
        yield client


def log_in(client: TestClient, name: str, password: str = PASSWORD, **more: str):
    data = {"username": name, "password": password, **more}
    return client.post("login", data=data, headers=PAGE)


@pytest.fixture
def image_id(studio: Studio, tmp_path: Path) -> int:
    path = tmp_path / "photo.png"
    PillowImage.new("RGB", (64, 48), (200, 30, 40)).save(path)
    with acting_as("anna"):
        project = studio.create_project("Anna's")
    return studio.add_images(project.id, [path]).added[0].id


def paths(routes: list[BaseRoute], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every address that the application answers, with a method; parameters filled in."""
    for route in routes:
        path = prefix + getattr(route, "path", "")
        # FastAPI wraps a router that was included.
        below = getattr(getattr(route, "original_router", route), "routes", None)
        if below:
            yield from paths(below, path)
        else:
            for method in getattr(route, "methods", None) or {"GET"}:
                yield method, path.replace("{path:path}", "x").replace("{", "").replace("}", "")


def test_every_route_is_closed(client: TestClient, image_id: int):
    tried = set()
    for method, path in paths(client.app.routes):
        if path.startswith("/static/ui/") or path in ("/login", "/favicon.ico"):
            continue
        answer = client.request(method, path or "/")
        assert answer.status_code == 401, f"{method} {path} answers {answer.status_code}"
        tried.add(path)
    assert len(tried) > 40, "the routes of Gradio were not found"
    for path in ("/", f"/media/images/{image_id}", f"/results/{image_id}", "/config"):
        assert client.get(path).status_code == 401


def test_the_way_in_leads_to_where_one_wanted_to_go(client: TestClient):
    asked = client.get("/?project=abc&image=3", headers=PAGE)
    assert asked.status_code == 303
    assert asked.headers["location"] == "/login?next=/%3Fproject%3Dabc%26image%3D3"
    form = client.get(asked.headers["location"])
    assert 'value="/?project=abc&amp;image=3"' in form.text
    entered = log_in(client, "anna", target="/?project=abc&image=3")
    assert (entered.status_code, entered.headers["location"]) == (303, "/?project=abc&image=3")
    assert client.get("/", headers=PAGE).status_code == 200
    assert client.get("/login").status_code == 303


@pytest.mark.parametrize(
    "target", ["//elsewhere.example", "https://elsewhere.example", "/\\elsewhere.example", "x", ""]
)
def test_the_way_in_never_leads_to_another_server(client: TestClient, target: str):
    assert log_in(client, "anna", target=target).headers["location"] == "/"


def test_the_cookie_is_kept_from_scripts_and_other_sites(client: TestClient):
    cookie = log_in(client, "anna").headers["set-cookie"].lower()
    assert {"httponly", "samesite=lax"} <= set(cookie.replace(" ", "").split(";"))
    assert "max-age=" in cookie
    assert "secure" not in cookie
    with TestClient(client.app, base_url="https://testserver", follow_redirects=False) as secure:
        assert "secure" in log_in(secure, "ben").headers["set-cookie"].lower()


def test_a_wrong_password_is_told_and_slowed_down(client: TestClient):
    answer = log_in(client, 'anna"><script>', "wrong password")
    assert answer.status_code == 401
    assert "The name or the password is wrong." in answer.text
    assert "<script>" not in answer.text.replace('<script src="', "")
    for _ in range(5):
        answer = log_in(client, "anna", "wrong password")
    assert answer.status_code == 429
    assert "Try again in" in answer.text
    plain = client.post("login", data={"username": "anna", "password": PASSWORD})
    assert (plain.status_code, "Try again" in plain.json()["detail"]) == (429, True)


def test_logging_out_ends_the_session(client: TestClient):
    log_in(client, "anna")
    stolen = client.cookies[COOKIE]
    assert client.get("config").status_code == 200
    assert client.post("logout").headers["location"] == "/login"
    assert client.get("config").status_code == 401
    client.cookies.set(COOKIE, stolen)
    assert client.get("config").status_code == 401


def test_another_site_cannot_act_in_a_users_name(client: TestClient):
    log_in(client, "anna")
    for source in ("cross-site", "same-site"):
        refused = client.post("logout", headers={"Sec-Fetch-Site": source})
        assert refused.status_code == 403
    assert client.get("config", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


def test_media_results_and_exports_are_their_owners(
    client: TestClient, studio: Studio, image_id: int
):
    project_id = studio.image(image_id).project_id
    addresses = [
        f"media/images/{image_id}",
        f"media/thumbnails/{image_id}",
        f"results/{image_id}",
        f"projects/{project_id}/coco.json",
    ]
    log_in(client, "anna")
    assert [client.get(address).status_code for address in addresses] == [200] * 4
    client.post("logout")
    log_in(client, "ben")
    assert [client.get(address).status_code for address in addresses] == [404] * 4
    assert client.get(f"projects/{project_id}/exports/1").status_code == 404
    studio.sharing.set_shared(project_id, True)
    assert [client.get(address).status_code for address in addresses] == [200] * 4


def test_without_accounts_there_is_no_login(studio: Studio):
    with TestClient(build_app(studio)) as client:
        assert client.get("config").status_code == 200
        assert client.post("logout").status_code in (404, 405)
