"""Files of the other formats as other programs write them, and what is wrong with some."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from app.formats import labelme, panoptic, png_masks, recognise, voc, yolo
from app.formats.dataset import Reading
from app.formats.pictures import Picture, Pictures, files_below
from app.project import InvalidData
from app.provenance import Brought
from dinov.masks import decode_rle
from dinov.types import Mask, PromptType
from tests.app.conftest import as_bytes, draw
from tests.app.formats.conftest import blocks

SIZE = (30, 40)
BLOCK = blocks(SIZE, (10, 5, 30, 15))
POLYGON = "0.25 0.166667 0.75 0.166667 0.75 0.5 0.25 0.5"
KNOWN = Pictures([Picture("photo.v1.jpg", Path(), SIZE, 1)])


def put(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def put_png(path: Path, pixels: np.ndarray) -> Path:
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "PNG")
    return put(path, buffer.getvalue())


def objects(reading: Reading) -> list[tuple[str, Mask]]:
    names = {category.id: category.name for category in reading.dataset.categories}
    return [(names[one.category_id], decode_rle(one.rle)) for one in reading.dataset.annotations]


# YOLO


def yolo_folder(folder: Path, label: str, names: str = "names: [cat, 'a: dog']") -> Path:
    put(folder / "data.yaml", names)
    put(folder / "labels/train/photo.v1.txt", label)
    return folder


@pytest.mark.parametrize("names", ["names: [cat, dog]", "names: {0: cat, 1: dog}", "nc: 2"])
def test_yolo_names_come_from_the_yaml_file_or_a_list(tmp_path: Path, names: str) -> None:
    folder = yolo_folder(tmp_path, f"1 {POLYGON}\n\n", names)
    put(folder / "classes.txt", "cat\ndog\n")
    assert recognise(folder).title == "YOLO segmentation"
    ((name, mask),) = objects(yolo.read(folder, KNOWN))
    assert name == "dog"
    np.testing.assert_array_equal(mask, BLOCK)


def test_yaml_files_that_name_other_things_are_passed_over(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path, f"0 {POLYGON}", "names: {first: Ann, last: Lee}")
    assert not yolo.recognises(folder)
    put(folder / "more/real.yaml", "names: {0: cat}")
    assert [name for name, _ in objects(yolo.read(folder, KNOWN))] == ["cat"]


def test_yolo_boxes_scores_and_bad_lines(tmp_path: Path) -> None:
    lines = [
        "0 0.5 0.333333 0.5 0.333333",  # a box
        "0 0.5 0.333333 0.5 0.333333 0.75",  # a box with its score
        f"1 {POLYGON} 0.5",
        "7 0.1 0.1 0.2 0.1 0.2 0.2",
        "0 0.1 0.1",
        "cat 0.1 0.1 0.2 0.2 0.3 0.3",
        "0 nan 0.1 0.2 0.1 0.2 0.2",
    ]
    reading = yolo.read(yolo_folder(tmp_path, "\n".join(lines)), KNOWN)
    assert reading.total == 7
    assert [name for name, _ in objects(reading)] == ["cat", "cat", "a: dog", "category 7"]
    assert [one.score for one in reading.dataset.annotations] == [None, 0.75, 0.5, None]
    assert [mark.type for mark in reading.marks.values()] == [PromptType.BOX] * 2
    assert len(reading.problems) == 3
    assert all("photo.v1.txt" in line for line in reading.problems)


def test_yolo_without_its_images_says_so(tmp_path: Path) -> None:
    reading = yolo.read(yolo_folder(tmp_path, f"0 {POLYGON}"), Pictures())
    assert (reading.total, reading.dataset.annotations) == (1, ())
    assert "size of the image is not known" in reading.problems[0]


def test_yolo_images_without_a_label_file_have_no_objects(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path, f"0 {POLYGON}")
    put(folder / "images/train/photo.v1.png", as_bytes(draw(SIZE)))
    put(folder / "images/val/nothing.png", as_bytes(draw((5, 6))))
    reading = yolo.read(folder, Pictures(files_below([folder])))
    assert {image.file_name: image.height for image in reading.dataset.images} == {
        "images/train/photo.v1.png": 30,
        "images/val/nothing.png": 5,
    }


# Pascal VOC

VOC = """<annotation><filename>photo.v1.jpg</filename>{size}
<object><name>cat</name><bndbox><xmin>11</xmin><ymin>6</ymin><xmax>30</xmax><ymax>15</ymax></bndbox>
</object>{more}</annotation>"""
VOC_SIZE = "<size><width>40</width><height>30</height><depth>3</depth></size>"


@pytest.mark.parametrize("size", [VOC_SIZE, "", "<size><width>0</width><height>x</height></size>"])
def test_voc_boxes_without_masks(tmp_path: Path, size: str) -> None:
    put(tmp_path / "VOC/Annotations/photo.v1.xml", VOC.format(size=size, more=""))
    reading = recognise(tmp_path).read(tmp_path, KNOWN)
    ((name, mask),) = objects(reading)
    assert name == "cat"
    np.testing.assert_array_equal(mask, BLOCK)
    assert reading.marks[1].points == (10, 5, 30, 15)
    assert "box only" in reading.notes[0]


@pytest.mark.parametrize("stated", ["/home/ann/photo.v1.jpg", r"C:\ann\photo.v1.jpg", ""])
def test_voc_files_may_name_a_path_or_nothing(tmp_path: Path, stated: str) -> None:
    content = VOC.format(size=VOC_SIZE, more="").replace("photo.v1.jpg", stated)
    put(tmp_path / "VOC/Annotations/photo.v1.xml", content)
    reading = voc.read(tmp_path, KNOWN)
    assert len(reading.dataset.annotations) == 1
    assert KNOWN.find(reading.dataset.images[0].file_name) is not None


def test_voc_masks_with_void_and_objects_that_have_none(tmp_path: Path) -> None:
    more = "<object><name>dog</name></object>"
    put(tmp_path / "Annotations/photo.v1.xml", VOC.format(size=VOC_SIZE, more=more))
    labels = np.where(BLOCK, 1, 255).astype(np.uint8)
    put_png(tmp_path / "SegmentationObject/photo.v1.png", labels)
    reading = voc.read(tmp_path, KNOWN)
    ((name, mask),) = objects(reading)
    np.testing.assert_array_equal(mask, BLOCK)
    assert (name, reading.total) == ("cat", 2)
    assert reading.problems[0].startswith("object 2 on photo.v1.jpg: its box cannot be read")


ENTITY = '<!DOCTYPE a [<!ENTITY b "c">]><annotation/>'


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("<annotation>", "no element found"),
        (ENTITY, "defines entities"),
        (ENTITY.encode("utf-16"), "defines entities"),
        (b'<?xml version="1.0" encoding="gbk"?><annotation/>', "multi-byte encodings"),
        (b'<?xml version="1.0" encoding="none"?><annotation/>', "unknown encoding"),
    ],
)
def test_voc_files_that_cannot_be_read_are_named(
    tmp_path: Path, content: str | bytes, reason: str
) -> None:
    put(tmp_path / "Annotations/bad.xml", content)
    put(tmp_path / "Annotations/photo.v1.xml", VOC.format(size=VOC_SIZE, more=""))
    reading = voc.read(tmp_path, KNOWN)
    assert len(reading.dataset.annotations) == 1
    assert len(reading.problems) == 1
    assert "bad.xml" in reading.problems[0]
    assert reason in reading.problems[0]


# LabelMe


def labelme_file(folder: Path, *shapes: Any, **fields: Any) -> Path:
    content = {"imagePath": "photo.v1.jpg", "imageData": None, "shapes": list(shapes)} | fields
    return put(folder / "photo.v1.json", json.dumps(content))


def shape(kind: str, *points: tuple[float, float], **fields: Any) -> dict[str, Any]:
    return {"label": "leaf", "shape_type": kind, "points": points, "group_id": None} | fields


def test_labelme_shapes_of_every_kind(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    PIL.Image.fromarray(BLOCK[5:15, 10:30].astype(np.uint8) * 255).save(buffer, "PNG")
    encoded = base64.b64encode(buffer.getvalue()).decode()
    path = labelme_file(
        tmp_path,
        shape("polygon", (10, 5), (30, 5), (30, 15), (10, 15)),
        shape("rectangle", (30, 15), (10, 5)),
        shape("mask", (10, 5), (29, 14), mask=encoded),
        shape("polygon", (10, 5), (20, 5), (20, 15), (10, 15), group_id=3),
        shape("polygon", (20, 5), (30, 5), (30, 15), (20, 15), group_id=3),
        shape("circle", (20, 15), (20, 25), label="disc"),
        imageHeight=30,
        imageWidth=40,
    )
    assert recognise(path).title == "LabelMe"
    reading = labelme.read(path, Pictures())
    assert (reading.total, reading.problems) == (5, ())
    *same, (name, disc) = objects(reading)
    assert len(same) == 4
    for _, mask in same:
        np.testing.assert_array_equal(mask, BLOCK)
    assert name == "disc"
    assert disc.sum() == pytest.approx(np.pi * 100, rel=0.03)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (shape("point", (1, 1)), "a point has no area"),
        (shape("linestrip", (1, 1), (2, 2)), "a linestrip has no area"),
        (shape("star", (1, 1)), "'star' are not known here"),
        (shape("polygon", (1, 1), (2, 2)), "at least three points"),
        (shape("rectangle", (1, 1)), "a shape cannot be read"),
        (shape("mask", (10, 5), (29, 14), mask="!"), "its mask is damaged"),
        ({"points": []}, "it cannot be understood"),
    ],
)
def test_labelme_shapes_that_cannot_be_used_are_named(
    tmp_path: Path, bad: dict[str, Any], reason: str
) -> None:
    good = shape("polygon", (10, 5), (30, 5), (30, 15), (10, 15))
    reading = labelme.read(labelme_file(tmp_path, good, bad), KNOWN)
    assert (len(reading.dataset.annotations), reading.total) == (1, 2)
    assert len(reading.problems) == 1
    assert reason in reading.problems[0]


def test_labelme_shapes_may_be_called_by_numbers_and_stay_without_a_score(tmp_path: Path) -> None:
    square = shape("polygon", (10, 5), (30, 5), (30, 15), (10, 15), label=7, score="high")
    reading = labelme.read(labelme_file(tmp_path, square), KNOWN)
    assert [name for name, _ in objects(reading)] == ["7"]
    assert reading.problems == ()
    assert reading.notes == ("shape 1 on photo.v1.jpg: its score cannot be read, and is left out.",)


def test_a_labelme_mask_beyond_the_image_is_named(tmp_path: Path) -> None:
    encoded = base64.b64encode(as_bytes(draw((10, 10)))).decode()
    reading = labelme.read(labelme_file(tmp_path, shape("mask", (35, 5), mask=encoded)), KNOWN)
    assert "reaches beyond the image" in reading.problems[0]


# Panoptic and PNG masks


def panoptic_folder(folder: Path, *segments: dict[str, Any], number: int = 70_000) -> Path:
    content = {
        "images": [{"id": 5, "file_name": "photo.v1.jpg"}],
        "categories": [{"id": 1, "name": "sky", "isthing": 0, "color": [0, 128, 255]}],
        "annotations": [
            {"image_id": 5, "file_name": "photo.v1.png", "segments_info": list(segments)}
        ],
    }
    labels = np.where(BLOCK, number, 0)
    digits = np.stack([labels >> shift & 255 for shift in (0, 8, 16)], axis=-1)
    put_png(folder / "panoptic_val/photo.v1.png", digits.astype(np.uint8))
    return put(folder / "panoptic_val.json", json.dumps(content))


def test_panoptic_segments_have_large_numbers(tmp_path: Path) -> None:
    path = panoptic_folder(
        tmp_path,
        {"id": 70_000, "category_id": 1, "iscrowd": 1},
        {"id": 3, "category_id": 1},
        {"id": 70_000, "category_id": 9},
    )
    assert recognise(tmp_path).title == "COCO panoptic"
    reading = panoptic.read(path, Pictures())
    assert [name for name, _ in objects(reading)] == ["sky", "category 9"]
    np.testing.assert_array_equal(objects(reading)[0][1], BLOCK)
    sky = reading.dataset.categories[0]
    assert (sky.is_thing, sky.color) == (False, "#0080ff")
    assert reading.dataset.images[0].file_name == "photo.v1.jpg"
    assert reading.problems == ("segment 3 on photo.v1.jpg: no pixel has its number.",)
    assert len(reading.notes) == 2


def test_panoptic_without_its_picture_says_so(tmp_path: Path) -> None:
    path = panoptic_folder(tmp_path, {"id": 1, "category_id": 1})
    (tmp_path / "panoptic_val/photo.v1.png").unlink()
    reading = panoptic.read(path, Pictures())
    assert reading.problems == ("image 5: photo.v1.png is not beside the JSON file.",)
    with pytest.raises(InvalidData, match="holds no COCO panoptic"):
        panoptic.read(put(tmp_path / "other.json", "{}"), Pictures())


def test_semantic_masks_alone_give_connected_parts(tmp_path: Path) -> None:
    labels = np.zeros(SIZE, np.uint8)
    labels[2:5, 2:5] = labels[20:25, 2:5] = 1
    labels[2:5, 20:25] = 2
    labels[10:12, 10:12] = 9
    put(tmp_path / "categories.txt", "cat\ndog\n")
    put_png(tmp_path / "semantic/photo.v1.png", labels)
    reading = png_masks.read(tmp_path, KNOWN)
    names = [name for name, _ in objects(reading)]
    assert sorted(names) == ["cat", "cat", "category 9", "dog"]
    assert reading.dataset.images[0].file_name == "photo.v1.jpg"
    assert "every connected part is one" in reading.notes[0]


def test_png_masks_that_do_not_fit_are_named(tmp_path: Path) -> None:
    put(tmp_path / "categories.txt", "cat\n")
    one = BLOCK.astype(np.uint8)
    put_png(tmp_path / "instances/alone.png", one)
    put_png(tmp_path / "instances/size.png", one)
    put_png(tmp_path / "semantic/size.png", one[:10])
    put_png(tmp_path / "semantic/colour.png", draw(SIZE))
    put(tmp_path / "semantic/broken.png", b"no picture")
    put_png(tmp_path / "instances/nothing.png", one)
    put_png(tmp_path / "semantic/nothing.png", np.zeros_like(one))
    reading = png_masks.read(tmp_path, Pictures())
    assert reading.dataset.annotations == ()
    assert len(reading.problems) == 5


def test_more_objects_than_a_palette_has_colours(tmp_path: Path, studio) -> None:
    from dinov.masks import encode_rle, rle_area, rle_box_xyxy
    from dinov.types import Instance

    project_id = studio.create_project("Many").id
    (image,) = studio.add_images(project_id, [("many.png", as_bytes(draw((20, 20))))]).added
    category = studio.add_category(project_id, "dot")
    rles = [
        encode_rle(blocks((20, 20), (n % 20, n // 20, n % 20 + 1, n // 20 + 1))) for n in range(300)
    ]
    instances = [Brought(Instance(category.id, 1.0, r, rle_box_xyxy(r), rle_area(r))) for r in rles]
    studio.editing.add_annotations(project_id, "test", {image.id: instances})
    masks_report = studio.export(project_id, tmp_path / "png", format_name="png-masks")
    assert (masks_report.annotations, masks_report.is_lossless) == (300, True)
    assert len(png_masks.read(tmp_path / "png", Pictures()).dataset.annotations) == 300
    report = studio.export(project_id, tmp_path / "voc", format_name="voc")
    assert (report.annotations, report.total) == (254, 300)
    assert report.dropped[0].startswith("46 times: an image holds 254 objects and no more")
    for number in range(260):
        studio.add_category(project_id, f"category {number}")
    with pytest.raises(InvalidData, match="254 categories, and there are 261"):
        studio.export(project_id, tmp_path / "voc2", format_name="voc")
    assert not list(tmp_path.glob(".*"))
