"""References and their prompts from a COCO instances file.

Each annotation is a prompt. The optional field ``"prompt": {"type", "points", "width",
"positive"}`` says how the object was marked; without it the segmentation is a mask prompt, or the
bbox a box prompt. Where objects matter, not categories, annotations with the same ``track_id`` mark
the same object.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from dinov import coco
from dinov.errors import InvalidImage, InvalidPrompt, InvalidReferences
from dinov.frames import FrameSource
from dinov.images import read_rgb
from dinov.masks import rasterise
from dinov.types import Category, Prompt, PromptType, Reference, SizeHW

_SHOWN_ERRORS = 3


class PromptField(BaseModel):
    """How an object is marked, in an annotation that is a prompt."""

    type: PromptType
    points: list[float] = []
    width: float | None = None
    positive: bool = True


class _Annotation(BaseModel):
    id: int | str | None = None
    image_id: int
    category_id: int
    segmentation: Any = None
    bbox: list[float] = []
    iscrowd: bool | None = False
    track_id: int | None = Field(default=None, ge=1)
    prompt: PromptField | None = None

    @property
    def is_positive(self) -> bool:
        return self.prompt is None or self.prompt.positive


class _Image(BaseModel):
    id: int
    file_name: str = Field(min_length=1)
    width: int | None = None
    height: int | None = None
    frame_index: int | None = Field(default=None, ge=0)


class _Category(BaseModel):
    id: int
    name: str = Field(coerce_numbers_to_str=True)
    supercategory: str | None = Field(default=None, coerce_numbers_to_str=True)
    color: Any = None
    isthing: bool = True

    def value(self) -> Category:
        supercategory = self.supercategory or Category.supercategory
        color = hex_color(self.color) or Category.color
        return Category(self.id, self.name, color, supercategory, self.isthing)


class _Document(BaseModel):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


_Marked = tuple[Path, _Image, tuple[_Annotation, ...]]


@dataclass(frozen=True)
class ReferenceFile:
    """The references of one file. Iterating reads one picture after the other.

    ``notes`` says in words what the file holds that is not used.
    """

    path: Path
    categories: tuple[Category, ...]
    notes: tuple[str, ...]
    _images: tuple[_Marked, ...]

    def __len__(self) -> int:
        return len(self._images)

    def __iter__(self) -> Iterator[Reference]:
        """Yield the references in the order of the file.

        Raises:
            InvalidImage: if a picture cannot be read.
            InvalidReferences: if a picture is of another size than the file says.
            InvalidPrompt: if a prompt marks nothing; the message names annotation and image.
        """
        for picture_path, image, marks in self._images:
            picture = read_rgb(picture_path)
            size_hw = (picture.shape[0], picture.shape[1])
            _check_size(picture_path, image, size_hw)
            prompts = [_to_prompt(annotation, image, size_hw) for annotation in marks]
            yield Reference(picture, prompts, image.file_name)

    def digest(self) -> str:
        """Name what is marked and how: the same for the same pictures, prompts and categories.

        Raises:
            OSError: if a picture cannot be read.
        """
        whole = hashlib.sha256(repr(self.categories).encode())
        for picture_path, image, marks in self._images:
            whole.update(hashlib.sha256(picture_path.read_bytes()).digest())
            whole.update(repr((image, marks)).encode())
        return whole.hexdigest()

    def usable(self, problems: list[str]) -> Iterator[Reference]:
        """Yield the references as iterating does, but without pictures and prompts that are bad.

        What is left out is added to ``problems`` in words.
        """
        for picture_path, image, marks in self._images:
            try:
                picture = read_rgb(picture_path)
                size_hw = (picture.shape[0], picture.shape[1])
                _check_size(picture_path, image, size_hw)
            except (InvalidImage, InvalidReferences) as error:
                problems.append(str(error))
                continue
            prompts = []
            for annotation in marks:
                try:
                    prompts.append(_to_prompt(annotation, image, size_hw))
                except InvalidPrompt as error:
                    problems.append(str(error))
            if prompts:
                yield Reference(picture, prompts, image.file_name)

    def sample(self, per_category: int, seed: int = 0) -> ReferenceFile:
        """The same file with at most so many positive prompts of each category, drawn at random.

        What is drawn of a category does not depend on the others. Negatives stay.
        """
        numbered: dict[int, list[tuple[int, int]]] = {}
        for i, (_, _, marks) in enumerate(self._images):
            for j, mark in enumerate(marks):
                if mark.is_positive:
                    numbered.setdefault(mark.category_id, []).append((i, j))
        left_out: set[tuple[int, int]] = set()
        for category_id, places in numbered.items():
            order = np.random.default_rng((seed, category_id)).permutation(len(places))
            left_out |= {places[k] for k in order[per_category:].tolist()}
        images = [
            (
                picture,
                image,
                tuple(mark for j, mark in enumerate(marks) if (i, j) not in left_out),
            )
            for i, (picture, image, marks) in enumerate(self._images)
        ]
        return replace(self, _images=tuple(row for row in images if row[2]))

    def objects_apart(self) -> tuple[ReferenceFile, dict[int, int]]:
        """Make each object a category of its own, as the refer task needs it.

        Annotations with the same ``track_id`` mark the same object; without one, each marks
        another. A negative without one stands against all objects of its category.

        Returns:
            The file with one category per object, whose id is the track id where there is one;
            and the category that each object had.

        Raises:
            InvalidReferences: if one object has two categories.
        """
        numbered = _with_track_ids(self._images)
        category_of = _category_of_each_object(self.path, numbered)

        def of_objects(mark: _Annotation) -> list[_Annotation]:
            alike = [i for i, category in category_of.items() if category == mark.category_id]
            objects = alike if mark.track_id is None else [mark.track_id]
            return [mark.model_copy(update={"category_id": i}) for i in objects]

        images = tuple(
            (picture, image, tuple(a for mark in marks for a in of_objects(mark)))
            for picture, image, marks in numbered
        )
        names = {category.id: category.name for category in self.categories}
        categories = tuple(Category(i, f"{names[c]} {i}") for i, c in category_of.items())
        return replace(self, categories=categories, _images=images), category_of

    def on_frames(self, frames: FrameSource) -> dict[int, list[Prompt]]:
        """The prompts by the number of the frame that they are drawn on.

        Raises:
            InvalidReferences: if there is no such frame, or it is of another size.
            InvalidPrompt: if a prompt marks nothing; the message names annotation and image.
        """
        prompts: dict[int, list[Prompt]] = {}
        for _, image, marks in self._images:
            index = frames.find(image.file_name, image.frame_index)
            if index is None:
                raise InvalidReferences(
                    f"{self.path} names the frame {image.file_name} (frame_index "
                    f"{image.frame_index}), which {frames.name} does not have. See --help."
                )
            size_hw = frames.size_hw(index)
            _check_size(Path(image.file_name), image, size_hw)
            prompts.setdefault(index, []).extend(_to_prompt(a, image, size_hw) for a in marks)
        return prompts


def read_references(path: Path, images_directory: Path | None = None) -> ReferenceFile:
    """Read a references file and check that it hangs together.

    Args:
        path: COCO instances JSON.
        images_directory: where its file names start; the folder of ``path`` by default.

    Raises:
        InvalidReferences: if the file is missing, no COCO JSON, names unknown ids or absent
            pictures, or holds no positive prompt.
    """
    file = read_marks(path, images_directory)
    for picture, image, _ in file._images:
        if not picture.is_file():
            raise InvalidReferences(
                f"{path} names the image {image.file_name}, which is not in "
                f"{images_directory or path.parent}. "
                "Give the folder of the images: --reference-images."
            )
    return file


def read_marks(path: Path, images_directory: Path | None = None) -> ReferenceFile:
    """As ``read_references``, whether or not the pictures are there."""
    document = _parse(path)
    _check_unique(path, "images", [image.id for image in document.images])
    _check_unique(path, "categories", [category.id for category in document.categories])
    grouped, notes = _prompts_by_image(path, document)
    directory = path.parent if images_directory is None else images_directory
    images = tuple(
        (directory / image.file_name, image, tuple(grouped[image.id]))
        for image in document.images
        if grouped[image.id]
    )
    categories = tuple(row.value() for row in document.categories)
    return ReferenceFile(path, categories, tuple(notes), images)


def hex_color(color: Any) -> str | None:
    """Read "#rrggbb" and COCO panoptic's [r, g, b]; anything else is no colour."""
    if isinstance(color, list) and len(color) == 3:
        if all(isinstance(part, int) and 0 <= part <= 255 for part in color):
            return f"#{bytes(color).hex()}"
    elif isinstance(color, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", color):
        return color.lower()
    return None


def _parse(path: Path) -> _Document:
    try:
        return _Document.model_validate(json.loads(path.read_text(encoding="utf-8-sig")))
    except OSError as error:
        raise InvalidReferences(f"{path} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        details = [
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}"
            for item in error.errors()[:_SHOWN_ERRORS]
        ]
        raise InvalidReferences(
            f"{path} is not COCO instances JSON ({error.error_count()} problems): "
            f"{'; '.join(details)}"
        ) from error
    except ValueError as error:
        raise InvalidReferences(f"{path} is not JSON: {error}") from error


def _check_unique(path: Path, kind: str, ids: Sequence[int]) -> None:
    if len(set(ids)) != len(ids):
        raise InvalidReferences(f"{path} uses an id twice under '{kind}'. Ids must be unique.")


def _prompts_by_image(
    path: Path, document: _Document
) -> tuple[dict[int, list[_Annotation]], list[str]]:
    """Group the annotations that are prompts; tell which others and which categories are not."""
    grouped: dict[int, list[_Annotation]] = {image.id: [] for image in document.images}
    names = {category.id: category.name for category in document.categories}
    marked: set[int] = set()
    notes = []
    for annotation in document.annotations:
        if annotation.image_id not in grouped or annotation.category_id not in names:
            raise InvalidReferences(
                f"{path}: annotation {annotation.id} belongs to image {annotation.image_id} and "
                f"category {annotation.category_id}, and one of them is not in the file."
            )
        if annotation.iscrowd and annotation.prompt is None:
            notes.append(f"Annotation {annotation.id} is a crowd, no example: not used.")
            continue
        grouped[annotation.image_id].append(annotation)
        if annotation.is_positive:
            marked.add(annotation.category_id)
    if not marked:
        raise InvalidReferences(
            f"{path} has no positive prompt. Mark at least one object: give an annotation a "
            "'prompt', a segmentation or a bbox."
        )
    notes += [
        f"Category '{name}' has no positive prompt: it is not searched for."
        for category_id, name in names.items()
        if category_id not in marked
    ]
    return grouped, notes


def _with_track_ids(images: Sequence[_Marked]) -> list[_Marked]:
    """Give each positive annotation that has no track id one that is free."""
    taken = {mark.track_id for *_, marks in images for mark in marks}
    free = (number for number in count(1) if number not in taken)
    return [
        (
            picture,
            image,
            tuple(
                mark.model_copy(update={"track_id": next(free)})
                if mark.track_id is None and mark.is_positive
                else mark
                for mark in marks
            ),
        )
        for picture, image, marks in images
    ]


def _category_of_each_object(path: Path, images: Sequence[_Marked]) -> dict[int, int]:
    category_of: dict[int, int] = {}
    for mark in (mark for *_, marks in images for mark in marks):
        if mark.track_id is None or not mark.is_positive:
            continue
        if category_of.setdefault(mark.track_id, mark.category_id) != mark.category_id:
            raise InvalidReferences(
                f"{path}: annotation {mark.id} gives the object with track_id {mark.track_id} "
                "another category. One object has one category."
            )
    return dict(sorted(category_of.items()))


def _check_size(picture: Path, image: _Image, size_hw: SizeHW) -> None:
    stated = (image.height or size_hw[0], image.width or size_hw[1])
    if stated != size_hw:
        raise InvalidReferences(
            f"{picture} is {size_hw[1]}x{size_hw[0]} when upright, but the references file says "
            f"{stated[1]}x{stated[0]}: its prompts would be misplaced. Use the original picture."
        )


def _to_prompt(annotation: _Annotation, image: _Image, size_hw: SizeHW) -> Prompt:
    try:
        prompt = _read_prompt(annotation, size_hw)
        rasterise(prompt, size_hw)
    except (InvalidPrompt, ValueError) as error:
        raise InvalidPrompt(f"Annotation {annotation.id} on {image.file_name}: {error}") from error
    return prompt


def _read_prompt(annotation: _Annotation, size_hw: SizeHW) -> Prompt:
    mark = annotation.prompt
    if mark is None:
        mark = PromptField(type=PromptType.MASK if annotation.segmentation else PromptType.BOX)
    if mark.type is PromptType.MASK:
        rle = coco.rle_of_segmentation(annotation.segmentation, size_hw)
        return Prompt(annotation.category_id, mark.type, rle=rle, positive=mark.positive)
    points = mark.points
    if mark.type is PromptType.BOX and not points:
        if len(annotation.bbox) != 4:
            raise InvalidPrompt("It has no prompt, no segmentation and no bbox [x, y, w, h].")
        x, y, width, height = annotation.bbox
        points = [x, y, x + width, y + height]
    return Prompt(
        annotation.category_id, mark.type, tuple(points), mark.width, positive=mark.positive
    )
