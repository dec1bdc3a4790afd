"""The endpoints for other programs, called as the README shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from pycocotools.coco import COCO

from dinov.masks import rle_area
from tests.e2e.pictures import THREE_RED, TWO_RED_ONE_BLUE, draw
from tests.e2e.serving import StudioServer

pytestmark = pytest.mark.e2e


@pytest.fixture
def client(studio_server: StudioServer) -> Client:
    return Client(studio_server.url, verbose=False)


def test_a_script_marks_segments_and_exports(client: Client, tmp_path: Path) -> None:
    project_id = client.predict("From a script", api_name="/create_project")
    three = draw(tmp_path / "three.png", THREE_RED)
    two = draw(tmp_path / "two.png", TWO_RED_ONE_BLUE)
    image_ids = [
        client.predict(project_id, handle_file(path), api_name="/add_image")
        for path in (three, two)
    ]
    prompt_id = client.predict(
        project_id, image_ids[0], "red", "box", [50, 50, 110, 110], api_name="/add_prompt"
    )
    assert prompt_id
    found = client.predict(project_id, image_ids, 0.3, api_name="/segment")
    assert found == {str(image_ids[0]): 3, str(image_ids[1]): 2}
    once = client.predict(project_id, image_ids, None, "refer", api_name="/segment")
    assert once == dict.fromkeys(found, 1)
    assert client.predict(project_id, image_ids, api_name="/segment") == found
    path = client.predict(project_id, api_name="/export_coco")
    coco = COCO(path)
    assert len(coco.getAnnIds()) == 5
    assert {image["file_name"] for image in coco.dataset["images"]} == {"three.png", "two.png"}


def test_a_script_marks_by_mask_and_cuts_out_what_is_not_meant(
    client: Client, studio_server: StudioServer, tmp_path: Path
) -> None:
    project_id = client.predict("Masks", api_name="/create_project")
    photo = handle_file(draw(tmp_path / "two.png", TWO_RED_ONE_BLUE))
    image_id = client.predict(project_id, photo, api_name="/add_image")
    mask = [[50.0, 50.0, 110.0, 50.0, 110.0, 110.0, 50.0, 110.0]]
    mark = (project_id, image_id, "red")
    client.predict(*mark, "mask", [], True, None, mask, api_name="/add_prompt")
    client.predict(*mark, "scribble", [52, 60, 52, 100], False, 3, api_name="/add_prompt")
    positive, negative = (one.prompt for one in studio_server.studio.prompts(image_id)[1])
    assert rle_area(positive.rle) == 3600
    assert (negative.width, negative.positive) == (3, False)
    assert client.predict(project_id, [image_id], 0.3, api_name="/segment")
    small = {"size": [9, 9], "counts": [81]}
    with pytest.raises(AppError, match="has the size"):
        client.predict(*mark, "mask", [], True, None, small, api_name="/add_prompt")
    with pytest.raises(AppError, match="needs a run-length"):
        client.predict(*mark, "mask", [], api_name="/add_prompt")


def test_exactly_the_promised_endpoints_are_public_and_described(client: Client) -> None:
    endpoints = client.view_api(return_format="dict", print_info=False)
    assert set(endpoints["named_endpoints"]) == {
        "/create_project", "/add_image", "/add_prompt", "/segment", "/export_coco",
            "/save_bank", "/load_bank",
    }  # fmt: skip
    assert not endpoints["unnamed_endpoints"]
    for endpoint in endpoints["named_endpoints"].values():
        assert endpoint["description"]
        assert all(parameter["type"] for parameter in endpoint["parameters"])
        assert all(value["type"] for value in endpoint["returns"])


def test_mistakes_are_told_in_words(client: Client, tmp_path: Path) -> None:
    project_id = client.predict("Mistakes", api_name="/create_project")
    with pytest.raises(AppError, match=r"(?i)image"):
        client.predict(project_id, api_name="/segment")
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"not an image")
    with pytest.raises(AppError, match=r"broken\.jpg"):
        client.predict(project_id, handle_file(broken), api_name="/add_image")
    image_id = client.predict(
        project_id, handle_file(draw(tmp_path / "a.png", THREE_RED)), api_name="/add_image"
    )
    with pytest.raises(AppError, match="generic, refer"):
        client.predict(project_id, None, None, "both", api_name="/segment")
    with pytest.raises(AppError, match="lasso"):
        client.predict(project_id, image_id, "red", "lasso", [1, 1], api_name="/add_prompt")
    with pytest.raises(AppError, match=r"(?i)outside|inside"):
        client.predict(project_id, image_id, "red", "point", [900, 900], api_name="/add_prompt")


def test_only_uploaded_files_can_be_named(client: Client, tmp_path: Path) -> None:
    project_id = client.predict("Curious", api_name="/create_project")
    secret = draw(tmp_path / "secret.png", THREE_RED)
    with pytest.raises(Exception, match="not an uploaded file"):
        client.predict(project_id, {"path": str(secret)}, api_name="/add_image")
