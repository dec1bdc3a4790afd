"""The web application over HTTP: routes, caching, errors, and what is public."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image as PillowImage

from app.provenance import Brought
from app.segmentation import Studio
from app.ui.build import build_app, build_page
from dinov.masks import instance_of


@pytest.fixture
def client(studio: Studio) -> Iterator[TestClient]:
    with TestClient(build_app(studio)) as client:
        yield client


@pytest.fixture
def image_id(studio: Studio, tmp_path: Path) -> int:
    path = tmp_path / "photo.png"
    PillowImage.new("RGB", (64, 48), (200, 30, 40)).save(path)
    project = studio.create_project("Ångström / 100 %")
    return studio.add_images(project.id, [path]).added[0].id


def test_an_image_comes_as_it_was_stored_and_may_be_kept(
    client: TestClient, studio: Studio, image_id: int
) -> None:
    response = client.get(f"media/images/{image_id}?v=1")
    assert response.content == studio.image_path(image_id).read_bytes()
    assert "immutable" in response.headers["cache-control"]
    assert "no-cache" in client.get(f"media/images/{image_id}").headers["cache-control"]


def test_a_thumbnail_is_a_picture(client: TestClient, image_id: int) -> None:
    response = client.get(f"media/thumbnails/{image_id}")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("image/")


def test_results_are_not_sent_twice(
    client: TestClient, studio: Studio, image_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = client.get(f"results/{image_id}", headers={"Accept-Encoding": "gzip"})
    assert first.headers["content-encoding"] == "gzip"
    assert first.json()["instances"] == []
    again = client.get(f"results/{image_id}", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert again.content == b""
    # Another data folder at this address may have the same ids and revisions.
    monkeypatch.setattr(studio, "results", lambda _: {**first.json(), "sought": [9]})
    other = client.get(f"results/{image_id}", headers={"If-None-Match": first.headers["etag"]})
    assert other.json()["sought"] == [9]


def test_the_export_is_named_after_the_project(
    client: TestClient, studio: Studio, image_id: int
) -> None:
    project_id = studio.image(image_id).project_id
    response = client.get(f"projects/{project_id}/coco.json?score_threshold=0.3")
    assert "ngstr" in response.headers["content-disposition"]
    assert [image["file_name"] for image in response.json()["images"]] == ["photo.png"]


def test_what_an_export_wrote_is_fetched_under_its_name(
    client: TestClient, studio: Studio, image_id: int
) -> None:
    project_id = studio.image(image_id).project_id
    job_id = studio.transfers.start_export(project_id, "yolo", "å.yolo.zip", with_images=True)
    job = studio.jobs.wait(job_id, timeout=60)
    assert job.result
    assert job.result["lines"] == ["0 of 0 annotations written; 1 image has none."]
    answer = client.get(f"projects/{project_id}/exports/{job_id}")
    assert "%C3%A5.yolo.zip" in answer.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert "images/train/photo.png" in archive.namelist()
    assert client.get(f"projects/none/exports/{job_id}").status_code == 404
    assert client.get(f"projects/{project_id}/exports/none").status_code == 404


def test_the_picture_of_an_example_may_be_kept_as_long_as_the_mark_is_the_same(
    client: TestClient, studio: Studio, image_id: int
) -> None:
    project_id = studio.image(image_id).project_id
    prompt_id = studio.add_prompt(project_id, image_id, "thing", "box", [5, 5, 20, 20])
    response = client.get(f"media/examples/{image_id}/{prompt_id}?v=1")
    assert response.headers["content-type"] == "image/jpeg"
    assert "immutable" in response.headers["cache-control"]


def test_a_mask_comes_at_the_size_of_its_image(
    client: TestClient, studio: Studio, image_id: int
) -> None:
    project_id = studio.image(image_id).project_id
    category_id = studio.add_category(project_id, "thing").id
    whole = np.zeros((48, 64), np.bool_)
    whole[10:20, 10:30] = True
    instance = instance_of(whole, category_id, 1.0)
    studio.editing.add_annotations(project_id, "a test", {image_id: [Brought(instance)]})
    (found,) = studio.results(image_id)["instances"]
    assert client.get(f"instances/{found['id']}/mask").json() == instance.rle


@pytest.mark.parametrize(
    "path",
    [
        *("media/images/99", "media/thumbnails/99", "media/examples/99/none"),
        *("instances/99/mask", "results/99", "projects/none/coco.json"),
    ],
)
def test_what_does_not_exist_is_told_in_words(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 404
    assert response.headers["content-type"].startswith("text/plain")
    assert len(response.text) > 10


def test_a_threshold_out_of_range_is_refused(
    client: TestClient, studio: Studio, image_id: int
) -> None:
    project_id = studio.image(image_id).project_id
    assert client.get(f"projects/{project_id}/coco.json?score_threshold=7").status_code == 422


@pytest.mark.parametrize("path", ["static/ui/../panel.py", "static/ui/%2e%2e/panel.py"])
def test_nothing_beside_the_static_files_is_served(client: TestClient, path: str) -> None:
    assert "content_hash" not in client.get(path).text


def test_every_handler_of_the_page_is_private(studio: Studio) -> None:
    public = {
        function.api_name
        for function in build_page(studio).fns.values()
        if function.api_visibility == "public"
    }
    assert public == {
        *("create_project", "add_image", "add_prompt", "segment", "export_coco"),
        *("save_bank", "load_bank"),
    }


def test_nothing_of_the_work_is_kept_in_the_browser_or_reported(client: TestClient) -> None:
    config = client.get("config").json()
    assert not config.get("run_history")
    assert not config["analytics_enabled"]
    assert "fonts.googleapis" not in json.dumps(config)
    assert "googleapis" not in client.get("/").text
