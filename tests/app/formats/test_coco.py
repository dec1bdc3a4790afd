"""What leaves the application loads in pycocotools and is exactly what is shown."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from app.project import InstanceStatus, NotFound, StoredInstance
from dinov.masks import decode_rle, encode_rle, mask_iou, rle_area, rle_box_xyxy
from dinov.types import Rle
from tests.app.conftest import as_bytes, decide, draw

RED = (220, 20, 20)


def export(studio, project_id: str, path: Path, **options):
    report = studio.export_coco(project_id, path, **options)
    document = json.loads(path.read_text(encoding="utf-8"))
    with contextlib.redirect_stdout(io.StringIO()):
        loaded = COCO(str(path))
    return report, document, loaded


def put(studio, image, category_id: int, masks) -> None:
    """Store masks as the results of an image."""
    store = studio._store
    run_id = store.add_run(image.project_id, checkpoint="lite", fingerprint="f", prompt_ids={})
    rles = [encode_rle(mask) for mask in masks]
    instances = [
        StoredInstance(
            0, image.id, category_id, run_id, rle, None, rle_box_xyxy(rle), rle_area(rle),
            0.9, InstanceStatus.PROPOSED,
        )
        for rle in rles
    ]  # fmt: skip
    store.replace_proposals(image.id, run_id, "key", instances)


def difficult_masks() -> dict[str, np.ndarray]:
    rows, columns = np.mgrid[:60, :80]
    distance = np.hypot(rows - 30, columns - 40)
    parts = np.zeros((60, 80), np.bool_)
    parts[5:10, 5:10] = parts[5:10, 60:70] = parts[50:55, 5:10] = parts[50:59, 70:79] = True
    single = np.zeros_like(parts)
    single[17, 23] = True
    border = np.zeros_like(parts)
    border[:, :12] = border[:9] = True
    return {
        "donut": (distance < 20) & (distance > 10),
        "four parts": parts,
        "one pixel": single,
        "border": border,
        "block": (rows < 10) & (columns < 10),
        "everything": np.ones_like(parts),
    }


def test_a_segmented_project_loads_and_overlaps_itself(marked, tmp_path):
    found = marked.studio.segment_now(marked.id)
    report, document, loaded = export(marked.studio, marked.id, tmp_path / "out.json")
    assert report.annotations == sum(found.values()) == len(loaded.anns) == 2
    assert report.images == len(loaded.imgs) == 3
    assert report.dropped == report.renamed == ()
    assert [category["name"] for category in loaded.loadCats(loaded.getCatIds())] == ["red"]
    for annotation in document["annotations"]:
        assert annotation["image_id"] == marked.target.id
        assert annotation["iscrowd"] == 0
        assert annotation["score"] == annotation["attributes"]["score"] == 0.9
        assert annotation["area"] == loaded.annToMask(annotation).sum() == 400
    assert document["info"]["score_threshold"] == 0.4
    assert document["info"]["model"] == "color-1-64"
    assert document["info"]["checkpoint_sha256"] == "c0" * 32
    assert document["licenses"]


def test_what_the_slider_shows_is_what_is_exported(marked, tmp_path):
    studio, path = marked.studio, tmp_path / "out.json"
    studio.segment_now(marked.id)
    first, second, small = (i["id"] for i in studio.results(marked.target.id)["instances"])
    studio.set_score_threshold(marked.id, 0.1)
    decide(studio, first, "rejected")
    assert set(export(studio, marked.id, path)[2].anns) == {second, small}
    studio.set_score_threshold(marked.id, 0.5)
    assert set(export(studio, marked.id, path)[2].anns) == {second}
    assert set(export(studio, marked.id, path, score_threshold=0.1)[2].anns) == {second, small}
    decide(studio, small)
    assert set(export(studio, marked.id, path)[2].anns) == {second, small}
    shown = studio.counts(marked.id)[marked.target.id].shown
    assert shown == 2


def test_difficult_masks_keep_their_shape(marked, tmp_path):
    masks = difficult_masks()
    put(marked.studio, marked.target, marked.red.id, masks.values())
    marked.studio.set_score_threshold(marked.id, 0.5)
    report, document, loaded = export(marked.studio, marked.id, tmp_path / "out.json")
    assert report.annotations == len(masks)
    for (name, mask), annotation in zip(masks.items(), document["annotations"], strict=True):
        assert mask_iou(loaded.annToMask(annotation).astype(bool), mask) >= 0.99, name
        assert annotation["area"] == mask.sum(), name
        x, y, width, height = annotation["bbox"]
        rows, columns = np.nonzero(mask)
        assert (x, y) == (columns.min(), rows.min()), name
        assert (x + width, y + height) == (columns.max() + 1, rows.max() + 1), name
        is_rle = isinstance(annotation["segmentation"], dict)
        assert is_rle == (name == "donut")
        if is_rle:
            assert decode_rle(Rle(annotation["segmentation"])).sum() == mask.sum()
    block = document["annotations"][list(masks).index("block")]["segmentation"]
    assert sorted(set(block[0])) == [0, 10]


def test_the_export_has_full_precision_against_itself(marked, tmp_path):
    masks = [mask for name, mask in difficult_masks().items() if name != "everything"]
    put(marked.studio, marked.target, marked.red.id, masks)
    marked.studio.set_score_threshold(marked.id, 0.5)
    _, document, truth = export(marked.studio, marked.id, tmp_path / "out.json")
    with contextlib.redirect_stdout(io.StringIO()):
        results = truth.loadRes(
            [
                {
                    "image_id": a["image_id"],
                    "category_id": a["category_id"],
                    "segmentation": truth.annToRLE(a),
                    "score": a["score"],
                }
                for a in document["annotations"]
            ]
        )
        evaluation = COCOeval(truth, results, "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1.0)


def test_ids_stay_and_categories_are_numbered_from_one(marked, tmp_path):
    studio = marked.studio
    studio.add_category(marked.id, "to go")
    studio.add_prompt(marked.id, marked.reference.id, "Größe 猫", "point", [60, 20])
    studio.segment_now(marked.id)
    first = export(studio, marked.id, tmp_path / "a.json")[1]
    assert (tmp_path / "a.json").read_bytes() == studio.export_coco(
        marked.id, tmp_path / "b.json"
    ).path.read_bytes()
    assert [category["id"] for category in first["categories"]] == [1, 2, 3]
    assert "Größe 猫" in (tmp_path / "a.json").read_text(encoding="utf-8")
    # Removing an image and a category moves neither the ids of images nor of annotations.
    studio.remove_category(studio.categories(marked.id)[1].id)
    studio.remove_image(marked.empty.id)
    second = export(studio, marked.id, tmp_path / "c.json")[1]
    assert [c["id"] for c in second["categories"]] == [1, 2]
    assert [a["id"] for a in second["annotations"]] == [a["id"] for a in first["annotations"]]
    assert [i["id"] for i in second["images"]] == [marked.reference.id, marked.target.id]
    assert min(i["id"] for i in first["images"] + first["annotations"]) >= 1


def test_rotated_photos_unicode_names_and_equal_stems(studio, tmp_path):
    project = studio.create_project("Namen & 名前")
    portrait = draw((40, 90), patches=[(8, 2, 32, 30, RED)])
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    files = [
        ("Käfer.jpg", as_bytes(portrait, "JPEG", quality=95, subsampling=0, exif=exif)),
        ("same.png", as_bytes(draw((10, 10)))),
        ("same.jpg", as_bytes(draw((11, 11)), "JPEG")),
    ]
    rotated, *_ = studio.add_images(project.id, files).added
    assert (rotated.width, rotated.height) == (40, 90)
    # Upright, the patch lies at the top right.
    studio.add_prompt(project.id, rotated.id, "Fleck", "point", [37, 9])
    studio.segment_now(project.id, [rotated.id], score_threshold=0.5)
    report, document, loaded = export(studio, project.id, tmp_path / "out.json")
    names = [image["file_name"] for image in document["images"]]
    assert names[0] == "Käfer.jpg"
    assert len({Path(name).stem for name in names}) == 3
    assert report.renamed
    mask = loaded.annToMask(document["annotations"][0])
    assert mask.shape == (90, 40)
    truth = np.zeros_like(mask, np.bool_)
    truth[8:32, 10:38] = True
    assert mask_iou(mask.astype(np.bool_), truth) > 0.95


def test_a_project_without_results_is_exported_too(marked, tmp_path):
    report, document, _ = export(marked.studio, marked.id, tmp_path / "out.json")
    assert (report.images, report.annotations, document["annotations"]) == (3, 0, [])


def test_a_failed_export_leaves_the_old_file(marked, tmp_path):
    path = tmp_path / "out.json"
    path.write_text("old")
    with pytest.raises(NotFound):
        marked.studio.export_coco("gone", path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        marked.studio.export_coco(marked.id, tmp_path / "folder")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["out.json"]
