"""The whole way with the checkpoint that ships: the example, segmented and exported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pycocotools.coco import COCO

import dinov.cli
from app import cli
from app.example import EXAMPLE_FOLDER
from app.project import Task
from app.segmentation import Studio
from app.settings import Settings

pytestmark = [pytest.mark.weights, pytest.mark.slow]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def segmented(data_dir: Path, lite_checkpoint: Path):
    settings = Settings(
        data_dir=data_dir, model={"checkpoint": str(lite_checkpoint), "device": "cpu"}
    )
    studio = Studio.open(settings)
    project = studio.open_example()
    found = studio.segment_now(project.id)
    yield studio, project.id, found
    studio.close()


def test_every_target_of_the_example_shows_something(segmented):
    studio, project_id, found = segmented
    assert studio.latest_job(project_id).problems == ()
    assert set(found) == {image.id for image in studio.images(project_id)}
    assert all(count > 0 for count in found.values()), found


def test_masks_on_the_other_photos_are_of_the_right_category(segmented):
    studio, project_id, _ = segmented
    names = {category.id: category.name for category in studio.categories(project_id)}
    threshold = studio.project(project_id).score_thresholds[Task.GENERIC]
    expected = {"deer_2": "deer", "deer_3": "deer", "deer_4": "deer", "buses_and_cars": "bus"}
    for image in studio.images(project_id):
        if category := expected.get(Path(image.file_name).stem):
            best = studio.results(image.id)["instances"][0]
            assert best["score"] >= threshold
            assert names[best["category_id"]] == category, image.file_name


def test_its_export_loads_with_as_many_annotations_as_are_shown(segmented, tmp_path):
    studio, project_id, found = segmented
    report = studio.export_coco(project_id, tmp_path / "example.json")
    assert report.annotations == sum(found.values())
    assert len(COCO(str(report.path)).anns) == report.annotations


def shown(path: Path) -> dict[str, list[tuple[str, float, str]]]:
    """By the name of each photo: the category, score and outline of each instance."""
    document = COCO(str(path))
    rows: dict[str, list[tuple[str, float, str]]] = {}
    for image in document.loadImgs(document.getImgIds()):
        rows[Path(image["file_name"]).name] = sorted(
            (
                document.cats[row["category_id"]]["name"],
                round(row["score"], 5),
                json.dumps(row["segmentation"]),
            )
            for row in document.imgToAnns[image["id"]]
        )
    return rows


def test_page_batch_and_command_find_the_same(segmented, data_dir, lite_checkpoint, tmp_path):
    studio, project_id, _ = segmented
    targets = ["--targets", str(EXAMPLE_FOLDER / "targets")]
    model = ["--checkpoint", str(lite_checkpoint), "--device", "cpu"]
    page, batch, command = (tmp_path / f"{name}.json" for name in ("page", "batch", "command"))
    studio.export_coco(project_id, page)
    words = ["batch", "--project", project_id, "--data-dir", str(data_dir)]
    assert cli.main([*words, *targets, *model, "--output", str(batch)]) == 0
    words = ["segment", "--references", str(EXAMPLE_FOLDER / "references.json")]
    assert dinov.cli.main([*words, *targets, *model, "--output", str(command)]) == 0
    assert shown(batch) == shown(command)
    of_the_page = shown(page)
    assert shown(batch) == {name: of_the_page[name] for name in shown(batch)}
    assert sum(map(len, shown(batch).values())) > 5
