"""COCO files as other programs write them: all that can be used is, and the rest is named."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from app.importing import ImportedAs, import_files
from app.project import ImportReport, InvalidData, InvalidInput
from app.segmentation import Studio
from dinov.masks import decode_rle, encode_rle
from dinov.types import PromptType
from tests.app.conftest import as_bytes, draw
from tests.app.formats.conftest import blocks

SIZE = (30, 40)
BLOCK = blocks(SIZE, (10, 5, 30, 15))
POLYGON = [10, 5, 30, 5, 30, 15, 10, 15]
RLE = encode_rle(BLOCK)
RUNS = [10 * 30 + 5, *[10, 20] * 19, 10, 10 * 30 + 15]


def annotation(**fields: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": 1, "category_id": 0} | fields


def document(*annotations: Any, **fields: Any) -> dict[str, Any]:
    return {
        "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 30}],
        "categories": [{"id": 0, "name": "leaf"}],
        "annotations": list(annotations),
    } | fields


def bring_in(
    studio: Studio, folder: Path, content: Any, as_: ImportedAs = ImportedAs.ANNOTATIONS
) -> ImportReport:
    (folder / "a.png").write_bytes(as_bytes(draw(SIZE)))
    path = folder / "file.json"
    path.write_text(json.dumps(content), "utf-8")
    project_id = studio.create_project("Imported").id
    return import_files(studio, project_id, [path], as_=as_)


def stored(studio: Studio, report: ImportReport) -> list[np.ndarray]:
    return [
        decode_rle(one.rle)
        for image in studio.images(report.project_id)
        for one in studio._store.instances(image.id)
    ]


def test_the_runs_of_this_test_are_right() -> None:
    compressed = coco_mask.frPyObjects({"size": [30, 40], "counts": RUNS}, 30, 40)
    assert compressed["counts"].decode() == RLE["counts"]


@pytest.mark.parametrize(
    "fields",
    [
        {"segmentation": [POLYGON], "area": 200, "bbox": [10, 5, 20, 10], "iscrowd": 0},
        {"segmentation": POLYGON},
        {"segmentation": RLE},
        {"segmentation": {"size": [30, 40], "counts": RUNS}},
        {"segmentation": [POLYGON], "iscrowd": True},
        {"segmentation": [POLYGON], "iscrowd": None, "bbox": None, "score": None},
        {"segmentation": [POLYGON, [1, 1, 2, 2]]},
        {"bbox": [10, 5, 20, 10]},
        {"bbox": [10, 5, 20, 10], "segmentation": []},
        {"segmentation": [POLYGON], "id": "a-text"},
        {"segmentation": [POLYGON], "id": None, "extra": {"anything": []}},
    ],
)
def test_every_usual_way_to_write_a_mask_is_read(
    studio: Studio, tmp_path: Path, fields: dict[str, Any]
) -> None:
    report = bring_in(studio, tmp_path, document(annotation(**fields)))
    assert report.is_lossless, report.lines
    assert report.lines[0] == "1 of 1 annotation imported; 1 image added (COCO JSON)."
    (mask,) = stored(studio, report)
    np.testing.assert_array_equal(mask, BLOCK)
    assert [c.name for c in studio.categories(report.project_id)] == ["leaf"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (document(annotation()), "annotation 1 on a.png: it has neither a mask nor a box"),
        (document(annotation(bbox=[50, 50, 3, 3])), "outside the 40x30 image"),
        (document(annotation(segmentation=[[100, 100, 110, 100, 110, 110]])), "no pixel"),
        (document(annotation(segmentation={"size": [40, 30], "counts": RUNS})), "the size"),
        (document(annotation(segmentation={"size": [30, 40], "counts": [1]})), "do not add up"),
        (
            document(annotation(segmentation={"size": [30, 40], "counts": [2**70, 1]})),
            "larger than any image",
        ),
        (
            # Their sum is that of the image again, modulo 2 ** 64.
            document(
                annotation(segmentation={"size": [30, 40], "counts": [2**63 - 1] * 2 + [1202]})
            ),
            "do not add up",
        ),
        (document(annotation(segmentation=[[1, 2, 3]])), "at least three points"),
        (document(annotation(segmentation=[[1, 2, 3, 4, float("nan"), 6]])), "no pixels"),
        (document(annotation(segmentation=["text"])), "annotation 1"),
        (document(annotation(segmentation=[[{}] * 6])), "annotation 1"),
        (document(annotation(image_id=7, segmentation=POLYGON)), "its image is not in the file"),
        (document(annotation(bbox=["?"] * 4)), "it has neither a mask nor a box"),
        (document({"image_id": 1}), "it cannot be understood (category_id"),
        (document(17), "annotation 1: it cannot be understood"),
        (
            document(
                annotation(segmentation=POLYGON),
                images=[{"id": 1, "file_name": "gone.png", "width": 40, "height": 30}],
            ),
            "gone.png with 1 of the annotations: the image is not in the project and not found",
        ),
        (
            document(
                annotation(segmentation=POLYGON),
                images=[{"id": 1, "file_name": "a.png", "width": 30, "height": 40}],
            ),
            "the image is 40x30 when upright, in the file 30x40",
        ),
        (
            document(annotation(segmentation=POLYGON), images=[{"id": 1, "file_name": "no.png"}]),
            "no.png: the size of the image is not known",
        ),
        (
            document(
                annotation(segmentation=POLYGON),
                images=[{"id": 1, "file_name": "a.png", "width": 10**6, "height": 10**6}],
            ),
            "a.png: the size of the image is not known",
        ),
    ],
)
def test_what_cannot_be_used_is_left_out_and_named(
    studio: Studio, tmp_path: Path, content: dict[str, Any], reason: str
) -> None:
    report = bring_in(studio, tmp_path, content)
    assert (report.annotations, report.total) == (0, 1)
    assert not report.is_lossless
    assert any(reason in line for line in report.problems), report.problems
    assert stored(studio, report) == []


def test_gaps_in_the_file_are_filled_and_said(studio: Studio, tmp_path: Path) -> None:
    content = document(
        annotation(segmentation=POLYGON, category_id=5, score=97.5),
        annotation(id=2, segmentation={"size": [30, 40], "counts": [0, 1, 1199]}, iscrowd=1),
        images=[{"id": 1, "file_name": "sub\\a.png"}],
        categories=[{"id": 0, "name": " Leaf ", "color": "#00FF00", "supercategory": "plant"}],
    )
    report = bring_in(studio, tmp_path, content)
    assert report.annotations == 2
    assert report.is_lossless
    leaf, unnamed = studio.categories(report.project_id)
    assert (leaf.name, leaf.color, leaf.supercategory) == ("Leaf", "#00ff00", "plant")
    assert unnamed.name == "category 5"
    assert len(report.notes) == 3
    assert any("called by its id" in line for line in report.notes)
    assert any("crowd" in line for line in report.notes)
    assert any("score is not in 0 to 1" in line for line in report.notes)


@pytest.mark.parametrize(("name", "called"), [("7", "7"), (7, "7"), (0, "0"), (2.5, "2.5")])
def test_categories_may_be_called_by_numbers(
    studio: Studio, tmp_path: Path, name: Any, called: str
) -> None:
    row = {"id": 0, "name": name, "supercategory": name}
    report = bring_in(
        studio, tmp_path, document(annotation(segmentation=POLYGON), categories=[row])
    )
    assert report.notes == ()
    (category,) = studio.categories(report.project_id)
    assert (category.name, category.supercategory) == (called, called)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("bbox", "10,5,20,10"),
        ("bbox", {"x": 10}),
        ("bbox", [10, 5, None, 10]),
        ("score", "high"),
        ("score", [0.9]),
        ("iscrowd", "perhaps"),
    ],
)
def test_a_mask_stays_whatever_is_wrong_beside_it(
    studio: Studio, tmp_path: Path, field: str, value: Any
) -> None:
    report = bring_in(studio, tmp_path, document(annotation(segmentation=RLE, **{field: value})))
    assert (report.annotations, report.problems) == (1, ())
    assert report.notes == (f"annotation 1: its {field} cannot be read, and is left out.",)
    np.testing.assert_array_equal(stored(studio, report)[0], BLOCK)


@pytest.mark.parametrize("fields", [{"track_id": 3}, {"attributes": {"track_id": 0}}])
def test_tracks_are_said_to_be_left_behind(
    studio: Studio, tmp_path: Path, fields: dict[str, Any]
) -> None:
    untracked = annotation(id=2, segmentation=[1, 1, 9, 1, 9, 9], attributes={"track_id": None})
    content = document(annotation(segmentation=POLYGON, **fields), untracked)
    report = bring_in(studio, tmp_path, content)
    assert report.annotations == 2
    assert report.notes == (
        "annotation 1 on a.png: it has a track_id, for which a project has no place.",
    )


def test_equal_reasons_are_counted(studio: Studio, tmp_path: Path) -> None:
    rows = [annotation(id=number) for number in range(1, 1202)]
    report = bring_in(studio, tmp_path, document(*rows, annotation(segmentation=POLYGON)))
    assert report.lines[0].startswith("1 of 1,202 annotations imported")
    assert report.problems == (
        "1,201 times: it has neither a mask nor a box (first: annotation 1 on a.png).",
    )


@pytest.mark.parametrize(
    "content",
    [[], {}, {"images": []}, [{"image_id": 1, "category_id": 1, "segmentation": RLE, "score": 1}]],
)
def test_what_is_no_data_set_is_refused(studio: Studio, tmp_path: Path, content: Any) -> None:
    with pytest.raises(InvalidData, match=r"file\.json is in none of the known formats"):
        bring_in(studio, tmp_path, content)


def test_damaged_files_are_refused(studio: Studio, tmp_path: Path) -> None:
    project_id = studio.create_project("Damaged").id
    broken = tmp_path / "broken.json"
    broken.write_text('{"images": [')
    with pytest.raises(InvalidData, match=r"broken\.json is damaged"):
        import_files(studio, project_id, [broken])
    with zipfile.ZipFile(tmp_path / "holiday.zip", "w") as archive:
        archive.writestr("notes.txt", "sun")
    with pytest.raises(InvalidData, match=r"^holiday\.zip is in none of the known formats"):
        import_files(studio, project_id, [tmp_path / "holiday.zip"])
    (tmp_path / "cut.zip").write_bytes((tmp_path / "holiday.zip").read_bytes()[:40])
    with pytest.raises(InvalidData, match=r"^cut\.zip is in none of the known formats"):
        import_files(studio, project_id, [tmp_path / "cut.zip"])
    with pytest.raises(InvalidInput, match="does not exist"):
        import_files(studio, project_id, [tmp_path / "absent"])
    with pytest.raises(InvalidInput, match="Unknown format"):
        import_files(studio, project_id, [broken], format_name="excel")
    (tmp_path / "none").mkdir()
    with pytest.raises(InvalidData, match="holds no YOLO labels"):
        import_files(studio, project_id, [tmp_path / "none"], format_name="yolo")


def test_annotations_become_prompts(studio: Studio, tmp_path: Path) -> None:
    content = document(
        annotation(segmentation=RLE),
        annotation(id=2, bbox=[1, 1, 5, 5]),
        annotation(id=3, prompt={"type": "point", "points": [20, 10], "positive": False}),
        annotation(id=4, segmentation=RLE, prompt={"type": "mask", "positive": False}),
    )
    report = bring_in(studio, tmp_path, content, ImportedAs.PROMPTS)
    assert (report.annotations, report.problems) == (4, ())
    (image,) = studio.images(report.project_id)
    assert image.is_reference
    prompts = [stored.prompt for stored in studio.prompts(image.id)[1]]
    assert [prompt.type for prompt in prompts] == [
        PromptType.MASK, PromptType.BOX, PromptType.POINT, PromptType.MASK,
    ]  # fmt: skip
    assert [prompt.positive for prompt in prompts] == [True, True, False, False]
    assert prompts[0].rle == RLE
    assert prompts[1].points == (1, 1, 6, 6)
    again = import_files(
        studio, report.project_id, [tmp_path / "file.json"], as_=ImportedAs.PROMPTS
    )
    assert again.lines[0] == "0 of 4 annotations imported; 4 are here already (COCO JSON)."


def test_marks_are_no_annotations(studio: Studio, tmp_path: Path) -> None:
    content = document(
        annotation(prompt={"type": "polygon", "points": POLYGON}),
        annotation(id=2, prompt={"type": "point", "points": [20, 10]}),
        annotation(id=3, segmentation=RLE, prompt={"type": "mask", "positive": False}),
    )
    report = bring_in(studio, tmp_path, content)
    assert (report.annotations, report.total) == (1, 3)
    assert report.problems == (
        "2 times: it is a mark and no outline of an object; import it as prompts "
        "(first: an annotation on a.png).",
    )


def test_images_are_found_in_the_project_in_folders_and_in_archives(
    studio: Studio, tmp_path: Path
) -> None:
    project_id = studio.create_project("Images").id
    (known,) = studio.add_images(project_id, [("a.png", as_bytes(draw(SIZE)))]).added
    rows = [{"id": n, "file_name": f, "width": 40, "height": 30} for n, f in enumerate("abc", 1)]
    for row in rows:
        row["file_name"] = f"train/{row['file_name']}.jpg"
    content = document(
        *(annotation(id=n, image_id=n, segmentation=POLYGON) for n in (1, 2, 3)), images=rows
    )
    elsewhere = tmp_path / "elsewhere" / "deep"
    elsewhere.mkdir(parents=True)
    (elsewhere / "b.jpg").write_bytes(as_bytes(draw(SIZE, background=(9, 9, 9)), "JPEG"))
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("inside/labels.json", json.dumps(content))
        archive.writestr("inside/train/c.jpg", as_bytes(draw(SIZE, background=(0, 0, 99)), "JPEG"))
    report = import_files(
        studio, project_id, [tmp_path / "set.zip"], image_folders=[tmp_path / "elsewhere"]
    )
    assert (report.annotations, report.added_images, report.problems) == (3, 2, ())
    names = [image.file_name for image in studio.images(project_id)]
    assert names == ["a.png", "b.jpg", "c.jpg"]
    assert studio.counts(project_id)[known.id].shown == 1


def test_two_files_of_one_name_are_not_confused(studio: Studio, tmp_path: Path) -> None:
    for split, shade in (("train", 10), ("val", 200)):
        (tmp_path / split).mkdir()
        picture = as_bytes(draw(SIZE, background=(shade,) * 3))
        (tmp_path / split / "a.png").write_bytes(picture)
    content = document(annotation(segmentation=POLYGON))
    (tmp_path / "one.json").write_text(json.dumps(content))
    project_id = studio.create_project("Twice").id
    report = import_files(studio, project_id, [tmp_path])
    assert "found twice" in report.problems[0]
    content["images"][0]["file_name"] = "val/a.png"
    (tmp_path / "one.json").write_text(json.dumps(content))
    assert import_files(studio, project_id, [tmp_path]).is_lossless
    (image,) = studio.images(project_id)
    assert image.sha256 != ""
    assert studio.find_image(project_id, (tmp_path / "val/a.png").read_bytes()) == image


def test_images_are_found_where_their_paths_lead_from_the_file(
    studio: Studio, tmp_path: Path
) -> None:
    for place in ("deep/down", "other"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "deep/down/a.png").write_bytes(as_bytes(draw(SIZE)))
    (tmp_path / "other/a.png").write_bytes(as_bytes(draw(SIZE, background=(9, 9, 9))))
    image = {"id": 1, "file_name": "deep\\down/a.png"}
    content = document(annotation(segmentation=POLYGON), images=[image])
    (tmp_path / "file.json").write_text(json.dumps(content))
    project_id = studio.create_project("Deep").id
    assert import_files(studio, project_id, [tmp_path / "file.json"]).is_lossless
    assert studio.find_image(project_id, (tmp_path / "deep/down/a.png").read_bytes()) is not None


def test_an_archive_cannot_write_beside_its_folder(studio: Studio, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../../evil.json", json.dumps(document()))
    project_id = studio.create_project("Evil").id
    import_files(studio, project_id, [tmp_path / "evil.zip"])
    assert not (tmp_path.parent / "evil.json").exists()
    content = document(
        annotation(segmentation=POLYGON),
        images=[{"id": 1, "file_name": "../../../secret.png", "width": 40, "height": 30}],
    )
    (tmp_path.parent / "secret.png").write_bytes(as_bytes(draw(SIZE)))
    (tmp_path / "file.json").write_text(json.dumps(content))
    report = import_files(studio, project_id, [tmp_path / "file.json"])
    assert "not in the project and not found" in report.problems[0]


def test_files_of_one_name_are_not_taken_for_each_other(studio: Studio, tmp_path: Path) -> None:
    for folder, shade in (("one", 10), ("two", 200), ("copy", 10)):
        (tmp_path / folder).mkdir()
        picture = as_bytes(draw(SIZE, background=(shade,) * 3))
        (tmp_path / folder / "a.png").write_bytes(picture)
    (tmp_path / "one.json").write_text(json.dumps(document(annotation(segmentation=POLYGON))))
    project_id = studio.create_project("Several").id
    one, two, copy = (tmp_path / folder / "a.png" for folder in ("one", "two", "copy"))
    with pytest.raises(InvalidData, match=r"a\.png comes twice, with different contents"):
        import_files(studio, project_id, [tmp_path / "one.json", one, two])
    assert studio.images(project_id) == []
    assert import_files(studio, project_id, [tmp_path / "one.json", one, copy]).is_lossless


def test_archives_are_laid_over_each_other(studio: Studio, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "labels.zip", "w") as archive:
        content = document(annotation(segmentation=POLYGON))
        archive.writestr("set/labels.json", json.dumps(content))
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        archive.writestr("set/a.png", as_bytes(draw(SIZE)))
    project_id = studio.create_project("Two archives").id
    sources = [tmp_path / "labels.zip", tmp_path / "images.zip"]
    assert import_files(studio, project_id, sources).annotations == 1


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_file_where_another_source_has_a_folder_is_refused(
    studio: Studio, tmp_path: Path, order: tuple[int, int]
) -> None:
    sources = [tmp_path / "file.zip", tmp_path / "folder.zip"]
    for path, name in zip(sources, ("set/labels", "set/labels/a.json"), strict=True):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, json.dumps(document()))
    project_id = studio.create_project("At odds").id
    with pytest.raises(InvalidData, match="set/labels comes twice, with different contents"):
        import_files(studio, project_id, [sources[number] for number in order])


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_archive_is_refused(studio: Studio, tmp_path: Path, compression: int) -> None:
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("labels.json", json.dumps(document(annotation(segmentation=POLYGON))))
    content = bytearray(path.read_bytes())
    content[45:75] = bytes(30)
    path.write_bytes(content)
    project_id = studio.create_project("Damaged").id
    with pytest.raises(InvalidData, match=r"set\.zip cannot be unpacked .* Unpack it"):
        import_files(studio, project_id, [path])
