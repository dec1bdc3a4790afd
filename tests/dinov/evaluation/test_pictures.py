from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from dinov.evaluation.pictures import FOUND, Case, extremes, overlay, write_page


@pytest.mark.parametrize("total", [0, 1, 2, 3, 7, 40])
def test_extremes_are_sorted_and_none_comes_twice(total: int) -> None:
    scores = np.random.default_rng(total).permutation(total) / max(1, total)
    groups = extremes(list(scores), 6)
    chosen = [i for rows in groups.values() for i in rows]
    assert len(chosen) == len(set(chosen)) == (total if total < 3 else 3 * min(6, total // 3))
    assert [scores[i] for i in chosen] == sorted((scores[i] for i in chosen), reverse=True)
    if total:
        assert scores[chosen[0]] == max(scores)
    if total > 2:
        assert scores[chosen[-1]] == min(scores)


def test_an_overlay_changes_the_masked_pixels_only() -> None:
    image = np.full((40, 60, 3), 100, np.uint8)
    mask = np.zeros((40, 60), np.bool_)
    mask[10:20, 10:30] = True
    drawn = overlay(image, [(mask, FOUND)])
    assert ((drawn != image).any(axis=2) == mask).all()
    assert (image == 100).all()


def test_a_point_is_still_seen_on_a_large_photo() -> None:
    image = np.zeros((1500, 2000, 3), np.uint8)
    mask = np.zeros((1500, 2000), np.bool_)
    mask[700, 900] = True
    drawn = overlay(image, [(mask, FOUND)])
    assert drawn.shape == (240, 320, 3)
    assert drawn.any()


def test_a_page_holds_its_pictures_and_escapes_names(tmp_path: Path) -> None:
    image = np.full((20, 30, 3), 200, np.uint8)
    path = tmp_path / "new" / "page.html"
    write_page(path, "t", "n", {"Best": [Case("<b> & co", (image, image))], "Worst": []})
    text = path.read_text()
    assert "&lt;b&gt; &amp; co" in text
    assert "http" not in text
    pictures = re.findall(r"data:image/jpeg;base64,([^\"]+)", text)
    assert len(pictures) == 2
    assert PIL.Image.open(io.BytesIO(base64.b64decode(pictures[0]))).size == (30, 20)
