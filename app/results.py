"""What the canvas reads of an image's results, at a size a browser can draw quickly."""

from __future__ import annotations

import cv2
import numpy as np

from app.project import (
    DISPLAY_LONGEST_SIDE,
    InstanceStatus,
    ProjectImage,
    ResultInstance,
    ResultsDocument,
    StoredInstance,
)
from app.store import Store
from dinov.masks import decode_rle, encode_rle
from dinov.types import Instance, Rle, SizeHW


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


def results_document(store: Store, image: ProjectImage) -> ResultsDocument:
    """Put together the results of an image for the canvas; rejected instances are left out."""
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
        instances=[
            _result_instance(instance)
            for instance in store.instances(image.id)
            if instance.status is not InstanceStatus.REJECTED
        ],
    )


def _result_instance(instance: StoredInstance) -> ResultInstance:
    left, top, right, bottom = instance.box_xyxy
    return ResultInstance(
        id=instance.id,
        category_id=instance.category_id,
        score=round(instance.score, 4),
        bbox=[left, top, right - left, bottom - top],
        area=instance.area,
        counts=instance.display_counts or instance.rle["counts"],
        status=instance.status.value,
    )
