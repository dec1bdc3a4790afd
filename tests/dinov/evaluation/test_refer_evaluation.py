from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dinov.checkpoints import save_model
from dinov.config import VARIANTS
from dinov.errors import InvalidDataset
from dinov.evaluation import command, refer
from dinov.evaluation.refer import CROSS, SAME, ReferEpisode, draw_refer_episodes, evaluate_refer
from dinov.evaluation.refer_command import refer_markdown, refer_report
from dinov.masks import instance_of
from dinov.model.build import build_model
from dinov.training.datasets import read_folders
from dinov.training.samples import Folder
from dinov.types import Mask, PromptType

WriteFolder = Callable[..., Path]
KINDS = [PromptType.MASK, PromptType.POINT]


@pytest.fixture
def folders(write_folder: WriteFolder) -> list[Folder]:
    """The first objects of two photos are the same one."""
    folders = read_folders([write_folder()], "train")
    samples = list(folders[0].samples)
    for i in (0, 1):
        first, *others = samples[i].truths
        samples[i] = replace(samples[i], truths=(replace(first, identity="one"), *others))
    return [replace(folders[0], samples=tuple(samples))]


def test_episodes_ask_for_objects_among_others_and_for_the_same_one_elsewhere(
    folders: list[Folder],
) -> None:
    episodes = draw_refer_episodes(folders, per_folder=3)
    same = [e for e in episodes if e.setting == SAME]
    cross = [e for e in episodes if e.setting == CROSS]
    assert len(same) == len(cross) == 3
    assert all(len(e.target.truths) > 1 and e.example is e.truth for e in same)
    assert all(e.example.identity == e.truth.identity == "one" for e in cross)
    assert episodes == draw_refer_episodes(folders, per_folder=3)


def test_semantic_masks_are_no_objects(folders: list[Folder]) -> None:
    samples = tuple(
        replace(s, truths=tuple(replace(t, is_semantic=True) for t in s.truths))
        for s in folders[0].samples
    )
    with pytest.raises(InvalidDataset, match="instance masks"):
        draw_refer_episodes([replace(folders[0], samples=samples)], per_folder=3)


def test_figures_are_means_over_objects(
    folders: list[Folder], monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(predictor: Any, episode: ReferEpisode, kind: PromptType) -> Mask | None:
        return episode.truth.mask() if kind is PromptType.MASK else None

    monkeypatch.setattr(refer, "find", find)
    predictor: Any = None
    episodes = draw_refer_episodes(folders, per_folder=2)
    figures = refer_report(evaluate_refer(predictor, episodes, KINDS), {})
    same = figures["settings"][SAME]["all"]
    assert same["iou"] == {"mask": 1.0, "point": 0.0}
    assert same["share_over_half"] == 0.5
    assert same["standing_still"] is None
    assert figures["settings"][CROSS]["folders"]["discs"]["standing_still"] < 0.5
    assert "| discs | 2 | 1.000 | 0.000 | 0.500 | – |" in refer_markdown(figures)


def test_an_object_that_stays_where_it_is_is_found_by_standing_still(
    folders: list[Folder],
) -> None:
    mask = np.zeros((96, 96), np.bool_)
    mask[:20] = True
    (first, *_), (second, *_) = (s.truths for s in folders[0].samples[:2])
    moved = [replace(t, shape=instance_of(mask, 1, 1.0).rle) for t in (first, second)]
    one, two = folders[0].samples[:2]
    episode = ReferEpisode("f", one, moved[0], two, moved[1], 0)
    predictor: Any = None
    assert evaluate_refer(predictor, [episode], []).still == [1.0]


def test_the_command_writes_a_report_and_a_page(write_folder: WriteFolder, tmp_path: Path) -> None:
    checkpoint = save_model(build_model(VARIANTS["tiny"]), tmp_path / "tiny.safetensors", {})
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    out = tmp_path / "out"
    options = ["--checkpoint", str(checkpoint), "--data", str(write_folder()), "--output", str(out)]
    args = parser.parse_args(["refer", *options, "--per-folder", "2", "--prompts", "box"])
    assert command.run(args) == 0
    content = json.loads((out / "refer.json").read_text())
    assert content["settings"][SAME]["all"]["objects"] == 2
    assert CROSS not in content["settings"]  # nothing there has a track
    assert (out / "refer.md").is_file()
    assert "data:image/jpeg" in (out / "refer.html").read_text()
