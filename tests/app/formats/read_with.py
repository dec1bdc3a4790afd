"""Reads an export with another program's library and prints, as JSON, what that library sees.

    python read_with.py READER FOLDER

Run by ``test_readers.py`` with the Python of ``.venv-readers``: the readers want versions of numpy
and OpenCV that ours need not put up with. Knows nothing of this project.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from pycocotools import mask as coco_mask

Seen = dict[str, list[tuple[str, Any]]]
"""By the name of an image without suffix: the category and the mask [H, W] of every object."""


def polygon_mask(polygons: list[list[float]], height: int, width: int) -> np.ndarray:
    encoded = coco_mask.frPyObjects(polygons, height, width)
    return coco_mask.decode(coco_mask.merge(encoded)).astype(bool)


def with_hotcoco(folder: Path) -> Seen:
    from hotcoco import COCO

    coco = COCO(str(folder / "annotations.json"))
    names = {category["id"]: category["name"] for category in coco.loadCats(coco.getCatIds())}
    return {
        Path(image["file_name"]).stem: [
            (names[one["category_id"]], coco.annToMask(one))
            for one in coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]]))
        ]
        for image in coco.loadImgs(coco.getImgIds())
    }


def with_supervision(folder: Path) -> Seen:
    import supervision

    return _supervised(
        supervision.DetectionDataset.from_coco(
            str(folder / "images"), str(folder / "annotations.json"), force_masks=True
        )
    )


def with_supervision_yolo(folder: Path) -> Seen:
    import supervision

    return _supervised(
        supervision.DetectionDataset.from_yolo(
            str(folder / "images/train"),
            str(folder / "labels/train"),
            str(folder / "data.yaml"),
            force_masks=True,
        )
    )


def _supervised(dataset: Any) -> Seen:
    seen: Seen = {}
    for path, _, found in dataset:
        masks = [] if found.mask is None else list(found.mask)
        names = [] if found.class_id is None else [dataset.classes[i] for i in found.class_id]
        seen[Path(path).stem] = list(zip(names, masks, strict=True))
    return seen


def with_datumaro(folder: Path) -> Seen:
    return _datumaro(folder, "coco_instances")


def with_datumaro_roboflow(folder: Path) -> Seen:
    return _datumaro(folder, "roboflow_coco")


def with_datumaro_panoptic(folder: Path) -> Seen:
    return _datumaro(folder, "coco_panoptic")


def with_datumaro_voc(folder: Path) -> Seen:
    return _datumaro(folder, "voc_instance_segmentation")


def _datumaro(folder: Path, format_: str) -> Seen:
    import datumaro

    dataset = datumaro.Dataset.import_from(str(folder), format_)
    labels = dataset.categories()[datumaro.AnnotationType.label]
    seen: Seen = {}
    for item in dataset:
        height, width = item.media.size
        objects: dict[Any, tuple[str, list[np.ndarray]]] = {}
        for one in item.annotations:
            if one.type == datumaro.AnnotationType.polygon:
                mask = polygon_mask([list(one.points)], height, width)
            elif one.type == datumaro.AnnotationType.mask:
                mask = np.asarray(one.image).astype(bool)
            else:
                continue
            key = one.group or id(one)
            objects.setdefault(key, (labels[one.label].name, []))[1].append(mask)
        stem = Path(item.id).name
        seen[stem] = [(name, np.logical_or.reduce(parts)) for name, parts in objects.values()]
    return seen


def with_label_studio(folder: Path) -> Seen:
    from label_studio_sdk.converter.imports.coco import convert_coco_to_ls

    document = json.loads((folder / "annotations.json").read_text("utf-8"))
    sizes = {Path(i["file_name"]).stem: (i["height"], i["width"]) for i in document["images"]}
    with tempfile.TemporaryDirectory() as name:
        tasks_file = Path(name) / "tasks.json"
        convert_coco_to_ls(str(folder / "annotations.json"), str(tasks_file))
        tasks = json.loads(tasks_file.read_text("utf-8"))
    seen: Seen = {stem: [] for stem in sizes}
    for task in tasks:
        stem = Path(unquote(task["data"]["image"].split("?d=")[1])).stem
        height, width = sizes[stem]
        for region in task["annotations"][0]["result"]:
            assert region["type"] == "polygonlabels", region["type"]
            points = np.array(region["value"]["points"]) * [width / 100, height / 100]
            mask = polygon_mask([points.ravel().tolist()], height, width)
            seen[stem].append((region["value"]["polygonlabels"][0], mask))
    return seen


def self_precision(folder: Path) -> float:
    """The mask AP that hotcoco gives an export's results file against the export itself."""
    from hotcoco import COCO, COCOeval

    truth = COCO(str(folder / "annotations.json"))
    evaluation = COCOeval(truth, truth.loadRes(str(folder / "results.json")), "segm")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return float(evaluation.stats[0])


READERS: dict[str, Callable[[Path], Seen]] = {
    name.removeprefix("with_"): function
    for name, function in list(globals().items())
    if name.startswith("with_")
}


def main(reader: str, folder: Path) -> None:
    logging.disable(logging.CRITICAL)
    # What the libraries print is not our answer.
    with contextlib.redirect_stdout(io.StringIO()):
        if reader == "self_precision":
            answer: Any = self_precision(folder)
        else:
            answer = {
                stem: [
                    [name, np.asarray(mask).astype(int).ravel().tolist()] for name, mask in objects
                ]
                for stem, objects in READERS[reader](folder).items()
            }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
