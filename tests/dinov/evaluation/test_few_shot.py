from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import PIL.Image
import pytest
import torch

from dinov.checkpoints import save_model
from dinov.config import VARIANTS
from dinov.device import lower_weights, resolve_device, resolve_precision
from dinov.errors import InvalidDataset
from dinov.evaluation import command, methods, report
from dinov.evaluation.episodes import Episode, draw_episodes
from dinov.evaluation.few_shot import MethodResult, evaluate
from dinov.evaluation.methods import BestProposalMethod, CosineMethod, ForegroundMethod
from dinov.evaluation.metrics import Coverage, Curve, map_coverage
from dinov.images import read_rgb
from dinov.masks import rasterise
from dinov.model.build import build_model
from dinov.predictor import Predictor
from dinov.training.datasets import read_folders
from dinov.types import Mask, PromptType, Reference

WriteFolder = Callable[..., Path]
KINDS = [PromptType.MASK, PromptType.POINT]


@pytest.fixture
def episodes(write_folder: WriteFolder) -> list[Episode]:
    folder = write_folder()
    train, val = read_folders([folder], "train"), read_folders([folder], "val")
    return draw_episodes(train, val, shots=1, per_category=2, seed=0)


class ColorMethod:
    """Finds the pixels that look like the prompted ones."""

    name = "color"
    thresholds: Curve = np.array([0.1, 0.5, 0.9])

    def cover(self, episode: Episode, kind: PromptType) -> Coverage:
        (reference,) = episode.references(kind)
        marked = np.zeros(episode.target.size_hw, np.bool_)
        sample, truth = episode.examples[0]
        color = {"red": 0, "green": 1, "blue": 2}[truth.category]
        assert reference.image.shape[:2] == sample.size_hw
        pixels = read_rgb(episode.target.path).astype(int)
        marked = pixels[..., color] - np.delete(pixels, color, axis=2).max(axis=2) > 50
        return map_coverage(marked * 0.7, episode.truth(), self.thresholds)


def test_episodes_pair_train_references_with_val_targets(episodes: list[Episode]) -> None:
    present = [episode for episode in episodes if not episode.absent]
    assert {episode.category for episode in present} == {"red", "blue", "green"}
    assert sum(episode.category == "blue" for episode in present) == 2
    for episode in episodes:
        ((sample, truth),) = episode.examples
        assert sample.path.name.startswith("train")
        assert truth.category == episode.category
        assert episode.target.path.name.startswith("val")
        assert episode.truth().any() != episode.absent


def test_absent_episodes_need_an_exhaustive_folder(write_folder: WriteFolder) -> None:
    folder = write_folder(exhaustive="one object per image")
    train, val = read_folders([folder], "train"), read_folders([folder], "val")
    assert not any(e.absent for e in draw_episodes(train, val, shots=1, per_category=2))


def test_references_are_never_the_target(write_folder: WriteFolder) -> None:
    val = read_folders([write_folder()], "val")
    for episode in draw_episodes(val, val, shots=5, per_category=5):
        assert all(sample.path != episode.target.path for sample, _ in episode.examples)


def test_several_references_per_episode(write_folder: WriteFolder) -> None:
    folder = write_folder()
    train, val = read_folders([folder], "train"), read_folders([folder], "val")
    drawn = draw_episodes(train, val, shots=2, per_category=1)
    counts = {episode.category: len(episode.references(PromptType.BOX)) for episode in drawn}
    assert counts == {"red": 2, "blue": 2, "green": 1}


def test_prompts_of_an_episode_are_the_same_at_every_call(episodes: list[Episode]) -> None:
    first, again = (episodes[0].references(PromptType.SCRIBBLE)[0] for _ in range(2))
    assert first.prompts == again.prompts


def test_the_right_answer_scores_one_and_everything_scores_the_area(
    episodes: list[Episode],
) -> None:
    right, everything = evaluate([ColorMethod(), ForegroundMethod()], episodes, KINDS)
    best = right.best_threshold()
    assert right.thresholds[best] in (0.1, 0.5)
    assert right.iou(PromptType.POINT, best) == pytest.approx(1.0)
    assert right.false_positive_area(best) == 0
    assert right.iou(PromptType.POINT, 2) == 0
    area = np.pi * 14**2 / 96**2
    assert everything.iou(PromptType.MASK, 0) == pytest.approx(area, rel=0.05)
    assert everything.false_positive_area(0) == 1


def test_the_threshold_is_the_highest_that_costs_nearly_nothing() -> None:
    result = MethodResult("any", np.array([0.1, 0.2, 0.3, 0.4]))
    result.episodes = [Episode("f", "c", (), None, 0)]  # type: ignore[arg-type]
    iou = np.array([0.500, 0.499, 0.496, 0.400])
    result.coverages = {PromptType.MASK: [Coverage(iou, iou)]}
    assert result.thresholds[result.best_threshold()] == 0.3


def test_a_report_reads_as_json_and_as_tables(episodes: list[Episode], tmp_path: Path) -> None:
    results = evaluate([ColorMethod(), ForegroundMethod()], episodes, KINDS)
    figures = report.few_shot_report(results, {"shots": 1})
    as_json, as_text = report.write(
        figures, report.to_markdown(figures), tmp_path / "out", "few_shot"
    )
    content = json.loads(as_json.read_text())
    assert content["categories"] == 3
    assert content["methods"][0]["folders"]["discs"]["point"] == pytest.approx(1.0)
    assert content["methods"][0]["categories"]["mask"]["discs/red"] == pytest.approx(1.0)
    text = as_text.read_text()
    assert "| color | 1.000 | 1.000 | 0.500 | 0.0% |" in text
    assert "| discs | 1.000 | 1.000 | 0.0" in text


def test_novel_categories_are_told_apart(episodes: list[Episode]) -> None:
    right = evaluate([ColorMethod()], episodes, [PromptType.MASK])
    for episode, coverage in zip(
        right[0].episodes, right[0].coverages[PromptType.MASK], strict=True
    ):
        if episode.category == "red":
            coverage.iou[:] = 0.0
    figures = report.few_shot_report(right, {}, novel=["discs/red"])
    groups = figures["methods"][0]["groups"]
    assert groups["novel"]["mask"] == 0.0
    assert groups["seen"]["mask"] == pytest.approx(1.0)
    assert "| color, novel | 0.000 |" in report.to_markdown(figures)
    whole = report.few_shot_report(right, {}, novel=["discs"])["methods"][0]["groups"]
    assert whole["seen"]["mask"] is None
    assert "| color, seen | – |" in report.to_markdown(report.few_shot_report(right, {}, ["discs"]))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_cosine_similarity_runs_on_lite_features(episodes: list[Episode], precision: str) -> None:
    device, dtype = resolve_device("cpu"), resolve_precision(precision)
    model = build_model(VARIANTS["lite"]).eval()
    lower_weights(model, dtype)
    method = CosineMethod(model, input_size=96, device=device, dtype=dtype)
    coverage = method.cover(episodes[0], PromptType.POINT)
    assert coverage.iou.shape == method.thresholds.shape
    assert (np.diff(coverage.area) <= 0).all()


class Marking:
    """A predictor of which nothing is wanted but a bank."""

    def embed_references(self, references: list[Reference]) -> None: ...


@pytest.fixture
def proposing(monkeypatch: pytest.MonkeyPatch) -> Callable[..., BestProposalMethod]:
    """The method, where what a test says is proposed, whatever is marked."""

    def method(*masks: Mask) -> BestProposalMethod:
        proposed = torch.from_numpy(np.array(masks, np.bool_))
        monkeypatch.setattr(methods, "proposed_masks", lambda *_: proposed)
        return BestProposalMethod(cast(Predictor, Marking()))

    return method


def test_the_best_proposal_is_the_one_that_covers_the_truth(
    episodes: list[Episode], proposing: Callable[..., BestProposalMethod]
) -> None:
    episode = next(episode for episode in episodes if not episode.absent)
    truth = episode.truth()
    half = truth.copy()
    half[: int(np.nonzero(truth)[0].mean())] = False
    (iou,) = proposing(~truth, half).cover(episode, PromptType.BOX).iou
    assert iou == pytest.approx(half.sum() / truth.sum())


def test_where_nothing_is_proposed_nothing_is_found(
    episodes: list[Episode], proposing: Callable[..., BestProposalMethod]
) -> None:
    episode = next(episode for episode in episodes if not episode.absent)
    cover = proposing().cover(episode, PromptType.BOX)
    assert (cover.iou, cover.area) == ([0], [0])


def test_the_best_proposal_where_nothing_is_is_none(
    episodes: list[Episode], proposing: Callable[..., BestProposalMethod]
) -> None:
    episode = next(episode for episode in episodes if episode.absent)
    assert proposing(~episode.truth()).cover(episode, PromptType.BOX).area == [0]


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(arguments)


def test_the_command_writes_a_report(write_folder: WriteFolder, tmp_path: Path) -> None:
    checkpoint = save_model(build_model(VARIANTS["tiny"]), tmp_path / "tiny.safetensors", {})
    out = tmp_path / "out"
    options = ["--checkpoint", str(checkpoint), "--data", str(write_folder()), "--output", str(out)]
    options += ["--precision", "bfloat16"]
    args = parse("few-shot", *options, "--per-category", "1", "--prompts", "box", "--shots", "2")
    assert command.run(args) == 0
    content = json.loads((out / "few_shot_2.json").read_text())
    assert [method["name"] for method in content["methods"]] == [
        "DINOv",
        "best single proposal",
        "everything",
    ]
    assert content["setup"]["shots"] == 2
    assert content["setup"]["precision"] == "bfloat16"
    page = (out / "few_shot_2.html").read_text()
    assert page.count("data:image/jpeg") == 3 * page.count("<figure>") > 0


def test_numbers_of_references_are_compared_on_the_same_targets(
    write_folder: WriteFolder, tmp_path: Path
) -> None:
    checkpoint = save_model(build_model(VARIANTS["tiny"]), tmp_path / "tiny.safetensors", {})
    out = tmp_path / "out"
    options = ["--checkpoint", str(checkpoint), "--data", str(write_folder()), "--output", str(out)]
    args = parse(
        "few-shot", *options, "--per-category", "1", "--prompts", "box", "--shots", "2", "1"
    )
    assert command.run(args) == 0
    reports = json.loads((out / "few_shot.json").read_text())["by_references"]
    assert [report["setup"]["shots"] for report in reports] == [1, 2]
    # The same targets cover the same area and have the same proposals, whatever the references.
    for one, two in zip(*(each["methods"][1:] for each in reports), strict=True):
        assert one["iou"] == two["iou"]
    rows = [line.split(" | ")[:2] for line in (out / "few_shot.md").read_text().splitlines()[4:]]
    assert rows == [
        ["| DINOv", "1"],
        ["| DINOv", "2"],
        ["| best single proposal", "1"],
        ["| best single proposal", "2"],
        ["| everything", "1"],
        ["| everything", "2"],
    ]
    assert (out / "few_shot_1.json").is_file()


def test_fewer_references_are_the_first_ones(episodes: list[Episode]) -> None:
    two = replace(episodes[0], examples=episodes[0].examples * 2)
    assert two.with_references(1) == episodes[0]
    many, one = (e.references(PromptType.SCRIBBLE) for e in (two, two.with_references(1)))
    assert len(many) == 2
    assert many[0].prompts == one[0].prompts


def test_drawn_scribbles_are_marks_of_the_references(
    write_folder: WriteFolder, tmp_path: Path
) -> None:
    folder = write_folder()
    marks = np.zeros((96, 96), np.uint8)
    marks[10, 5:9], marks[50] = 1, 2
    PIL.Image.fromarray(marks).save(folder / "marks.png")
    document = json.loads((folder / "train.json").read_text())
    document["images"][1]["scribble_file"] = "marks.png"  # red and blue
    (folder / "train.json").write_text(json.dumps(document))
    train, val = read_folders([folder], "train"), read_folders([folder], "val")
    drawn = draw_episodes(train, val, shots=3, per_category=2, drawn=True)
    assert {episode.category for episode in drawn} == {"red", "blue"}
    assert all(len(episode.examples) == 1 for episode in drawn)
    (reference,) = drawn[0].references(PromptType.SCRIBBLE)
    assert rasterise(reference.prompts[0], (96, 96)).nonzero()[1].tolist() == [5, 6, 7, 8]
    assert drawn[0].references(PromptType.BOX)[0].prompts[0].type is PromptType.BOX
    with pytest.raises(InvalidDataset, match="scribble_file"):
        draw_episodes(val, val, shots=1, per_category=1, drawn=True)
    PIL.Image.fromarray(marks[:50]).save(folder / "marks.png")
    with pytest.raises(InvalidDataset, match=r"marks\.png"):
        drawn[0].references(PromptType.SCRIBBLE)


def test_the_command_names_a_folder_without_data(tmp_path: Path) -> None:
    args = parse("few-shot", "--data", str(tmp_path), "--output", str(tmp_path / "out"))
    with pytest.raises(InvalidDataset, match=r"train\.json"):
        command.run(args)
