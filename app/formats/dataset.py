"""What every format writes and reads: images, categories and masks, and a report in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import PurePosixPath

from dinov import coco, masks
from dinov.coco import CocoAnnotation, CocoImage, CocoVideo, Scalar
from dinov.images import MAX_PIXELS
from dinov.types import Category, Mask, Prompt, PromptType, Rle, SizeHW


@dataclass(frozen=True)
class Dataset:
    """Images with their annotations, in no particular format. File names are POSIX paths.

    In a file that was read, ``info`` and the ``attributes`` of annotations are what our own exports
    say, and empty in files of other programs, where the same words may mean anything.
    """

    images: tuple[CocoImage, ...]
    categories: tuple[Category, ...]
    annotations: tuple[CocoAnnotation, ...]
    info: Mapping[str, Scalar] = field(default_factory=dict)
    videos: tuple[CocoVideo, ...] = ()

    def by_image(self) -> Iterator[tuple[CocoImage, list[CocoAnnotation]]]:
        """Yield every image with its annotations, in the order of their ids."""
        ordered = sorted(self.annotations, key=lambda one: (one.image_id, one.id))
        grouped = {
            image_id: list(group) for image_id, group in groupby(ordered, lambda one: one.image_id)
        }
        for image in sorted(self.images, key=lambda image: image.id):
            yield image, grouped.get(image.id, [])


class Tally:
    """Remarks for people: equal reasons are counted, and the first place is named."""

    def __init__(self) -> None:
        self._places: dict[str, list[str]] = {}

    def add(self, reason: str, place: str) -> None:
        """Note that something happened at a place. ``reason`` reads well after "3 times:"."""
        self._places.setdefault(reason, []).append(place)

    def lines(self) -> tuple[str, ...]:
        """One line for each reason, in the order they came up."""
        return tuple(
            f"{places[0]}: {reason}."
            if len(places) == 1
            else f"{len(places):,} times: {reason} (first: {places[0]})."
            for reason, places in self._places.items()
        )


@dataclass(frozen=True)
class Written:
    """What became of a data set in a file: all of it, but for what the lines say.

    ``dropped`` annotations are not in the file; ``changed`` ones do not come back as they were;
    ``notes`` say what the format has no place for.
    """

    annotations: int
    dropped: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """What a file holds.

    ``marks`` says by annotation id how an object is marked, where the file has more than its mask
    or less. ``total`` counts the annotations of the file; ``problems`` say which were left out, and
    ``notes`` what was read in another way than the file may mean.
    """

    dataset: Dataset
    marks: Mapping[int, Prompt]
    total: int
    problems: tuple[str, ...]
    notes: tuple[str, ...]


class Reader:
    """Collects what a format's ``read`` finds; images and categories are told apart by name."""

    def __init__(self) -> None:
        self.problems = Tally()
        self.notes = Tally()
        self._total = 0
        self._images: dict[str, CocoImage] = {}
        self._categories: dict[str, Category] = {}
        self._annotations: list[CocoAnnotation] = []
        self._videos: list[CocoVideo] = []
        self._info: dict[str, Scalar] = {}
        self._marks: dict[int, Prompt] = {}

    def info(self, info: Mapping[str, Scalar]) -> None:
        """Note what one of our own exports says of the whole."""
        self._info |= info

    def video(self, name: str) -> CocoVideo:
        """Add a video."""
        self._videos.append(CocoVideo(len(self._videos) + 1, name))
        return self._videos[-1]

    def image(
        self,
        file_name: str,
        size_hw: SizeHW | None,
        video: CocoVideo | None = None,
        frame_index: int | None = None,
    ) -> CocoImage | None:
        """Add an image, or find it if it was added before; None, and said so, without a size."""
        path = PurePosixPath(file_name.replace("\\", "/")).as_posix()
        if size_hw is None or not 0 < size_hw[0] * size_hw[1] <= MAX_PIXELS:
            self.problems.add("the size of the image is not known, as it was not found", path)
            return None
        new = CocoImage(len(self._images) + 1, path, width=size_hw[1], height=size_hw[0])
        if video is not None:
            new = replace(new, video_id=video.id, frame_index=frame_index)
        return self._images.setdefault(path, new)

    def category(
        self,
        name: str,
        *,
        color: str = "",
        supercategory: str = Category.supercategory,
        is_thing: bool = True,
    ) -> Category:
        """Add a category, or find it if it was added before. ``color`` is empty if not known."""
        cleaned = " ".join(name.split()) or "object"
        new = Category(len(self._categories) + 1, cleaned, color, supercategory, is_thing)
        return self._categories.setdefault(cleaned.casefold(), new)

    def count(self, annotations: int = 1) -> None:
        """Say that the file holds so many annotations more."""
        self._total += annotations

    def annotation(
        self,
        image: CocoImage,
        category: Category,
        rle: Rle,
        *,
        score: float | None = None,
        mark: Prompt | None = None,
        track_id: int | None = None,
        attributes: Mapping[str, Scalar] | None = None,
    ) -> None:
        """Add an annotation; one without any pixel is left out, and said to be."""
        if masks.rle_area(rle) == 0:
            self.problems.add("an annotation has no pixel on its image", image.file_name)
            return
        if score is not None and not 0 <= score <= 1:
            self.notes.add("a score is not in 0 to 1, and is left out", image.file_name)
            score = None
        number = len(self._annotations) + 1
        self._annotations.append(
            CocoAnnotation(number, image.id, category.id, rle, score, track_id, attributes or {})
        )
        if mark is not None:
            self._marks[number] = replace(mark, category_id=category.id)

    def box(
        self, image: CocoImage, category: Category, box_xywh: list[float], score: float | None
    ) -> None:
        """Add an annotation that is a box and nothing more."""
        x, y, width, height = box_xywh
        prompt = Prompt(category.id, PromptType.BOX, (x, y, x + width, y + height))
        mask = masks.rasterise(prompt, (image.height, image.width))
        self.notes.add(
            "an object has a box only; as an annotation, the box is its mask", image.file_name
        )
        self.annotation(image, category, masks.encode_rle(mask), score=score, mark=prompt)

    def reading(self) -> Reading:
        """Return all that was collected."""
        return Reading(
            Dataset(
                tuple(self._images.values()),
                tuple(self._categories.values()),
                tuple(self._annotations),
                self._info,
                tuple(self._videos),
            ),
            self._marks,
            self._total,
            self.problems.lines(),
            self.notes.lines(),
        )


def prepare(dataset: Dataset) -> tuple[Dataset, tuple[str, ...], tuple[str, ...]]:
    """Make a data set that every reader takes: distinct names, categories 1..N, no empty mask.

    Returns:
        The data set, what was dropped, and what got another name, in words.
    """
    images = sorted(dataset.images, key=lambda image: image.id)
    file_names, renamed_images = coco.distinct_file_names(images)
    names, renamed_categories = coco.distinct_names(dataset.categories)
    numbers = {category.id: number for number, category in enumerate(dataset.categories, 1)}
    kept, dropped = [], Tally()
    for one in sorted(dataset.annotations, key=lambda one: one.id):
        if masks.rle_area(one.rle) == 0:
            place = f"Annotation {one.id} on {file_names[one.image_id]}"
            dropped.add("its mask is empty", place)
        else:
            kept.append(replace(one, category_id=numbers[one.category_id]))
    prepared = Dataset(
        tuple(replace(image, file_name=file_names[image.id]) for image in images),
        tuple(
            replace(category, id=numbers[category.id], name=name)
            for category, name in zip(dataset.categories, names, strict=True)
        ),
        tuple(kept),
        dataset.info,
        dataset.videos,
    )
    return prepared, dropped.lines(), (*renamed_images, *renamed_categories)


def mask_box_xyxy(mask: Mask) -> tuple[int, int, int, int]:
    """Return the tight box of a mask that is not empty, along pixel edges."""
    left, top, right, bottom = masks.rle_box_xyxy(masks.encode_rle(mask))
    return int(left), int(top), int(right), int(bottom)
