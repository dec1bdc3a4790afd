"""Written in any format and read again, everything is what it was, or is said not to be."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest

from app.formats import FORMATS, recognise
from app.importing import import_files
from app.project import ImportReport, InvalidInput
from app.provenance import Brought
from app.segmentation import Studio
from dinov.mask_edits import Stroke
from dinov.masks import decode_rle, instance_of
from tests.app.conftest import as_bytes, decide, draw
from tests.app.formats.conftest import CATEGORIES, Difficult, blocks

WITHOUT_SCORES = {"coco-panoptic", "yolo", "voc", "png-masks"}


def content(studio: Studio, project_id: str) -> dict[str, set[tuple[str, str, float]]]:
    """All that is on the images of a project, by their names without suffix."""
    names = {category.id: category.name for category in studio.categories(project_id)}
    return {
        PurePosixPath(image.file_name).stem: {
            (names[one.category_id], one.rle["counts"], round(one.score, 3))
            for one in studio._store.instances(image.id)
        }
        for image in studio.images(project_id)
    }


def imported(studio: Studio, *sources: Path, name: str = "Copy") -> tuple[str, ImportReport]:
    project_id = studio.create_project(name).id
    return project_id, import_files(studio, project_id, sources)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "archive"])
def test_everything_comes_back(
    difficult: Difficult, tmp_path: Path, name: str, packed: bool
) -> None:
    studio = difficult.studio
    destination = tmp_path / ("out.zip" if packed else "out")
    report = studio.export(difficult.id, destination, format_name=name, with_images=True)
    assert report.path == destination
    assert report.annotations == report.total == difficult.count
    assert (report.images, report.empty_images) == (7, 1)
    assert report.lines[0] == "10 of 10 annotations written; 1 image has none."
    assert not report.dropped
    assert bool(report.changed) == (name == "label-studio")

    copy, read = imported(studio, destination)
    assert read.lines[0].startswith("10 of 10 annotations imported; 7 images added"), read.lines
    assert read.is_lossless, read.lines
    before, after = content(studio, difficult.id), content(studio, copy)
    # Of two images of one stem the second was given another name.
    before["same-6"] = {one for one in before["same"] if one[0] == "red"}
    stems = {"shapes", "border", "Größe 猫", "portrait", "same", "same-6", "empty"}
    assert set(after) == stems
    for stem in stems - {"same", "same-6"}:
        if name in WITHOUT_SCORES:
            before[stem] = {(category, counts, 1.0) for category, counts, _ in before[stem]}
        assert after[stem] == before[stem], stem
    sizes = {image.file_name: (image.height, image.width) for image in studio.images(copy)}
    assert sizes["portrait.jpg"] == (90, 40)
    assert sizes["same-6.jpg"] == (11, 13)
    assert {len(after["same"]), len(after["same-6"])} == {1}
    assert [category.name for category in studio.categories(copy)] == list(CATEGORIES)


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_is_recognised_by_what_it_wrote(
    difficult: Difficult, tmp_path: Path, name: str
) -> None:
    difficult.studio.export(difficult.id, tmp_path / "out", format_name=name, with_images=True)
    found = recognise(tmp_path / "out")
    assert found.read is FORMATS[name].read


@pytest.mark.parametrize("name", ["coco-panoptic", "voc", "png-masks"])
def test_what_covers_what_is_told(studio: Studio, tmp_path: Path, name: str) -> None:
    project_id = studio.create_project("Overlaps").id
    (image,) = studio.add_images(
        project_id,
        [("a.png", (Path(__file__).parents[3] / "app/ui/static/favicon.png").read_bytes())],
    ).added
    category = studio.add_category(project_id, "red")
    size_hw = (image.height, image.width)
    large, small = blocks(size_hw, (0, 0, 20, 20)), blocks(size_hw, (5, 5, 10, 10))
    hidden = [blocks(size_hw, (30, 0, 35, 5)), blocks(size_hw, (30, 0, 35, 5))]
    # The same mask twice, under two categories, is the extreme of overlap.
    other = studio.add_category(project_id, "blue")
    instances = [
        Brought(instance_of(mask, one.id, 0.9))
        for mask, one in zip((large, small, *hidden), (*3 * [category], other), strict=True)
    ]
    studio.editing.add_annotations(project_id, "test", {image.id: instances})
    report = studio.export(project_id, tmp_path / "out", format_name=name, with_images=True)
    assert not report.is_lossless
    assert any("others cover a part of it" in line for line in report.changed)
    lines = report.dropped if name != "voc" else report.changed
    assert any("others cover it completely" in line for line in lines)
    assert report.annotations == (4 if name == "voc" else 3)
    assert any("overlapping masks" in line for line in report.notes)
    copy, _ = imported(studio, tmp_path / "out")
    (same,) = studio.images(copy)
    masks = [decode_rle(one.rle) for one in studio._store.instances(same.id)]
    assert any(np.array_equal(mask, small) for mask in masks)
    assert any(np.array_equal(mask, large & ~small) for mask in masks)


def test_an_import_can_be_repeated_and_brings_back_what_was_deleted(
    difficult: Difficult, tmp_path: Path
) -> None:
    studio = difficult.studio
    path = tmp_path / "out.json"
    studio.export(difficult.id, path)
    renamed = next(image for image in difficult.images if image.file_name == "same.jpg")
    studio.remove_image(renamed.id)
    instance = studio._store.instances(difficult.images[0].id)[0]
    decide(studio, instance.id, "rejected")
    report = import_files(studio, difficult.id, [path])
    # The one image that had to be called otherwise is not known under that name.
    assert report.lines[0].startswith("0 of 10 annotations imported; 9 are here already")
    assert len(report.problems) == 1
    assert "same-6.jpg with 1 of the annotations" in report.problems[0]
    assert studio._store.instance(instance.id).status.value == "accepted"
    assert studio.counts(difficult.id)[difficult.images[0].id].shown == 4


@pytest.mark.parametrize("name", ["coco", "yolo", "labelme"])
def test_what_an_export_had_to_rename_is_known_by_that_name(
    difficult: Difficult, tmp_path: Path, name: str
) -> None:
    studio = difficult.studio
    studio.export(difficult.id, tmp_path / "out", format_name=name, with_images=False)
    renamed = next(image for image in difficult.images if image.file_name == "same.jpg")
    (instance,) = studio._store.instances(renamed.id)
    decide(studio, instance.id, "rejected")
    report = import_files(studio, difficult.id, [tmp_path / "out"])
    assert report.is_lossless, report.lines
    assert report.lines[0].startswith("0 of 10 annotations imported; 10 are here already")
    assert report.added_images == 0
    assert studio.counts(difficult.id)[renamed.id].shown == 1


def test_annotations_leave_again_with_their_scores_and_where_they_come_from(
    difficult: Difficult, tmp_path: Path
) -> None:
    studio = difficult.studio
    studio.export(difficult.id, tmp_path / "first.zip", with_images=True)
    copy, _ = imported(studio, tmp_path / "first.zip")
    studio.export_coco(copy, tmp_path / "second.json")
    second = json.loads((tmp_path / "second.json").read_text("utf-8"))
    with zipfile.ZipFile(tmp_path / "first.zip") as archive:
        first = json.loads(archive.read("annotations.json"))
    for kind in ("score", "area", "bbox", "segmentation"):
        assert [row[kind] for row in second["annotations"]] == [
            row[kind] for row in first["annotations"]
        ]
    assert {row["attributes"]["source"] for row in second["annotations"]} == {
        "COCO JSON: first.zip"
    }
    assert second["info"]["checkpoint"] == ""


def said(studio: Studio, project_id: str, path: Path) -> tuple[Any, Any]:
    """What an export says of the whole, and of each annotation but for its ids."""
    content = json.loads(studio.export_coco(project_id, path).path.read_text("utf-8"))
    rows = [
        {key: value for key, value in row.items() if not key.endswith("id")}
        for row in content["annotations"]
    ]
    return content["info"] | {"project": ""}, rows


def test_what_we_say_of_annotations_comes_back(marked, tmp_path: Path) -> None:
    studio, id_ = marked.studio, marked.id
    studio.segment_now(id_, score_threshold=0.1)
    edited, accepted, _ = (one["id"] for one in studio.results(marked.target.id)["instances"])
    studio.set_score_threshold(id_, 0.15)
    decide(studio, accepted)
    studio.editing.brush(marked.target.id, edited, [Stroke((0, 30, 80, 30), 60)])
    studio.editing.bring_forward(marked.target.id, [edited])
    studio.export(id_, tmp_path / "out.zip", with_images=True)
    copy, report = imported(studio, tmp_path / "out.zip")
    assert report.lines == ("3 of 3 annotations imported; 3 images added (COCO JSON).",)
    info, rows = said(studio, copy, tmp_path / "copy.json")
    assert (info, rows) == said(studio, id_, tmp_path / "original.json")
    assert (info["score_threshold"], info["checkpoint_sha256"]) == (0.15, "c0" * 32)
    told = [row["attributes"] for row in rows]
    assert [one["status"] for one in told] == ["accepted", "accepted", "proposed"]
    assert [one["origin"] for one in told] == ["edited", "found", "found"]
    assert [one.get("z_order") for one in told] == [1, None, None]
    assert {(one["model"], one["task"]) for one in told} == {("color-1-64", "generic")}


def test_proposals_that_are_not_shown_in_a_project_are_said(marked, tmp_path: Path) -> None:
    studio = marked.studio
    studio.segment_now(marked.id, score_threshold=0.1)
    studio.export_coco(marked.id, tmp_path / "out.json")
    studio.set_score_threshold(marked.id, 0.5)
    ids = [one["id"] for one in studio.results(marked.target.id)["instances"]]
    studio.editing.delete(marked.target.id, ids)
    report = import_files(studio, marked.id, [tmp_path / "out.json"])
    assert report.is_lossless
    assert report.notes == ("Patches: a proposal is below the score threshold, and not shown.",)


def test_an_imported_image_is_still_segmented(marked, tmp_path: Path) -> None:
    studio = marked.studio
    studio.segment_now(marked.id)
    for one in studio.results(marked.target.id)["instances"][:2]:
        decide(studio, one["id"])
    path = tmp_path / "found.json"
    studio.export_coco(marked.id, path)
    again = studio.create_project("Again").id
    sources = [tmp_path / name for name in ("reference.png", "target.png", "empty.png")]
    for source, image in zip(sources, studio.images(marked.id), strict=True):
        source.write_bytes(studio.image_path(image.id).read_bytes())
    report = import_files(studio, again, [path])
    assert (report.annotations, report.added_images) == (2, 3)
    target = studio.images(again)[1]
    assert studio.counts(again)[target.id].shown == 2
    studio.add_prompt(again, studio.images(again)[0].id, "red", "box", [12, 12, 28, 28])
    studio.segment_now(again, score_threshold=0.1)
    statuses = [one["status"] for one in studio.results(target.id)["instances"]]
    assert sorted(statuses) == ["accepted", "accepted", "proposed"]


@pytest.mark.parametrize("name", FORMATS)
def test_a_project_without_anything_can_be_written(
    studio: Studio, tmp_path: Path, name: str
) -> None:
    project_id = studio.create_project("Nothing").id
    report = studio.export(project_id, tmp_path / "out", format_name=name, with_images=True)
    assert report.is_lossless
    assert report.lines == ("0 of 0 annotations written.",)


@pytest.mark.parametrize("name", FORMATS)
def test_a_mask_without_a_pixel_is_not_written_and_said(
    studio: Studio, tmp_path: Path, name: str
) -> None:
    project_id = studio.create_project("Empty mask").id
    (image,) = studio.add_images(project_id, [("a.png", as_bytes(draw((20, 30))))]).added
    category = studio.add_category(project_id, "red")
    masks = [blocks((20, 30), (1, 1, 5, 5)), blocks((20, 30))]
    instances = [Brought(instance_of(mask, category.id, 0.9)) for mask in masks]
    studio.editing.add_annotations(project_id, "test", {image.id: instances})
    report = studio.export(project_id, tmp_path / "out", format_name=name, with_images=True)
    assert report.lines[:2] == (
        "1 of 2 annotations written.",
        "Not written: Annotation 2 on a.png: its mask is empty.",
    )
    assert not report.is_lossless


def test_destinations_that_would_overwrite_are_refused(
    difficult: Difficult, tmp_path: Path
) -> None:
    studio = difficult.studio
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(InvalidInput, match=r"there already.*\.zip"):
        studio.export(difficult.id, tmp_path / "out", format_name="yolo")
    with pytest.raises(InvalidInput, match=r"files, which do not fit in"):
        studio.export(difficult.id, tmp_path / "out.json", format_name="yolo")
    with pytest.raises(InvalidInput, match="Unknown format"):
        studio.export(difficult.id, tmp_path / "new", format_name="excel")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
