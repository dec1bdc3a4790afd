"""A page of pictures beside the figures, so that a person can look: best, median and worst cases.

One HTML file that needs nothing else.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import PIL.Image

from dinov.files import written_whole
from dinov.types import Image, Mask

CASES = 6
"""Of each kind: best, median, worst."""

Color = tuple[int, int, int]
MARKED: Color = (255, 200, 0)
TRUE: Color = (0, 200, 80)
FOUND: Color = (255, 60, 120)
# Told apart by people who see colours differently, too (Okabe and Ito).
PALETTE: tuple[Color, ...] = (
    *((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66)),
    *((0, 114, 178), (213, 94, 0), (204, 121, 167)),
)

_SIDE = 320
_STYLE = (
    "body{font:14px system-ui,sans-serif;margin:24px}figure{margin:0 0 20px}"
    "img{height:200px;margin-right:6px}figcaption{margin-bottom:4px}"
)


@dataclass(frozen=True)
class Case:
    """Pictures that are looked at together, and what is said of them."""

    caption: str
    panels: tuple[Image, ...]


def extremes(scores: Sequence[float], count: int = CASES) -> dict[str, list[int]]:
    """Numbers of the best, the median and the worst of the scores, none twice.

    Fewer than three scores are all among the best.
    """
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    if len(order) < 3:
        return {"Best": order}
    share = min(count, len(order) // 3)
    middle = (len(order) - share) // 2
    return {
        "Best": order[:share],
        "Median": order[middle : middle + share],
        "Worst": order[-share:],
    }


def overlay(image: Image, masks: Iterable[tuple[Mask, Color]]) -> Image:
    """A copy with masks tinted and outlined, not longer than a picture of the page needs."""
    scale = min(1.0, _SIDE / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    drawn = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    for mask, color in masks:
        small = cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA)
        # A mark of a few pixels must not vanish in a smaller picture.
        inside = (small > 0 if np.count_nonzero(mask) < mask.size / 100 else small >= 128).astype(
            np.uint8
        )
        tinted = drawn[inside > 0].astype(np.float32) * 0.6 + np.array(color, np.float32) * 0.4
        drawn[inside > 0] = tinted.astype(np.uint8)
        outlines, _ = cv2.findContours(inside, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(drawn, outlines, -1, color, 1)
    return np.asarray(drawn, np.uint8)


def write_page(path: Path, title: str, note: str, groups: Mapping[str, Sequence[Case]]) -> Path:
    """Write the groups under their names; the path holds the old page or the whole new one."""
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title>",
        f"<style>{_STYLE}</style><h1>{html.escape(title)}</h1><p>{html.escape(note)}</p>",
    ]
    for name, cases in groups.items():
        parts.append(f"<h2>{html.escape(name)}</h2>")
        for case in cases:
            pictures = "".join(f'<img alt="" src="{_as_url(panel)}">' for panel in case.panels)
            caption = html.escape(case.caption)
            parts.append(f"<figure><figcaption>{caption}</figcaption>{pictures}</figure>")
    with written_whole(path) as partial:
        partial.write_text("\n".join(parts) + "\n", encoding="utf-8")
    return path


def _as_url(image: Image) -> str:
    buffer = io.BytesIO()
    PIL.Image.fromarray(image).save(buffer, format="JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
