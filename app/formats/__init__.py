"""The formats that a project can be written in and read from, one module each, and their table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from app.formats import coco, labelme, panoptic, png_masks, voc, yolo
from app.formats.dataset import Dataset, Reading, Written
from app.formats.pictures import Pictures
from app.project import InvalidData
from dinov.coco_presets import PRESETS


@dataclass(frozen=True)
class Format:
    """One way to write a data set to a folder, and to read it again.

    ``title`` names it for people, ``lacks`` says in a few words what it has no place for, and
    ``image_folder`` where in the folder its readers look for the images. Pictures in folders whose
    names begin as one of ``label_folders`` are no images.
    """

    title: str
    lacks: str
    image_folder: str
    write: Callable[[Dataset, Path], Written]
    read: Callable[[Path, Pictures], Reading]
    recognises: Callable[[Path], bool]
    label_folders: tuple[str, ...] = ()


def _coco(title: str, preset: str, lacks: str = "", image_folder: str = "images") -> Format:
    write = partial(coco.write, preset=PRESETS[preset])
    return Format(title, lacks, image_folder, write, coco.read, coco.recognises)


_NO_PROVENANCE = "ids, tracks, decisions"
_NO_OVERLAP = f"overlapping masks, scores, {_NO_PROVENANCE}"

# fmt: off
FORMATS: Mapping[str, Format] = {
    "coco": _coco("COCO JSON", "coco"),
    "label-studio": _coco("COCO JSON for Label Studio", "label-studio", "objects of several parts"),
    "x-anylabeling": _coco("COCO JSON for X-AnyLabeling", "x-anylabeling"),
    "cvat": _coco("COCO JSON for CVAT", "cvat"),
    "roboflow": _coco("COCO JSON for Roboflow", "roboflow", image_folder="train"),
    "isat": _coco("COCO JSON for ISAT", "isat"),
    "coco-panoptic": Format(
        "COCO panoptic", _NO_OVERLAP, "images",
        panoptic.write, panoptic.read, panoptic.recognises, ("panoptic",),
    ),
    "yolo": Format(
        "YOLO segmentation", f"scores, {_NO_PROVENANCE}", "images/train",
        yolo.write, yolo.read, yolo.recognises,
    ),
    "voc": Format(
        "Pascal VOC", _NO_OVERLAP, "JPEGImages",
        voc.write, voc.read, voc.recognises, ("SegmentationClass", "SegmentationObject"),
    ),
    "labelme": Format(
        "LabelMe", _NO_PROVENANCE, "",
        labelme.write, labelme.read, labelme.recognises,
    ),
    "png-masks": Format(
        "Indexed PNG masks", _NO_OVERLAP, "images",
        png_masks.write, png_masks.read, png_masks.recognises, ("instances", "semantic"),
    ),
}
# fmt: on
"""By the name that the command line and the page use."""


def recognise(path: Path) -> Format:
    """Return the format of a file or folder.

    Raises:
        InvalidData: if it is none of them.
    """
    # The presets read alike: the first of those that look for the same thing is tried.
    tried: set[Callable[[Path], bool]] = set()
    for format_ in FORMATS.values():
        if format_.recognises in tried:
            continue
        tried.add(format_.recognises)
        if format_.recognises(path):
            return format_
    raise InvalidData(
        f"{path.name} is in none of the known formats. Name the one that it is meant to be: "
        f"{', '.join(FORMATS)}."
    )
