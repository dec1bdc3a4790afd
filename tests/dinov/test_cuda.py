"""A GPU finds what the CPU finds, on the example photos and on noise."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dinov import cli
from dinov.images import read_rgb
from dinov.masks import rle_iou
from dinov.predictor import Predictor
from dinov.prompt_bank import PromptBank
from dinov.refer import ReferOptions
from dinov.references import read_references
from dinov.tracker import VideoTracker
from dinov.types import Category, Image, Instance, Prompt, PromptType, Reference
from tests.dinov.tiny import make_predictor, photo

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

SAME = 0.99
"""IoU of two masks that differ in single pixels of their edges."""


@pytest.fixture(autouse=True)
def _convolutions_in_full_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """By default a GPU rounds their inputs to 11 bits (TF32)."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.fixture(scope="module")
def example(repository: Path) -> Path:
    return repository / "assets/example"


@pytest.fixture(scope="module")
def on_cpu(lite_checkpoint: Path) -> Predictor:
    return Predictor.from_checkpoint(str(lite_checkpoint), device="cpu")


@pytest.fixture(scope="module")
def on_gpu(lite_checkpoint: Path) -> Predictor:
    return Predictor.from_checkpoint(str(lite_checkpoint), device="cuda")


def found_in(predictor: Predictor, example: Path, targets: Sequence[Image]) -> list[list[Instance]]:
    bank = predictor.embed_references(read_references(example / "references.json"))
    return [list(predictor.segment(target, bank).instances) for target in targets]


def assert_same(found: Sequence[Instance], expected: Sequence[Instance]) -> None:
    assert [one.category_id for one in found] == [one.category_id for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.score == pytest.approx(other.score, abs=2e-3)
        assert rle_iou(one.rle, other.rle) >= SAME


@pytest.fixture(scope="module")
def targets(example: Path) -> list[Image]:
    return [read_rgb(path) for path in sorted((example / "targets").iterdir())]


@pytest.fixture(scope="module")
def expected(on_cpu: Predictor, example: Path, targets: list[Image]) -> list[list[Instance]]:
    found = found_in(on_cpu, example, targets)
    assert sum(map(len, found)) > 4
    return found


def test_the_same_objects_of_a_category(
    on_gpu: Predictor, example: Path, targets: list[Image], expected: list[list[Instance]]
) -> None:
    for found, wanted in zip(found_in(on_gpu, example, targets), expected, strict=True):
        assert_same(found, wanted)


def test_a_worker_thread_finds_the_same(
    on_gpu: Predictor, example: Path, targets: list[Image], expected: list[list[Instance]]
) -> None:
    with ThreadPoolExecutor(1) as pool:
        (found,) = pool.submit(found_in, on_gpu, example, targets[-1:]).result()
    assert_same(found, expected[-1])


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_finds_what_is_not_at_the_threshold(
    lite_checkpoint: Path,
    example: Path,
    targets: list[Image],
    expected: list[list[Instance]],
    precision: str,
) -> None:
    half = Predictor.from_checkpoint(str(lite_checkpoint), device="cuda", precision=precision)
    for found, wanted in zip(found_in(half, example, targets), expected, strict=True):
        for one in wanted:
            if one.score > half.score_threshold + 0.03:
                same = [other for other in found if other.category_id == one.category_id]
                assert max((rle_iou(one.rle, other.rle) for other in same), default=0) > 0.9


def test_the_same_object_again(on_cpu: Predictor, on_gpu: Predictor, example: Path) -> None:
    references = list(read_references(example / "references.json"))[:1]
    target = np.ascontiguousarray(references[0].image[:, ::-1])
    found, wanted = (
        predictor.refer(target, predictor.embed_references(references), likeness_threshold=0.0)
        for predictor in (on_gpu, on_cpu)
    )
    assert wanted.best.instances
    assert_same(found.best.instances, wanted.best.instances)


def test_several_targets_together_are_each_as_if_alone(
    lite_checkpoint: Path, on_gpu: Predictor, example: Path, targets: list[Image]
) -> None:
    assert on_gpu.batch_size > 1
    together = Predictor.from_checkpoint(
        str(lite_checkpoint), device="cuda", cache_bytes=0, batch_size=3
    )
    images = [*targets, *(np.ascontiguousarray(target[:, ::-1]) for target in targets)]
    bank = on_gpu.embed_references(read_references(example / "references.json"))
    alone = [on_gpu.segment(image, bank) for image in images]
    assert sum(map(len, alone)) > 4
    for found, wanted in zip(together.segment_many(images, bank), alone, strict=True):
        assert_same(found.instances, wanted.instances)
    referrals = together.refer_many(images, bank, likeness_threshold=0.0)
    for image, referral in zip(images, referrals, strict=True):
        assert_same(
            referral.best.instances,
            on_gpu.refer(image, bank, likeness_threshold=0.0).best.instances,
        )


def test_tiles_together_are_each_as_if_alone(
    on_cpu: Predictor, on_gpu: Predictor, example: Path, targets: list[Image]
) -> None:
    bank = on_cpu.embed_references(read_references(example / "references.json"))
    found, wanted = (p.segment(targets[0], bank, tile=256) for p in (on_gpu, on_cpu))
    assert_same(found.instances, wanted.instances)


def test_the_same_track(on_cpu: Predictor, on_gpu: Predictor, example: Path) -> None:
    reference = next(iter(read_references(example / "references.json")))
    frames = [np.roll(reference.image, 12 * step, axis=1) for step in range(4)]
    marks = {0: reference.prompts[-1:]}
    found, wanted = (
        list(VideoTracker(predictor).track(frames, marks)) for predictor in (on_gpu, on_cpu)
    )
    assert any(frame.instances for frame in wanted[1:])
    for one, other in zip(found, wanted, strict=True):
        assert_same(one.instances, other.instances)


def test_marks_join_a_bank_that_was_read_from_a_file(tmp_path: Path) -> None:
    predictor = make_predictor(device="cuda")
    box = Prompt(1, PromptType.BOX, (10.0, 10.0, 60.0, 50.0))
    point = Prompt(2, PromptType.POINT, (100.0, 80.0), positive=True)
    stored = predictor.embed_references([Reference(photo(0), [point])], [Category(2, "stone")])
    from_file = PromptBank.load(stored.save(tmp_path / "bank.safetensors"))
    embedding = predictor.embed_prompts(photo(1), [box])[0]
    bank = PromptBank.of(predictor.fingerprint, [(box, embedding)], others=[from_file])
    assert bank.category_ids == [1, 2]
    assert len(predictor.segment(photo(2), bank, score_threshold=0.0)) > 0


def test_a_batch_is_the_same_file(example: Path, tmp_path: Path) -> None:
    def segment(device: str) -> list[Mapping[str, Any]]:
        output = tmp_path / f"{device}.json"
        words = ["segment", "--references", example / "references.json"]
        words += ["--targets", example / "targets", "--output", output]
        words += ["--device", device, "--mask-encoding", "rle"]
        assert cli.main([str(word) for word in words]) == 0
        rows: list[Mapping[str, Any]] = json.loads(output.read_text())["annotations"]
        return rows

    found, wanted = segment("cuda"), segment("cpu")
    keys = ("image_id", "category_id")
    assert [[row[key] for key in keys] for row in found] == [
        [row[key] for key in keys] for row in wanted
    ]
    for row, other in zip(found, wanted, strict=True):
        assert rle_iou(row["segmentation"], other["segmentation"]) >= SAME


@pytest.mark.parametrize("size_hw", [(1, 1), (2, 3), (31, 250), (300, 40)])
def test_images_of_any_size(size_hw: tuple[int, int]) -> None:
    predictor = make_predictor(device="cuda")
    height, width = size_hw
    prompt = Prompt(1, PromptType.POINT, (width / 2, height / 2))
    bank = predictor.embed_references([Reference(photo(0, *size_hw), [prompt])])
    assert predictor.segment(photo(1, *size_hw), bank, score_threshold=0.0).size_hw == size_hw
    # Untrained proposals survive, and their masks are brought to the size of the image.
    anything = ReferOptions(grid=4, iou_threshold=-1e9, min_area=0)
    assert predictor.refer(photo(1, *size_hw), bank, options=anything).size_hw == size_hw
