"""What the canvas reads of an image's results, at a size a browser can draw quickly."""

from __future__ import annotations

from dataclasses import replace
from typing import TypedDict

import cv2
import numpy as np

from app.project import (
    DISPLAY_LONGEST_SIDE,
    InstanceStatus,
    ProjectImage,
    StoredInstance,
    Task,
)
from app.store import Store
from dinov.masks import decode_rle, encode_rle, rle_area, rle_box_xyxy
from dinov.types import Instance, Rle, SizeHW


class ResultInstance(TypedDict):
    """One instance in a results document. ``bbox`` is [x, y, w, h] in original-image pixels."""

    id: int
    rev: int
    category_id: int
    score: float
    bbox: list[float]
    area: int
    counts: str
    status: str
    origin: str
    z_order: int


class ResultsDocument(TypedDict):
    """The results of one image as the canvas reads them.

    ``size`` is the [h, w] of the masks: the image's, or smaller where the image is very large.
    ``run_id`` is None for an image that was never segmented, ``task`` also after an import.
    ``sought`` are the ids of the categories that were looked for.
    """

    schema: int
    image_id: int
    run_id: int | None
    task: Task | None
    sought: list[int]
    rev: int
    size: list[int]
    instances: list[ResultInstance]


def display_size_hw(size_hw: SizeHW) -> SizeHW:
    """Return the size at which masks are drawn: the image's, or scaled down to the limit."""
    longest = max(size_hw)
    if longest <= DISPLAY_LONGEST_SIDE:
        return size_hw
    height, width = (max(1, side * DISPLAY_LONGEST_SIDE // longest) for side in size_hw)
    return height, width


def display_counts(rle: Rle) -> str | None:
    """Return the mask's counts at the display size, or None if that is its own size."""
    height, width = rle["size"]
    small_hw = display_size_hw((height, width))
    if small_hw == (height, width):
        return None
    coverage = cv2.resize(
        decode_rle(rle).astype(np.uint8) * 255, small_hw[::-1], interpolation=cv2.INTER_AREA
    )
    # A mask thinner than a display pixel must not vanish.
    small = coverage > 127 if (coverage > 127).any() else coverage > 0
    return encode_rle(small)["counts"]


def stored_instance(
    image_id: int, run_id: int, instance: Instance, status: InstanceStatus
) -> StoredInstance:
    """Make an instance ready to be stored; its id is given when it is."""
    return StoredInstance(
        id=0,
        image_id=image_id,
        category_id=instance.category_id,
        run_id=run_id,
        rle=instance.rle,
        display_counts=display_counts(instance.rle),
        box_xyxy=instance.box_xyxy,
        area=instance.area,
        score=float(instance.score),
        status=status,
    )


def with_mask(instance: StoredInstance, rle: Rle) -> StoredInstance:
    """Give an instance another mask, and all that follows from it."""
    return replace(
        instance,
        rle=rle,
        display_counts=display_counts(rle),
        box_xyxy=rle_box_xyxy(rle),
        area=rle_area(rle),
    )


def results_document(store: Store, image: ProjectImage) -> ResultsDocument:
    """Put together the results of an image for the canvas."""
    run_id = store.latest_run(image.id)[0]
    run = None if run_id is None else store.run(run_id)
    return ResultsDocument(
        schema=1,
        image_id=image.id,
        run_id=run_id,
        task=run.options.task if run and run.options else None,
        sought=list(run.prompt_ids) if run else [],
        rev=image.results_rev,
        size=list(display_size_hw((image.height, image.width))),
        instances=[result_instance(instance) for instance in store.instances(image.id)],
    )


def result_instance(instance: StoredInstance) -> ResultInstance:
    """Put together what the canvas reads of one instance."""
    left, top, right, bottom = instance.box_xyxy
    return ResultInstance(
        id=instance.id,
        rev=instance.rev,
        category_id=instance.category_id,
        score=round(instance.score, 4),
        bbox=[left, top, right - left, bottom - top],
        area=instance.area,
        counts=instance.display_counts or instance.rle["counts"],
        status=instance.status.value,
        origin=instance.origin.value,
        z_order=instance.z_order,
    )
