"""What single readers need of COCO JSON, as small changes to what ``dinov.coco`` makes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dinov.coco import Encoding
from dinov.files import written_whole


@dataclass(frozen=True)
class Preset:
    """What a reader of COCO JSON needs.

    ``path`` is where it looks for the file. Without ``boxes`` there is no ``bbox``, where it would
    make a second object of it. ``lists_classes`` adds a ``classes.txt``.
    ``splits_parts``: it makes several objects of one that has several parts.
    """

    path: str = "annotations.json"
    encoding: Encoding = "auto"
    boxes: bool = True
    iscrowd: Literal[0] | bool = 0
    lists_classes: bool = False
    splits_parts: bool = False

    def fitted(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """An annotation, made with the preset's ``encoding``, as the reader takes it."""
        kept = {key: value for key, value in row.items() if self.boxes or key != "bbox"}
        return kept | {"iscrowd": self.iscrowd}

    def splits(self, row: Mapping[str, Any]) -> bool:
        """Whether the reader makes several objects of an annotation."""
        return self.splits_parts and len(row["segmentation"]) > 1

    def write_extras(self, folder: Path, names: Iterable[str]) -> None:
        """Write what the reader wants beside the document, whose categories have these names."""
        if self.lists_classes:
            with written_whole(folder / "classes.txt") as partial:
                partial.write_text("".join(f"{name}\n" for name in names), "utf-8")


PRESETS: Mapping[str, Preset] = {
    "coco": Preset(),
    # Every region is a bbox or a polygon there: with both, each object would come twice.
    "label-studio": Preset(encoding="polygon", boxes=False, splits_parts=True),
    "x-anylabeling": Preset(encoding="polygon", lists_classes=True),
    # A mask stays one shape in CVAT, where polygons of an object would be several.
    "cvat": Preset("annotations/instances_default.json", encoding="rle"),
    "roboflow": Preset("train/_annotations.coco.json"),
    "isat": Preset(encoding="polygon", iscrowd=False),
}
"""By the name that the command lines and the page use."""
