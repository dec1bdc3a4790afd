from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dinov.checkpoints import save_model
from dinov.config import VARIANTS
from dinov.errors import InvalidDataset
from dinov.evaluation import coco, command
from dinov.evaluation.coco import CocoResult, draw_references, evaluate_folder, flat_truth
from dinov.masks import instance_of
from dinov.model.build import build_model
from dinov.prompt_bank import PromptBank
from dinov.training.datasets import read_folders
from dinov.training.samples import Folder, Sample
from dinov.types import Mask, Prompt, PromptType, Segmentation

WriteFolder = Callable[..., Path]
Found = tuple[str, Mask, float]


class Oracle:
    """Finds what it is told to, photo after photo."""

    def __init__(self, samples: Sequence[Sample], answers: Sequence[Sequence[Found]]) -> None:
        self.answers = [
            Segmentation(
                sample.size_hw,
                tuple(
                    instance_of(mask, number[category], score)
                    for category, mask, score in sorted(answer, key=lambda found: -found[2])
                    for number in [{"blue": 1, "green": 2, "red": 3}]
                ),
            )
            for sample, answer in zip(samples, answers, strict=True)
        ]
        self.asked = 0

    def segment(self, image: Any, bank: PromptBank, *, score_threshold: float) -> Segmentation:
        answer = self.answers[self.asked // 2]  # once for regions, once to rank
        self.asked += 1
        sure = tuple(i for i in answer.instances if i.score >= score_threshold)
        return replace(answer, instances=sure)


def corner() -> Mask:
    """A region that no object covers."""
    mask = np.zeros((96, 96), np.bool_)
    mask[:3, :3] = True
    return mask


@pytest.fixture
def val(write_folder: WriteFolder) -> Folder:
    (folder,) = read_folders([write_folder()], "val")
    return folder


def right_answers(folder: Folder) -> list[list[Found]]:
    return [[(t.category, t.mask(), 0.9) for t in sample.truths] for sample in folder.samples]


def measure(
    folder: Folder, answers: list[list[Found]], monkeypatch: pytest.MonkeyPatch
) -> CocoResult:
    oracle: Any = Oracle(folder.samples, answers)
    proposals = iter(
        torch.from_numpy(np.stack([mask for _, mask, _ in answer] or [np.zeros((96, 96), bool)]))
        for answer in answers
    )
    monkeypatch.setattr(coco, "proposed_masks", lambda *_: next(proposals))
    bank = PromptBank("f", {i: torch.zeros(1, 4) for i in (1, 2, 3)}, {}, ())
    return evaluate_folder(oracle, folder, bank, folder.samples, 0.5)


def test_the_truth_itself_is_perfect(val: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    result = measure(val, right_answers(val), monkeypatch)
    assert result.images == 3
    assert result.figures == pytest.approx(
        {"ap": 1.0, "ap50": 1.0, "ap75": 1.0, "recall50": 1.0, "pq": 1.0, "miou": 1.0}
    )
    assert {iou for _, iou in result.by_image} == {1.0}


def test_what_is_missed_and_what_is_false_costs(
    val: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = right_answers(val)
    answers[2] = []  # the only green one
    answers[1].append(("red", corner(), 0.95))
    result = measure(val, answers, monkeypatch)
    assert result.figures["ap50"] == pytest.approx((1 + 0 + 0.5) / 3)
    assert result.figures["recall50"] == pytest.approx(3 / 4)
    assert result.by_category["pq"] == pytest.approx({"blue": 1.0, "green": 0.0, "red": 1 / 1.5})
    assert result.by_category["iou"]["green"] == 0


def test_nothing_found_is_no_error(val: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = measure(val, [[], [], []], monkeypatch).figures
    assert figures == dict.fromkeys(("ap", "ap50", "ap75", "recall50", "pq", "miou"), 0.0)


def test_finds_of_a_category_that_is_not_annotated_throughout_do_not_count(
    write_folder: WriteFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder,) = read_folders([write_folder(exhaustive="no")], "val")
    answers = right_answers(folder)
    for answer in answers:
        shown = {category for category, _, _ in answer}
        elsewhere = [name for name in ("blue", "green", "red") if name not in shown]
        answer += [(name, corner(), 0.95) for name in elsewhere]
    figures = measure(folder, answers, monkeypatch).figures
    assert figures["ap"] == figures["pq"] == figures["miou"] == pytest.approx(1.0)


def test_semantic_masks_are_regions_but_no_objects(
    val: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = tuple(
        replace(s, truths=tuple(replace(t, is_semantic=True) for t in s.truths))
        for s in val.samples
    )
    figures = measure(replace(val, samples=samples), right_answers(val), monkeypatch).figures
    assert figures["ap"] is None
    assert figures["recall50"] is None
    assert figures["pq"] == figures["miou"] == 1.0


def test_smaller_objects_lie_on_top(val: Folder) -> None:
    truth = val.samples[0].truths[0]
    number = {"red": 3, "blue": 1}
    outer = np.ones((96, 96), np.bool_)
    whole = replace(truth, shape=instance_of(outer, 1, 1.0).rle, area=96 * 96)
    flat = flat_truth([truth, whole], number, (96, 96))
    assert [segment.area for segment in flat.segments] == [96 * 96 - truth.area, truth.area]


def test_examples_come_from_training_photos_only(write_folder: WriteFolder, val: Folder) -> None:
    train = read_folders([write_folder()], "train")
    drawn = draw_references(train, val, examples=2, kind=PromptType.BOX, seed=0)
    assert all(sample.path.name.startswith("train") for sample, _ in drawn)
    prompts = [prompt for _, own in drawn for prompt in own]
    assert sorted(p.category_id for p in prompts) == [1, 1, 2, 3, 3]
    assert draw_references([val], val, examples=2, kind=PromptType.BOX, seed=0) == []


def test_data_of_another_name_take_examples_from_all_training_data(
    write_folder: WriteFolder, val: Folder
) -> None:
    train = read_folders([write_folder(name="others")], "train")
    drawn: list[tuple[Sample, list[Prompt]]] = draw_references(
        train, val, examples=1, kind=PromptType.MASK, seed=0
    )
    assert {prompt.category_id for _, own in drawn for prompt in own} == {1, 2, 3}


def test_a_folder_without_examples_is_named(val: Folder) -> None:
    bank = PromptBank("f", {}, {}, ())
    predictor: Any = None
    with pytest.raises(InvalidDataset, match="discs"):
        evaluate_folder(predictor, val, bank, val.samples, 0.5)


def test_the_command_writes_a_report_and_a_page(write_folder: WriteFolder, tmp_path: Path) -> None:
    checkpoint = save_model(build_model(VARIANTS["tiny"]), tmp_path / "tiny.safetensors", {})
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    out = tmp_path / "out"
    options = ["--checkpoint", str(checkpoint), "--data", str(write_folder()), "--output", str(out)]
    assert command.run(parser.parse_args(["coco", *options, "--max-images", "2"])) == 0
    content = json.loads((out / "coco.json").read_text())
    assert content["folders"]["discs"]["images"] == 2
    assert content["setup"]["examples"] == 16
    assert content["mean"].keys() == {"ap", "ap50", "ap75", "recall50", "pq", "miou"}
    assert "| discs | 2 | 3 |" in (out / "coco.md").read_text()
    assert "data:image/jpeg" in (out / "coco.html").read_text()
