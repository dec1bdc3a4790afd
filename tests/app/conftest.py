"""A studio on a temporary folder, with a predictor that finds things by their colour."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest

from app import passwords
from app.project import InstanceStatus
from app.segmentation import Studio
from app.settings import Settings
from dinov.images import ImageTransform
from dinov.masks import encode_rle, rasterise, rle_area, rle_box_xyxy
from dinov.postprocess import MASK_STRIDE
from dinov.predictor import Comparison
from dinov.types import Instance, Prompt, Referral, Segmentation

RED, GREEN, BLUE, WHITE = (220, 20, 20), (20, 200, 20), (20, 20, 220), (255, 255, 255)


class ColorPredictor:
    """Stands in for the model: an embedding is a colour, an instance a patch of it.

    Patches of at least 100 pixels score 0.9, smaller ones 0.2.
    """

    variant = "color"
    input_size = 64
    score_threshold = 0.4
    likeness_threshold = -1.0
    fingerprint = "color-1-64"
    checkpoint_hash = "c0" * 32
    device_name = "CPU"

    def __init__(self) -> None:
        self.embedded: list[Prompt] = []
        self.segmented = 0
        self.tiles: list[int | None] = []
        self.before_segment = lambda: None

    def embed_prompts(self, image, prompts: Sequence[Prompt], *, for_refer: bool = False):
        import torch

        self.embedded += prompts
        masks = [rasterise(prompt, image.shape[:2]) for prompt in prompts]
        colors = [np.median(image[mask], axis=0).astype(np.float32) for mask in masks]
        return torch.from_numpy(np.stack(colors))

    def refer(
        self,
        image,
        bank,
        *,
        max_candidates=1,
        options=None,
        score_threshold=0.0,
        likeness_threshold=None,
    ) -> Referral:
        """Of patches of one colour the larger is the likelier; all scores of it add up to 1."""
        found = self.segment(image, bank, score_threshold=0).instances
        candidates = {}
        for category_id in bank.category_ids:
            ranked = [one for one in found if one.category_id == category_id]
            ranked.sort(key=lambda one: -one.area)
            total = sum(one.area for one in ranked)
            scored = [replace(one, score=one.area / total) for one in ranked]
            candidates[category_id] = tuple(scored[:max_candidates])
        return Referral(image.shape[:2], candidates)

    def compare(self, image, concepts):
        """One proposal per concept: what has its colour; it is of that concept and of no other."""
        import torch

        transform = ImageTransform.fit(image.shape[:2], self.input_size)
        masks = []
        for color in concepts:
            near = np.abs(image.astype(np.float32) - color.numpy()).max(axis=2) < 100
            masks.append(transform.apply_mask(near)[::MASK_STRIDE, ::MASK_STRIDE])
        logits = torch.eye(len(masks)) * 20 - 10
        inside = torch.from_numpy(np.stack(masks).astype(np.float32)) * 20 - 10
        return Comparison(logits, inside, transform)

    def segment(
        self, image, bank, *, score_threshold=None, options=None, tile=None
    ) -> Segmentation:
        self.before_segment()
        self.segmented += 1
        self.tiles.append(tile)
        threshold = self.score_threshold if score_threshold is None else score_threshold
        instances = []
        for category_id in bank.category_ids:
            colors = bank.positives[category_id].numpy()
            near = np.zeros(image.shape[:2], np.uint8)
            for color in colors:
                near |= (np.abs(image.astype(np.float32) - color).max(axis=2) < 30).astype(np.uint8)
            count, labels = cv2.connectedComponents(near)
            for label in range(1, count):
                rle = encode_rle(labels == label)
                score = 0.9 if rle_area(rle) >= 100 else 0.2
                if score >= threshold:
                    box, area = rle_box_xyxy(rle), rle_area(rle)
                    instances.append(Instance(category_id, score, rle, box, area))
        instances.sort(key=lambda instance: -instance.score)
        return Segmentation(image.shape[:2], tuple(instances))


def draw(size_hw=(60, 80), patches=(), background=WHITE) -> np.ndarray:
    """A picture with patches (x0, y0, x1, y1, colour)."""
    picture = np.full((*size_hw, 3), background, np.uint8)
    for x0, y0, x1, y1, color in patches:
        picture[y0:y1, x0:x1] = color
    return picture


def as_bytes(picture: np.ndarray, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(picture).save(buffer, kind, **options)
    return buffer.getvalue()


def decide(studio: Studio, instance_id: int, status: str = "accepted") -> None:
    """Accept an instance, reject it, or make it a proposal again."""
    image_id = studio._store.instance(instance_id).image_id
    studio.editing.decide(image_id, [instance_id], InstanceStatus(status))


REFERENCE = draw(patches=[(10, 10, 30, 30, RED), (50, 10, 70, 30, GREEN)])
TARGET = draw(
    patches=[
        (5, 5, 25, 25, RED),
        (40, 30, 60, 50, RED),
        (70, 50, 74, 54, RED),
        (30, 5, 38, 25, BLUE),
    ]
)


@pytest.fixture(autouse=True)
def _cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes cost a third of a second on purpose; tests make many."""
    monkeypatch.setattr(passwords, "_COST", 4)


@pytest.fixture
def predictor() -> ColorPredictor:
    return ColorPredictor()


@pytest.fixture
def studio(tmp_path: Path, predictor: ColorPredictor) -> Iterator[Studio]:
    opened = Studio.open(Settings(data_dir=tmp_path / "data"), load_predictor=lambda _: predictor)
    yield opened
    opened.close()


class Marked:
    """A project with one marked reference and two targets."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.id = studio.create_project("Patches").id
        files = [
            ("reference.png", as_bytes(REFERENCE)),
            ("target.png", as_bytes(TARGET)),
            ("empty.png", as_bytes(draw())),
        ]
        self.reference, self.target, self.empty = studio.add_images(self.id, files).added
        studio.set_role(self.reference.id, is_target=False)
        self.prompt_id = studio.add_prompt(
            self.id, self.reference.id, "red", "box", [12, 12, 28, 28]
        )
        self.red = studio.categories(self.id)[0]


@pytest.fixture
def marked(studio: Studio) -> Marked:
    return Marked(studio)
