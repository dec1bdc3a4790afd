"""The whole way with the checkpoint that ships: the example, segmented and exported."""

from __future__ import annotations

from pathlib import Path

import pytest
from pycocotools.coco import COCO

from app.project import Task
from app.segmentation import Studio
from app.settings import Settings

pytestmark = [pytest.mark.weights, pytest.mark.slow]


@pytest.fixture(scope="module")
def segmented(tmp_path_factory, lite_checkpoint: Path):
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("data"), checkpoint=str(lite_checkpoint), device="cpu"
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
