"""Pascal VOC: an XML file of boxes for each image, and two PNG files that say what each pixel is.

``SegmentationObject/`` numbers the objects of an image in the order of its XML file,
``SegmentationClass/`` the categories in the order of ``labelmap.txt``. Box corners are counted from
1 and belong to the box, as in the VOC devkit.

Cannot hold: masks that lie over each other (a pixel belongs to one object; the box stays), more
than 254 objects on an image or 254 categories, scores, ids, tracks and decisions.

Source: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/devkit_doc.html.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from xml.parsers import expat

import numpy as np

from app.formats.dataset import Dataset, Reader, Reading, Tally, Written
from app.formats.label_map import paint, parts_of, read_png, write_indexed_png
from app.formats.pictures import Pictures
from app.project import InvalidData
from dinov import masks
from dinov.coco import CocoAnnotation, CocoImage
from dinov.errors import InvalidPrompt
from dinov.track_files import palette
from dinov.types import Category, Rle

LARGEST_NUMBER = 254
_VOID = 255
_OBJECTS, _CLASSES, _XML = "SegmentationObject", "SegmentationClass", "Annotations"


def write(dataset: Dataset, folder: Path) -> Written:
    """Write a prepared data set in the folders of the devkit; images go to ``JPEGImages/``."""
    dropped, changed = Tally(), Tally()
    if len(dataset.categories) > LARGEST_NUMBER:
        raise InvalidData(
            f"Pascal VOC holds {LARGEST_NUMBER} categories, and there are "
            f"{len(dataset.categories)}. Choose another format, for example coco."
        )
    names = {category.id: category.name for category in dataset.categories}
    colors = palette()
    stems, written = [], 0
    for image, group in dataset.by_image():
        kept = group[:LARGEST_NUMBER]
        for one in group[LARGEST_NUMBER:]:
            place = f"annotation {one.id} on {image.file_name}"
            dropped.add(f"an image holds {LARGEST_NUMBER} objects and no more", place)
        stem = PurePosixPath(image.file_name).with_suffix("").as_posix()
        stems.append(stem)
        # The box of an object that is covered completely stays in the XML file: a change, no loss.
        labels = paint(image, kept, changed, changed)
        numbers = np.array([0, *(one.category_id for one in kept)])
        write_indexed_png(folder / _OBJECTS / f"{stem}.png", labels, colors)
        write_indexed_png(folder / _CLASSES / f"{stem}.png", numbers[labels], colors)
        _write_xml(folder / _XML / f"{stem}.xml", image, kept, names)
        written += len(kept)
    labelled = ["background", *(names[number] for number in sorted(names))]
    lines = [
        f"{name}:{','.join(map(str, colors[3 * number : 3 * number + 3]))}::"
        for number, name in enumerate(labelled)
    ]
    _write_lines(folder / "labelmap.txt", lines)
    _write_lines(folder / "ImageSets" / "Segmentation" / "default.txt", stems)
    _write_lines(folder / "ImageSets" / "Main" / "default.txt", stems)
    return Written(written, dropped.lines(), changed.lines())


def recognises(path: Path) -> bool:
    """Whether the folder holds the annotations of a VOC data set."""
    return path.is_dir() and any(path.rglob(f"{_XML}/**/*.xml"))


def read(path: Path, pictures: Pictures) -> Reading:
    """Read a VOC folder: masks where there are any, boxes elsewhere.

    Raises:
        InvalidData: if it holds no annotations.
    """
    if not recognises(path):
        raise InvalidData(f"{path.name} holds no Pascal VOC data: XML files in '{_XML}'.")
    reader = Reader()
    for category in _label_names(path)[1:]:
        reader.category(category)
    for file in sorted(path.rglob(f"{_XML}/**/*.xml")):
        root = next(parent for parent in file.parents if parent.name == _XML).parent
        stem = file.relative_to(root / _XML).with_suffix("")
        try:
            _read_image(file, root, stem, pictures, reader)
        except (InvalidData, OSError) as error:
            reader.problems.add(str(error).rstrip("."), file.name)
    return reader.reading()


def _write_xml(
    path: Path, image: CocoImage, annotations: Sequence[CocoAnnotation], names: dict[int, str]
) -> None:
    root = ET.Element("annotation")
    file_name = PurePosixPath(image.file_name)
    _add(root, "folder", str(file_name.parent) if file_name.parent.name else "JPEGImages")
    _add(root, "filename", file_name.name)
    size = ET.SubElement(root, "size")
    for side, length in (("width", image.width), ("height", image.height), ("depth", 3)):
        _add(size, side, length)
    _add(root, "segmented", int(bool(annotations)))
    for one in annotations:
        entry = ET.SubElement(root, "object")
        _add(entry, "name", names[one.category_id])
        _add(entry, "pose", "Unspecified")
        _add(entry, "truncated", 0)
        _add(entry, "difficult", 0)
        left, top, right, bottom = masks.rle_box_xyxy(one.rle)
        box = ET.SubElement(entry, "bndbox")
        corners = {"xmin": left + 1, "ymin": top + 1, "xmax": right, "ymax": bottom}
        for name, corner in corners.items():
            _add(box, name, int(corner))
    path.parent.mkdir(parents=True, exist_ok=True)
    ET.indent(root)
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _add(parent: ET.Element, name: str, value: object) -> None:
    ET.SubElement(parent, name).text = str(value)


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")


def _label_names(path: Path) -> list[str]:
    for file in sorted(path.rglob("labelmap.txt")):
        lines = file.read_text("utf-8", "replace").splitlines()
        # The name itself may hold a colon; what follows it does not.
        names = [line.rsplit(":", 3)[0] for line in lines if line and not line.startswith("#")]
        return names if names and names[0] == "background" else []
    return []


def _read_image(file: Path, root: Path, stem: Path, pictures: Pictures, reader: Reader) -> None:
    document = _parsed(file.read_bytes())
    entries = document.findall("object")
    reader.count(len(entries))
    # Some programs write a path, of a machine that nobody else knows.
    stated = PurePosixPath(document.findtext("filename", "").replace("\\", "/")).name
    name = stem.with_name(stated or f"{stem.name}.jpg").as_posix()
    parts = _object_masks(root / _OBJECTS / f"{stem}.png")
    height, width = (document.findtext(f"size/{side}", "") for side in ("height", "width"))
    # Some programs write 0 for a size they do not know.
    is_stated = height.isdecimal() and width.isdecimal() and int(height) * int(width) > 0
    size_hw = (int(height), int(width)) if is_stated else pictures.size_hw(name)
    image = reader.image(name, size_hw)
    if image is None:
        return
    for number, entry in enumerate(entries, 1):
        place = f"object {number} on {image.file_name}"
        category = reader.category(entry.findtext("name") or "object")
        rle = parts.get(number)
        if rle is None:
            _read_box(entry, place, image, category, reader)
        elif tuple(rle["size"]) != (image.height, image.width):
            reader.problems.add("its mask has another size than its image", place)
        else:
            reader.annotation(image, category, rle)


def _parsed(content: bytes) -> ET.Element:
    """Parse XML in any encoding, but none that could blow up a few entities to gigabytes."""
    builder = ET.TreeBuilder()
    parser = expat.ParserCreate()
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = _refuse_entities
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise InvalidData(f"it is no XML that can be read: {error}") from error
    return builder.close()


def _refuse_entities(*_: object) -> None:
    raise InvalidData("it defines entities, which no VOC file needs")


def _object_masks(path: Path) -> dict[int, Rle]:
    if not path.is_file():
        return {}
    labels = read_png(path)
    if labels.ndim != 2:
        raise InvalidData(f"{path.name} is in colour; objects are numbered in an indexed PNG")
    return {number: rle for number, rle in parts_of(labels).items() if number != _VOID}


def _read_box(
    entry: ET.Element, place: str, image: CocoImage, category: Category, reader: Reader
) -> None:
    try:
        corners = (
            entry.findtext(f"bndbox/{side}", "") for side in ("xmin", "ymin", "xmax", "ymax")
        )
        left, top, right, bottom = map(float, corners)
        reader.box(image, category, [left - 1, top - 1, right - left + 1, bottom - top + 1], None)
    except (ValueError, InvalidPrompt) as error:
        reader.problems.add(f"its box cannot be read: {error}".rstrip("."), place)
