from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from dinov import coco, masks
from dinov.coco import CocoAnnotation, CocoImage
from dinov.errors import InvalidPrompt
from dinov.types import Category, Mask

SIZE = (30, 40)
CATEGORIES = [Category(7, " Birke ", "#00ff00"), Category(3, "鳥", supercategory=" ")]


def block(top: int, left: int, bottom: int, right: int) -> Mask:
    mask = np.zeros(SIZE, np.bool_)
    mask[top:bottom, left:right] = True
    return mask


SHAPES = {
    "block": block(2, 3, 12, 13),
    "donut": block(5, 5, 25, 25) & ~block(10, 10, 20, 20),
    "four parts": block(0, 0, 4, 4) | block(0, 9, 4, 13) | block(9, 0, 13, 4) | block(9, 9, 13, 13),
    "one pixel": block(4, 4, 5, 5),
    "whole image": block(0, 0, 30, 40),
    "touching corners": block(0, 0, 5, 5) | block(5, 5, 10, 10),
}


def example(encoding: coco.Encoding = "auto") -> coco.CocoExport:
    images = [CocoImage(2, "b/größe.jpg", 40, 30), CocoImage(1, "empty.png", 40, 30)]
    annotations = [
        CocoAnnotation(number, 2, 7 if number % 2 else 3, masks.encode_rle(mask), 0.1 * number)
        for number, mask in enumerate(SHAPES.values(), start=1)
    ]
    return coco.build(
        images, CATEGORIES, annotations[::-1], info={"checkpoint": "lite"}, encoding=encoding
    )


def loaded(tmp_path: Path, document: dict[str, Any]) -> COCO:
    return COCO(str(coco.write(document, tmp_path / "out.json")))


@pytest.mark.parametrize("encoding", ["auto", "polygon", "rle"])
def test_pycocotools_reads_back_every_mask_exactly(tmp_path: Path, encoding: coco.Encoding) -> None:
    api = loaded(tmp_path, example(encoding).document)
    for number, mask in enumerate(SHAPES.values(), start=1):
        annotation = api.anns[number]
        np.testing.assert_array_equal(api.annToMask(annotation), mask)
        rows, columns = np.nonzero(mask)
        left, top, width, height = annotation["bbox"]
        assert (left, top) == (columns.min(), rows.min())
        assert (left + width, top + height) == (columns.max() + 1, rows.max() + 1)
        assert annotation["area"] == mask.sum()
        assert annotation["iscrowd"] == 0
        assert annotation["score"] == annotation["attributes"]["score"] == round(0.1 * number, 6)


def test_the_encoding_follows_the_choice() -> None:
    def kinds(encoding: coco.Encoding) -> list[type]:
        return [type(row["segmentation"]) for row in example(encoding).document["annotations"]]

    assert kinds("rle") == [dict] * len(SHAPES)
    assert kinds("polygon") == [list] * len(SHAPES)
    assert kinds("auto") == [dict if name == "donut" else list for name in SHAPES]


def test_a_mask_that_polygons_would_change_is_written_as_rle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(masks, "polygons_of", lambda *_, **__: [[0, 0, 9, 0, 9, 9, 0, 9]])
    assert isinstance(coco.segmentation_of(masks.encode_rle(block(0, 0, 10, 10))), dict)


@pytest.mark.parametrize("encoding", ["auto", "polygon", "rle"])
def test_the_document_evaluates_perfectly_against_itself(
    tmp_path: Path, encoding: coco.Encoding
) -> None:
    api = loaded(tmp_path, example(encoding).document)
    evaluation = COCOeval(api, api.loadRes(api.dataset["annotations"]), "segm")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1.0)


def test_ids_names_and_order() -> None:
    document = example().document
    assert [image["id"] for image in document["images"]] == [1, 2]
    assert document["images"][1]["file_name"] == "b/größe.jpg"
    assert [row["id"] for row in document["annotations"]] == [1, 2, 3, 4, 5, 6]
    assert [(c["id"], c["name"]) for c in document["categories"]] == [(1, "Birke"), (2, "鳥")]
    assert all(category["supercategory"] == "object" for category in document["categories"])
    assert [row["category_id"] for row in document["annotations"]] == [1, 2, 1, 2, 1, 2]
    assert document["licenses"]
    assert document["info"]["checkpoint"] == "lite"
    assert "EXIF" in document["info"]["pixels"]


def test_equal_input_gives_equal_files_of_plain_json(tmp_path: Path) -> None:
    first = coco.write(example().document, tmp_path / "new" / "a.json").read_bytes()
    second = coco.write(example().document, tmp_path / "b.json").read_bytes()
    assert first == second
    assert json.loads(first.decode("utf-8")) == example().document
    assert "größe" in first.decode("utf-8")


def test_empty_masks_are_reported_and_left_out() -> None:
    empty = CocoAnnotation(5, 1, 7, masks.encode_rle(np.zeros(SIZE, np.bool_)))
    export = coco.build([CocoImage(1, "a.jpg", 40, 30)], CATEGORIES, [empty])
    assert export.document["annotations"] == []
    assert len(export.dropped) == 1
    assert "a.jpg" in export.dropped[0]


def test_confusable_names_are_made_different_and_reported() -> None:
    names = ["a.jpg", "a.png", "sub/a.jpg", "a.jpg", "a-4.jpg", "v1.2.jpg", "v1.3.jpg"]
    images = [CocoImage(number, name, 40, 30) for number, name in enumerate(names, start=1)]
    export = coco.build(images, [Category(1, "cat"), Category(2, "cat "), Category(3, " ")], [])
    written = [image["file_name"] for image in export.document["images"]]
    assert written == [
        "a.jpg",
        "a-2.png",
        "sub/a.jpg",
        "a-4.jpg",
        "a-4-5.jpg",
        "v1.2.jpg",
        "v1.3.jpg",
    ]
    assert [c["name"] for c in export.document["categories"]] == ["cat", "cat (2)", "category 3"]
    assert len(export.renamed) == 5


@pytest.mark.parametrize("names", [("A.jpg", "a.png"), ("in/é.jpg", "IN/E\u0301.jpg")])
def test_files_are_told_apart_also_where_disks_do_not_tell_capitals(names: tuple[str, str]) -> None:
    images = [CocoImage(number, name, 40, 30) for number, name in enumerate(names, start=1)]
    written, renamed = coco.distinct_file_names(images)
    first, second = (PurePosixPath(name) for name in names)
    assert written == {1: str(first), 2: str(second.with_stem(f"{second.stem}-2"))}
    assert len(renamed) == 1


@pytest.mark.parametrize(
    ("images", "annotations"),
    [
        ([CocoImage(0, "a.jpg", 40, 30)], []),
        ([CocoImage(1, "a.jpg", 40, 30), CocoImage(1, "b.jpg", 40, 30)], []),
        ([CocoImage(np.int64(1), "a.jpg", 40, 30)], []),  # type: ignore[arg-type]
        ([], [CocoAnnotation(1, 1, 7, masks.encode_rle(block(0, 0, 5, 5)))]),
        (
            [CocoImage(1, "a.jpg", 40, 30)],
            [CocoAnnotation(1, 1, 99, masks.encode_rle(block(0, 0, 5, 5)))],
        ),
        (
            [CocoImage(1, "a.jpg", 30, 40)],
            [CocoAnnotation(1, 1, 7, masks.encode_rle(block(0, 0, 5, 5)))],
        ),
    ],
)
def test_documents_that_readers_misread_are_refused(
    images: list[CocoImage], annotations: list[CocoAnnotation]
) -> None:
    with pytest.raises(ValueError, match=r"id|image|category|size"):
        coco.build(images, CATEGORIES, annotations)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = coco.write({"info": {}}, tmp_path / "out.json")
    with pytest.raises(ValueError, match="JSON"):
        coco.write({"info": {"score": float("nan")}}, path)
    assert json.loads(path.read_text()) == {"info": {}}
    assert list(tmp_path.iterdir()) == [path]


def test_every_form_of_a_segmentation_is_read() -> None:
    drawn = block(2, 3, 12, 13)
    rle = masks.encode_rle(drawn)
    plain = [3 * 30 + 2, *[10, 20] * 9, 10, 40 * 30 - 12 * 30 - 12]
    polygon = [3, 2, 13, 2, 13, 12, 3, 12]
    for segmentation in (
        polygon,
        [polygon],
        rle,
        {"size": [30, 40], "counts": rle["counts"].encode()},
        {"size": [30, 40], "counts": plain},
    ):
        assert coco.rle_of_segmentation(segmentation, SIZE) == rle


@pytest.mark.parametrize(
    "segmentation",
    [
        [],
        None,
        "text",
        {"size": [30, 40]},
        {"size": [40, 30], "counts": [1200]},
        {"size": [30, 40], "counts": [1201]},
        {"size": [30, 40], "counts": [1300, -100]},
        {"size": [30, 40], "counts": "11"},
        [[1, 2, 3, 4]],
    ],
)
def test_other_segmentations_are_refused(segmentation: object) -> None:
    with pytest.raises((ValueError, InvalidPrompt)):
        coco.rle_of_segmentation(segmentation, SIZE)
