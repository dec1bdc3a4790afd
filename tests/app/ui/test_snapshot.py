from __future__ import annotations

import json
from pathlib import Path

from PIL import Image as PillowImage

from app.segmentation import Studio
from app.ui import render
from app.ui.snapshot import Snapshot
from app.ui.strip import Strip
from dinov.options import SCORE_FLOOR


def add_photos(studio: Studio, folder: Path, project_id: str, count: int) -> list[int]:
    for number in range(count):
        PillowImage.new("RGB", (40, 30), (number, 0, 0)).save(folder / f"{number}.png")
    paths = [folder / f"{number}.png" for number in range(count)]
    return [image.id for image in studio.add_images(project_id, paths).added]


def test_without_any_project_everything_is_empty(studio: Studio) -> None:
    snapshot = Snapshot.take(studio, None, None)
    assert snapshot.project is None
    assert json.loads(Strip().tell(snapshot, ()))["cards"] == []
    assert json.loads(render.category_list(snapshot))["categories"] == []
    assert json.loads(render.run_controls(snapshot))["score_floor"] == SCORE_FLOOR
    assert json.loads(render.instance_list(snapshot))["instances"] is None
    assert json.loads(render.welcome(snapshot))["show"] is True
    assert json.loads(render.canvas_document(snapshot))["image_id"] is None


def test_the_place_asked_for_goes_before_the_last_one(studio: Studio, tmp_path: Path) -> None:
    project = studio.create_project("A")
    first, second, third = add_photos(studio, tmp_path, project.id, 3)
    assert Snapshot.take(studio, project.id, None).image_id == first
    studio.set_current_image(project.id, second)
    assert Snapshot.take(studio, project.id, None).image_id == second
    assert Snapshot.take(studio, project.id, third).image_id == third
    assert Snapshot.take(studio, project.id, 9999).image_id == second


def test_a_project_that_is_gone_leads_to_the_last_one(studio: Studio) -> None:
    studio.create_project("A")
    opened = studio.open_project(studio.create_project("B").id)
    assert Snapshot.take(studio, "deleted", None).project == opened


def test_an_image_of_another_project_is_not_shown(studio: Studio, tmp_path: Path) -> None:
    (foreign,) = add_photos(studio, tmp_path, studio.create_project("A").id, 1)
    other = studio.create_project("B")
    assert Snapshot.take(studio, other.id, foreign).image_id is None


def test_later_snapshots_are_marked_as_later(studio: Studio) -> None:
    marks = [Snapshot.take(studio, None, None).taken for _ in range(5)]
    assert marks == sorted(marks)


def test_markup_in_names_stays_text(studio: Studio, tmp_path: Path) -> None:
    project = studio.create_project("</script><b>bold</b> ${1+1} {{value}}")
    studio.add_category(project.id, '"quoted" <i>')
    snapshot = Snapshot.take(studio, project.id, None)
    bar = json.loads(render.project_bar(snapshot, studio.projects(), studio.model_status()))
    assert bar["project"]["name"] == project.name
    assert json.loads(render.category_list(snapshot))["categories"][0]["name"] == '"quoted" <i>'
