"""COCO instances JSON, as it is and as single readers need it.

Holds everything a project exports: images, categories, masks, scores, provenance. Some readers hold
less: Label Studio makes a region of its own out of every part of an object, and with X-AnyLabeling
and ISAT it cannot read run-length masks, so objects with holes are cut into parts without.

Reading is lenient: polygons flat or nested, run-length counts as list or text, ``iscrowd`` as
number, bool or missing, category 0, numbers as names, boxes without masks, no ``area``, ``info`` or
image size. A ``track_id`` on an image that is no frame of a video has no place in a project, and a
crowd is one object there; both are said. What our own exports say in ``attributes`` is read back.
The document itself is built by ``dinov.coco``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, BaseModel, Field, ValidationError

from app.formats.dataset import Dataset, Reader, Reading, Tally, Written
from app.formats.documents import (
    Document,
    has_segments,
    json_objects,
    read_each,
    read_entry,
    reason_of,
)
from app.formats.pictures import Pictures
from dinov import coco, masks
from dinov.coco import CocoImage, CocoVideo
from dinov.coco_presets import PRESETS, Preset
from dinov.errors import InvalidPrompt
from dinov.references import PromptField, hex_color
from dinov.types import Category, Prompt, PromptType, Rle, SizeHW

# What an annotation can do without as long as it has a mask.
_SPARE = ("bbox", "score", "iscrowd")
_SCALARS = (str, int, float, bool, type(None))


def write(dataset: Dataset, folder: Path, preset: Preset = PRESETS["coco"]) -> Written:
    """Write a prepared data set as one JSON file in the folder, at the preset's place."""
    export = coco.build(
        dataset.images,
        dataset.categories,
        dataset.annotations,
        videos=dataset.videos,
        info=dataset.info,
        encoding=preset.encoding,
    )
    changed = Tally()
    rows = export.document["annotations"]
    for row in rows:
        if preset.splits(row):
            place = f"annotation {row['id']}"
            changed.add("it has several parts or holes, and each part becomes a region", place)
    document = {**export.document, "annotations": [preset.fitted(row) for row in rows]}
    coco.write(document, folder / preset.path)
    preset.write_extras(folder, [category.name for category in dataset.categories])
    return Written(len(rows), export.dropped, changed.lines())


def write_results(dataset: Dataset, path: Path) -> None:
    """Write the masks and scores of a prepared data set as a COCO results file.

    Its ids are those of the file that ``write`` makes of the same data set.
    """
    coco.write_results((coco.result_row(one, one.category_id) for one in dataset.annotations), path)


def recognises(path: Path) -> bool:
    """Whether there is COCO instances JSON at the path, or below it if it is a folder."""
    return any(True for _ in _documents(path))


def read(path: Path, pictures: Pictures) -> Reading:
    """Read one COCO instances file, or all that lie in a folder, as one data set.

    Raises:
        InvalidData: if there is none.
    """

    def read_one(file: Path, document: dict[str, Any], reader: Reader) -> None:
        _read_document(file.name, document, pictures, reader)

    return read_each(
        _documents(path),
        read_one,
        f"{path.name} holds no COCO instances JSON: 'images', 'categories' and 'annotations'. "
        "A results file alone says too little; import the document it belongs to.",
    )


def read_categories(name: str, rows: list[Any], reader: Reader) -> dict[int | str, Category]:
    """Read the ``categories`` of a document by their ids; what is no category is noted."""
    categories: dict[int | str, Category] = {}
    for row in rows:
        try:
            category = _Category.model_validate(row)
        except ValidationError as error:
            reader.notes.add(f"a category cannot be understood ({reason_of(error)})", name)
            continue
        categories[category.id] = reader.category(
            category.name.strip() or f"category {category.id}",
            color=hex_color(category.color) or "",
            supercategory=(category.supercategory or "").strip() or Category.supercategory,
            is_thing=category.isthing != 0,
        )
    return categories


def _documents(path: Path) -> Iterator[Document]:
    for file, content in json_objects(path):
        rows = content.get("annotations")
        has_lists = isinstance(rows, list) and isinstance(content.get("images"), list)
        if has_lists and not has_segments(rows):
            yield file, content


class _Video(BaseModel):
    id: int | str
    name: str | None = None


class _Image(BaseModel):
    id: int | str
    file_name: str
    width: int | None = None
    height: int | None = None
    video_id: int | str | None = None
    frame_index: int | None = Field(None, validation_alias=AliasChoices("frame_index", "frame_id"))


class _Category(BaseModel):
    id: int | str
    name: str = Field(coerce_numbers_to_str=True)
    supercategory: str | None = Field(None, coerce_numbers_to_str=True)
    color: Any = None
    isthing: int | None = 1


class _Annotation(BaseModel):
    id: Any = None
    image_id: int | str
    category_id: int | str
    segmentation: Any = None
    bbox: list[float] | None = None
    iscrowd: int | bool | None = 0
    score: float | None = None
    track_id: Any = None
    attributes: Any = None
    prompt: PromptField | None = None

    @property
    def track(self) -> Any:
        """Which object it is, if it says so, as our tracker does and CVAT in its attributes."""
        inside = _scalars(self.attributes).get("track_id")
        return inside if self.track_id is None else self.track_id


def _read_document(name: str, document: dict[str, Any], pictures: Pictures, reader: Reader) -> None:
    info = _scalars(document.get("info"))
    is_ours = info.get("tool") == coco.TOOL
    if is_ours:
        reader.info(info)
    images = _read_images(name, document, pictures, reader)
    categories = read_categories(name, document.get("categories") or [], reader)
    for position, row in enumerate(document["annotations"], 1):
        reader.count()
        place = f"annotation {row.get('id', position) if isinstance(row, dict) else position}"
        annotation = read_entry(_Annotation, row, place, reader, _SPARE)
        if annotation is None:
            continue
        if annotation.image_id not in images:
            reader.problems.add("its image is not in the file", place)
            continue
        image = images[annotation.image_id]
        if image is None:
            reader.problems.add("the size of its image is not known", place)
            continue
        if annotation.category_id not in categories:
            reader.notes.add("its category is not in the file, and is called by its id", place)
            named = reader.category(f"category {annotation.category_id}")
            categories[annotation.category_id] = named
        place = f"{place} on {image.file_name}"
        attributes = _scalars(annotation.attributes) if is_ours else {}
        category = categories[annotation.category_id]
        _read_annotation(place, annotation, image, category, attributes, reader)


def _read_images(
    name: str, document: dict[str, Any], pictures: Pictures, reader: Reader
) -> dict[int | str, CocoImage | None]:
    """Read the images by their ids; None for one whose size is neither written nor known."""
    videos = _read_videos(name, document.get("videos"), reader)
    images: dict[int | str, CocoImage | None] = {}
    for position, row in enumerate(document["images"]):
        try:
            image = _Image.model_validate(row)
        except ValidationError as error:
            reader.problems.add(f"an image cannot be understood ({reason_of(error)})", name)
            continue
        if image.id in images:
            reader.problems.add("an image has the id of another one", image.file_name)
            continue
        size_hw: SizeHW | None
        if image.height and image.width:
            size_hw = (image.height, image.width)
        else:
            size_hw = pictures.size_hw(image.file_name)
        video = None if image.video_id is None else videos.get(image.video_id)
        index = position if image.frame_index is None else image.frame_index
        images[image.id] = reader.image(image.file_name, size_hw, video, index)
    return images


def _read_videos(name: str, rows: Any, reader: Reader) -> dict[int | str, CocoVideo]:
    videos = {}
    for row in rows if isinstance(rows, list) else []:
        try:
            video = _Video.model_validate(row)
        except ValidationError as error:
            reader.notes.add(f"a video cannot be understood ({reason_of(error)})", name)
            continue
        videos[video.id] = reader.video(video.name or f"video {video.id}")
    return videos


def _read_annotation(
    place: str,
    annotation: _Annotation,
    image: CocoImage,
    category: Category,
    attributes: Mapping[str, coco.Scalar],
    reader: Reader,
) -> None:
    if annotation.iscrowd:
        reader.notes.add("it is marked as a crowd, and is taken as one object", place)
    track_id = annotation.track if isinstance(annotation.track, int) else None
    if annotation.track is not None and (track_id is None or image.video_id is None):
        reader.notes.add("it has a track_id, for which a project has no place", place)
    size_hw = (image.height, image.width)
    try:
        if annotation.prompt is not None and annotation.prompt.type is not PromptType.MASK:
            drawn = _mark(annotation.prompt, category)
            rle = masks.encode_rle(masks.rasterise(drawn, size_hw))
            reader.annotation(image, category, rle, score=annotation.score, mark=drawn)
        elif annotation.segmentation:
            segmentation = _usable(annotation.segmentation, place, reader)
            rle = coco.rle_of_segmentation(segmentation, size_hw)
            field = annotation.prompt
            mark = None if field is None else _mark(field, category, rle)
            reader.annotation(
                image,
                category,
                rle,
                score=annotation.score,
                mark=mark,
                track_id=track_id,
                attributes=attributes,
            )
        elif annotation.bbox and len(annotation.bbox) == 4:
            reader.box(image, category, annotation.bbox, annotation.score)
        else:
            reader.problems.add("it has neither a mask nor a box", place)
    except (InvalidPrompt, ValueError, TypeError, UnicodeEncodeError) as error:
        reader.problems.add(str(error).rstrip("."), place)


def _scalars(values: Any) -> dict[str, coco.Scalar]:
    if not isinstance(values, dict):
        return {}
    return {key: value for key, value in values.items() if isinstance(value, _SCALARS)}


def _mark(field: PromptField, category: Category, rle: Rle | None = None) -> Prompt:
    """Read how an object is marked, where the annotation is one of our prompts."""
    return Prompt(
        category.id, field.type, tuple(field.points), field.width, rle, positive=field.positive
    )


def _usable(segmentation: Any, place: str, reader: Reader) -> Any:
    """Leave out polygons that enclose nothing, as long as the annotation has others."""
    if isinstance(segmentation, list) and isinstance(segmentation[0], list):
        usable = [part for part in segmentation if len(part) >= 6]
        if usable and len(usable) < len(segmentation):
            reader.notes.add("parts with fewer than three points are left out", place)
            return usable
    return segmentation
