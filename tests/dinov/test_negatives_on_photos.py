"""What must not be found is not found, in both tasks, on a real photo with the real checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dinov.images import read_rgb
from dinov.masks import rle_iou
from dinov.predictor import ANY_LIKENESS, Predictor
from dinov.prompt_bank import PromptBank
from dinov.types import Image, Instance, Prompt, PromptType, Reference, Rle

pytestmark = [pytest.mark.weights, pytest.mark.slow]


class Photo:
    """A photo with the largest object of each category."""

    def __init__(self, folder: Path, predictor: Predictor, image_id: int) -> None:
        document = json.loads((folder / "val.json").read_text())
        names = {c["id"]: c["name"] for c in document["categories"]}
        self.image: Image = read_rgb(folder / f"images/{image_id:012d}.jpg")
        annotations = [one for one in document["annotations"] if one["image_id"] == image_id]
        annotations.sort(key=lambda one: one["area"])
        self.objects: dict[str, Rle] = {
            names[one["category_id"]]: one["segmentation"] for one in annotations
        }
        self.predictor = predictor

    def bank(self, wanted: str, *unwanted: str) -> PromptBank:
        marks = [
            Prompt(1, PromptType.MASK, rle=self.objects[name], positive=name == wanted)
            for name in (wanted, *unwanted)
        ]
        return self.predictor.embed_references([Reference(self.image, marks)])

    def has(self, found: tuple[Instance, ...], name: str) -> bool:
        return any(rle_iou(one.rle, self.objects[name]) > 0.6 for one in found)


@pytest.fixture(scope="module")
def photo(shared_dir: Path, lite_checkpoint: Path) -> Callable[[int], Photo]:
    predictor = Predictor.from_checkpoint(str(lite_checkpoint), device="cpu")
    return lambda image_id: Photo(shared_dir / "data/coco_mini", predictor, image_id)


@pytest.mark.parametrize(
    ("image_id", "wanted", "unwanted"),
    [(213003, "laptop", "keyboard"), (139270, "cup", "bowl")],
)
def test_generic_drops_what_fits_the_negative_better(
    photo: Callable[[int], Photo], image_id: int, wanted: str, unwanted: str
) -> None:
    """Of each photo, the one is also taken for the other as long as there is no negative."""
    shown = photo(image_id)

    def segment(bank: PromptBank) -> tuple[Instance, ...]:
        return shown.predictor.segment(shown.image, bank, score_threshold=0.15).instances

    before, after = segment(shown.bank(wanted)), segment(shown.bank(wanted, unwanted))
    assert shown.has(before, wanted)
    assert shown.has(before, unwanted)
    assert shown.has(after, wanted)
    assert not shown.has(after, unwanted)


@pytest.mark.parametrize(("wanted", "unwanted"), [("dog", "handbag"), ("handbag", "dog")])
def test_refer_has_no_candidate_that_fits_the_negative_better(
    photo: Callable[[int], Photo], wanted: str, unwanted: str
) -> None:
    on_a_bed = photo(22192)

    def candidates(bank: PromptBank) -> tuple[Instance, ...]:
        return on_a_bed.predictor.refer(
            on_a_bed.image, bank, likeness_threshold=ANY_LIKENESS, max_candidates=200
        ).candidates[1]

    before = candidates(on_a_bed.bank(wanted))
    after = candidates(on_a_bed.bank(wanted, unwanted))
    assert on_a_bed.has(before, unwanted)
    assert not on_a_bed.has(after, unwanted)
    assert after[0].rle == before[0].rle, "the object itself is still the best"
