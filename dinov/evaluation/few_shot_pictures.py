"""The cases of a few-shot evaluation that are worth a look."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dinov.evaluation.episodes import Episode
from dinov.evaluation.few_shot import MethodResult
from dinov.evaluation.methods import PredictorMethod
from dinov.evaluation.pictures import CASES, FOUND, MARKED, TRUE, Case, extremes, overlay
from dinov.images import read_rgb
from dinov.masks import decode_rle, rasterise
from dinov.types import PromptType


def few_shot_cases(
    method: PredictorMethod, result: MethodResult, kind: PromptType
) -> dict[str, list[Case]]:
    """Best, median and worst by IoU, and the most that was found where the category is absent."""
    threshold = result.best_threshold()
    score = float(result.thresholds[threshold])
    pairs = list(zip(result.episodes, result.coverages[kind], strict=True))
    present = [(e, float(c.iou[threshold])) for e, c in pairs if not e.absent]
    absent = [(e, float(c.area[threshold])) for e, c in pairs if e.absent]
    absent.sort(key=lambda pair: -pair[1])

    def cases(chosen: Sequence[tuple[Episode, float]], figure: str) -> list[Case]:
        return [_case(method, e, kind, score, f"{figure} {value:.2f}") for e, value in chosen]

    groups = {
        name: cases([present[i] for i in rows], "IoU")
        for name, rows in extremes([value for _, value in present]).items()
    }
    if absent:
        groups["Absent, and found most"] = cases(absent[:CASES], "share of the photo")
    return groups


def _case(
    method: PredictorMethod, episode: Episode, kind: PromptType, score: float, figure: str
) -> Case:
    reference = episode.references(kind)[0]
    mark = rasterise(reference.prompts[0], reference.image.shape[:2])
    image = read_rgb(episode.target.path)
    found = np.zeros(episode.target.size_hw, np.bool_)
    for instance in method.segment(episode, kind, score).instances:
        found |= decode_rle(instance.rle)
    return Case(
        f"{episode.folder}, {episode.category}: {figure} ({episode.target.path.name})",
        (
            overlay(reference.image, [(mark, MARKED)]),
            overlay(image, [(episode.truth(), TRUE)]),
            overlay(image, [(found, FOUND)]),
        ),
    )
