"""Other programs' own libraries read what we write: every object, with its category and mask."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from app.exporting import export_project
from app.formats import FORMATS
from dinov.masks import mask_iou
from tests.app.formats.conftest import CATEGORIES, Difficult

SCRIPT = Path(__file__).with_name("read_with.py")
Objects = dict[str, list[tuple[str, np.ndarray]]]


def export(difficult: Difficult, folder: Path, format_name: str, **options: Any) -> None:
    studio = difficult.studio
    export_project(
        studio._store,
        studio._files,
        difficult.id,
        folder,
        format_name=format_name,
        with_images=True,
        **options,
    )


def ask(python: Path, reader: str, folder: Path) -> Any:
    done = subprocess.run(
        [python, SCRIPT, reader, folder], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def truth(difficult: Difficult) -> Objects:
    """What is in the project, under the names that the files have in the export."""
    stems = {image.id: Path(image.file_name).stem for image in difficult.images}
    second = next(image.id for image in difficult.images if image.file_name == "same.jpg")
    stems[second] = f"same-{second}"
    return {
        stems[image_id]: [(CATEGORIES[index % 2], mask) for index, mask in enumerate(masks)]
        for image_id, masks in difficult.masks.items()
    }


def seen(python: Path, reader: str, folder: Path, expected: Objects) -> Objects:
    shapes = {stem: masks[0][1].shape if masks else (60, 80) for stem, masks in expected.items()}
    return {
        stem: [(name, np.reshape(mask, shapes[stem]).astype(np.bool_)) for name, mask in objects]
        for stem, objects in ask(python, reader, folder).items()
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reader", "format_name", "options"),
    [
        ("hotcoco", "coco", {}),
        ("hotcoco", "coco", {"encoding": "polygon"}),
        # It draws polygons a pixel too wide on two sides, and takes RLE exactly.
        ("supervision", "coco", {"encoding": "rle"}),
        ("datumaro", "cvat", {}),
        ("datumaro_roboflow", "roboflow", {}),
        ("datumaro_panoptic", "coco-panoptic", {}),
        ("datumaro_voc", "voc", {}),
    ],
)
def test_a_reader_sees_every_object(
    difficult: Difficult,
    tmp_path: Path,
    readers_python: Path,
    reader: str,
    format_name: str,
    options: dict[str, Any],
) -> None:
    export(difficult, tmp_path / "out", format_name, **options)
    expected = truth(difficult)
    found = seen(readers_python, reader, tmp_path / "out", expected)
    assert set(found) == set(expected)
    for stem, objects in expected.items():
        assert len(found[stem]) == len(objects), stem
        for name, mask in objects:
            best = max(mask_iou(mask, other) for label, other in found[stem] if label == name)
            assert best >= 0.99, (stem, name)


@pytest.mark.slow
def test_label_studio_sees_every_part(
    difficult: Difficult, tmp_path: Path, readers_python: Path
) -> None:
    export(difficult, tmp_path / "out", "label-studio")
    expected = truth(difficult)
    found = seen(readers_python, "label_studio", tmp_path / "out", expected)
    assert set(found) == set(expected)
    for stem, objects in expected.items():
        for category in CATEGORIES:
            whole = [mask for name, mask in objects if name == category]
            parts = [mask for name, mask in found[stem] if name == category]
            assert len(parts) >= len(whole)
            if whole:
                assert mask_iou(np.logical_or.reduce(whole), np.logical_or.reduce(parts)) >= 0.99


@pytest.mark.slow
def test_supervision_sees_every_line_of_yolo(
    difficult: Difficult, tmp_path: Path, readers_python: Path
) -> None:
    export(difficult, tmp_path / "out", "yolo")
    expected = truth(difficult)
    found = seen(readers_python, "supervision_yolo", tmp_path / "out", expected)
    for stem, objects in expected.items():
        assert [name for name, _ in found[stem]] == [name for name, _ in objects]
        for (_, mask), (_, drawn) in zip(objects, found[stem], strict=True):
            # It draws the outline itself, too: nothing may be missing, and the hole must be there.
            assert not (mask & ~drawn).any()
    donut = found["shapes"][0][1]
    assert not donut[26:34, 36:44].any()


@pytest.mark.slow
def test_hotcoco_gives_an_export_full_precision_against_itself(
    difficult: Difficult, tmp_path: Path, readers_python: Path
) -> None:
    export(difficult, tmp_path / "out", "coco", results=tmp_path / "results.json")
    (tmp_path / "results.json").rename(tmp_path / "out" / "results.json")
    assert ask(readers_python, "self_precision", tmp_path / "out") == pytest.approx(1.0)


COCO_FILES = {
    "coco": "annotations.json",
    "label-studio": "annotations.json",
    "x-anylabeling": "annotations.json",
    "cvat": "annotations/instances_default.json",
    "roboflow": "train/_annotations.coco.json",
    "isat": "annotations.json",
}


@pytest.mark.parametrize("format_name", COCO_FILES)
def test_pycocotools_reads_every_preset_exactly(
    difficult: Difficult, tmp_path: Path, format_name: str
) -> None:
    export(difficult, tmp_path / "out", format_name, results=tmp_path / "results.json")
    loaded = COCO(str(tmp_path / "out" / COCO_FILES[format_name]))
    masks = [mask for group in difficult.masks.values() for mask in group]
    assert len(loaded.anns) == len(masks)
    for annotation, mask in zip(loaded.dataset["annotations"], masks, strict=True):
        np.testing.assert_array_equal(loaded.annToMask(annotation).astype(np.bool_), mask)
        assert annotation["area"] == mask.sum()
    assert {Path(i["file_name"]).stem for i in loaded.dataset["images"]} == set(truth(difficult))
    evaluation = COCOeval(loaded, loaded.loadRes(str(tmp_path / "results.json")), "segm")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1.0)


def test_each_preset_gives_its_reader_what_it_needs(difficult: Difficult, tmp_path: Path) -> None:
    documents = {}
    for name, file in COCO_FILES.items():
        export(difficult, tmp_path / name, name)
        documents[name] = json.loads((tmp_path / name / file).read_text("utf-8"))["annotations"]
    for name in ("label-studio", "x-anylabeling", "isat"):
        assert all(isinstance(row["segmentation"], list) for row in documents[name])
    assert all(isinstance(row["segmentation"], dict) for row in documents["cvat"])
    assert ["bbox" in rows[0] for rows in documents.values()] == [
        True,
        False,
        True,
        True,
        True,
        True,
    ]
    assert all(row["iscrowd"] is False for row in documents["isat"])
    assert all(row["iscrowd"] == 0 for rows in documents.values() for row in rows)
    classes = (tmp_path / "x-anylabeling/classes.txt").read_text("utf-8")
    assert classes.splitlines() == list(CATEGORIES)
    for name in COCO_FILES:
        folder = tmp_path / name / FORMATS[name].image_folder
        assert (folder / "Größe 猫.png").is_file()
