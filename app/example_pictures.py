"""Small pictures of examples: what is around a mark, with the mark drawn on it."""

from __future__ import annotations

import cv2
import numpy as np

from dinov.masks import rasterise
from dinov.types import Image, Mask, Prompt, PromptType

LONGEST_SIDE = 160

# What is shown beside the mark, and the least that says something about a single point.
_MARGIN = 1.5
_SMALLEST_SHARE = 0.12
_SMALLEST_SIDE = 48

_FILL = {PromptType.BOX: 0.0, PromptType.POINT: 0.0, PromptType.SCRIBBLE: 0.45}
_FILL_OTHERS = 0.3
_POINT_RADIUS = 5


def example_picture(image: Image, prompt: Prompt, color: str) -> Image:
    """Draw a prompt on its surroundings.

    Args:
        image: [H, W, 3] uint8 RGB, the whole image.
        prompt: drawn on it.
        color: of its category, "#rrggbb".

    Returns:
        [h, w, 3] uint8 RGB, its longer side ``LONGEST_SIDE`` pixels.

    Raises:
        InvalidPrompt: if the prompt marks nothing on the image.
    """
    mask = rasterise(prompt, (image.shape[0], image.shape[1]))
    x0, y0, x1, y1 = _surroundings(mask)
    part = image[y0:y1, x0:x1]
    scale = LONGEST_SIDE / max(part.shape[:2])
    size = (max(1, round(scale * (x1 - x0))), max(1, round(scale * (y1 - y0))))
    resample = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    picture = cv2.resize(part, size, interpolation=resample)
    rgb = tuple(int(color[i : i + 2], 16) for i in (1, 3, 5))
    if prompt.type is PromptType.POINT:
        at = (round((prompt.points[0] - x0) * scale), round((prompt.points[1] - y0) * scale))
        cv2.circle(picture, at, _POINT_RADIUS + 2, (255, 255, 255), -1, cv2.LINE_AA)
        cv2.circle(picture, at, _POINT_RADIUS, rgb, -1, cv2.LINE_AA)
        return picture.astype(np.uint8)
    coverage = cv2.resize(
        mask[y0:y1, x0:x1].astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA
    )
    inside = coverage > min(127, int(coverage.max()) - 1)
    share = _FILL.get(prompt.type, _FILL_OTHERS)
    picture = picture.copy()
    picture[inside] = (1 - share) * picture[inside] + share * np.array(rgb)
    contours, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    # A white casing keeps the outline visible on any photo.
    cv2.drawContours(picture, contours, -1, (255, 255, 255), 4, cv2.LINE_AA)
    cv2.drawContours(picture, contours, -1, rgb, 2, cv2.LINE_AA)
    return picture.astype(np.uint8)


def _surroundings(mask: Mask) -> tuple[int, int, int, int]:
    """A square around what is marked, (x0, y0, x1, y1), as far as it lies in the image."""
    height, width = mask.shape
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    marked = max(int(np.ptp(rows)), int(np.ptp(columns))) + 1
    side = max(_MARGIN * marked, _SMALLEST_SHARE * max(height, width), _SMALLEST_SIDE)
    bounds = []
    for found, limit in ((columns, width), (rows, height)):
        length = min(limit, round(side))
        start = (int(found[0]) + int(found[-1]) + 1 - length) // 2
        start = min(max(0, start), limit - length)
        bounds.append((start, start + length))
    (x0, x1), (y0, y1) = bounds
    return x0, y0, x1, y1
