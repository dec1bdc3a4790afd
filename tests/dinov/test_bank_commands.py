"""Prompt banks on the command line, and all that ``segment`` can be told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

from dinov import cli
from dinov.checkpoints import save_model
from dinov.config import VARIANTS
from dinov.masks import encode_rle
from dinov.model.build import build_model
from dinov.prompt_bank import PromptBank

Run = Callable[..., int]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    return save_model(build_model(VARIANTS["tiny"]), path, {"score_threshold": "0.5"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two references with two categories in every kind of annotation, and a target."""
    generator = np.random.default_rng(0)
    for name in ("1.png", "2.png", "target.png"):
        pixels = generator.integers(0, 256, (60, 80, 3), np.uint8)
        PIL.Image.fromarray(pixels).save(tmp_path / name)
    disc = np.hypot(*np.mgrid[-30:30, -40:40]) < 15
    polygon = [[5, 5, 30, 5, 30, 40, 5, 40]]
    annotations: list[dict[str, Any]] = [
        {"segmentation": polygon, "category_id": 3},
        {"segmentation": encode_rle(disc), "category_id": 3, "image_id": 2},
        {"bbox": [40, 10, 20, 20], "category_id": 8},
        {"segmentation": encode_rle(disc), "category_id": 3, "iscrowd": 1},
    ]
    document = {
        "images": [{"id": i, "file_name": f"{i}.png", "width": 80, "height": 60} for i in (1, 2)],
        "categories": [
            {"id": 8, "name": "stone", "isthing": 0},
            {"id": 3, "name": "leaf", "color": "#00ff00"},
        ],
        "annotations": [{"id": i, "image_id": 1} | a for i, a in enumerate(annotations, start=1)],
    }
    (tmp_path / "ref.json").write_text(json.dumps(document))
    return tmp_path


@pytest.fixture
def command(folder: Path, checkpoint: Path) -> Run:
    def run(name: str, *extra: object, size: int = 64) -> int:
        arguments = [name, *extra, "--checkpoint", checkpoint, "--input-size", size]
        return cli.main([str(argument) for argument in (*arguments, "--device", "cpu")])

    return run


@pytest.fixture
def bank(command: Run, folder: Path) -> Path:
    path = folder / "bank.safetensors"
    assert command("embed", "--references", folder / "ref.json", "--output", path) == 0
    return path


def test_every_annotation_but_crowds_is_an_example(bank: Path) -> None:
    loaded = PromptBank.load(bank)
    assert loaded.fingerprint.startswith("tiny-")
    assert [(c.name, c.color, c.is_thing) for c in loaded.named_categories] == [
        ("leaf", "#00ff00", True),
        ("stone", "#e6194b", False),
    ]


def test_at_most_so_many_examples_of_a_category(command: Run, folder: Path) -> None:
    output = folder / "few.safetensors"
    references = ("--references", folder / "ref.json")
    assert command("embed", *references, "--output", output, "--max-per-category", 1) == 0
    counts = {i: len(group) for i, group in PromptBank.load(output).positives.items()}
    assert counts == {3: 1, 8: 1}


def test_a_bank_can_be_made_in_lower_precision(command: Run, folder: Path, bank: Path) -> None:
    lower = folder / "lower.safetensors"
    references = ("--references", folder / "ref.json")
    assert command("embed", *references, "--output", lower, "--precision", "bfloat16") == 0
    full, rounded = (PromptBank.load(path).positives for path in (bank, lower))
    assert full.keys() == rounded.keys()
    for i, embeddings in full.items():
        assert not torch.equal(embeddings, rounded[i])
        torch.testing.assert_close(embeddings, rounded[i], rtol=0.2, atol=0.2)


def test_scores_come_worst_first(
    command: Run, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = folder / "b.safetensors"
    references = ("--references", folder / "ref.json")
    assert command("embed", *references, "--output", output, "--scores") == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split() for line in lines[lines.index("score  category  prompt on image") + 1 :]]
    assert [row[1] for row in rows[:3]] == ["leaf", "leaf", "stone"]
    assert 0 <= float(rows[0][0]) <= float(rows[1][0]) <= 1
    assert rows[2][0] == "-"
    assert rows[2][-4:] == ["50,", "20", "on", "1.png"]


def test_a_bad_annotation_is_left_out_and_told(
    command: Run, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    document = json.loads((folder / "ref.json").read_text())
    document["annotations"][0]["segmentation"] = [[1, 2, 3]]
    (folder / "ref.json").write_text(json.dumps(document))
    output = folder / "b.safetensors"
    with caplog.at_level("INFO"):
        assert command("embed", "--references", folder / "ref.json", "--output", output) == 1
    assert "Left out: Annotation 1 on 1.png" in caplog.text
    assert len(PromptBank.load(output).positives[3]) == 1


def test_banks_are_shown_and_merged(
    bank: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = folder / "both.safetensors"
    capsys.readouterr()
    assert cli.main(["bank", str(bank), str(bank)]) == 0
    assert capsys.readouterr().out.count("leaf: 2 examples") == 2
    assert cli.main(["bank", str(bank), str(bank), "--output", str(output)]) == 0
    assert "leaf: 4 examples" in capsys.readouterr().out
    assert cli.main(["bank", str(folder / "ref.json")]) == 1
    assert "python -m dinov embed" in capsys.readouterr().err


@pytest.fixture
def segment(command: Run, folder: Path) -> Run:
    def run(*extra: object, **options: Any) -> int:
        fixed = ("--targets", folder / "target.png", "--output", folder / "out.json")
        return command("segment", *fixed, *extra, **options)

    return run


def result(folder: Path) -> Any:
    return json.loads((folder / "out.json").read_text())


def test_a_bank_finds_what_its_references_find(segment: Run, bank: Path, folder: Path) -> None:
    assert segment("--references", folder / "ref.json", "--score-threshold", 0) == 0
    expected = result(folder)
    assert expected["annotations"]
    assert segment("--bank", bank, "--score-threshold", 0) == 0
    assert result(folder) == expected


def test_a_bank_of_another_input_size_is_refused_with_a_remedy(
    segment: Run, bank: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert segment("--bank", bank, size=96) == 1
    assert "Embed the references again" in capsys.readouterr().err
    assert not (folder / "out.json").exists()


def test_prompts_come_from_one_place(segment: Run, bank: Path, folder: Path) -> None:
    for both in ((), ("--bank", bank, "--references", folder / "ref.json")):
        with pytest.raises(SystemExit, match="2"):
            segment(*both)


def test_a_category_has_its_own_threshold(
    segment: Run, bank: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert segment("--bank", bank, "--score-threshold", 0, "stone=1") == 0
    names = {row["id"]: row["name"] for row in result(folder)["categories"]}
    assert {names[row["category_id"]] for row in result(folder)["annotations"]} == {"leaf"}
    assert result(folder)["info"]["score_threshold"] == 0
    assert result(folder)["info"]["score_threshold_by_category"] == "stone=1"
    assert segment("--bank", bank, "--score-threshold", "moss=0.3") == 1
    assert "There are: leaf, stone" in capsys.readouterr().err
    for wrong in ("stone=2", "stone=", "x"):
        with pytest.raises(SystemExit, match="2"):
            segment("--bank", bank, "--score-threshold", wrong)


def test_what_is_found_can_be_tuned(segment: Run, bank: Path, folder: Path) -> None:
    found = ("--bank", bank, "--score-threshold", 0)
    assert segment(*found) == 0
    usual = len(result(folder)["annotations"])
    assert segment(*found, "--nms-threshold", 1, "--containment-threshold", 1) == 0
    assert len(result(folder)["annotations"]) > usual
    assert segment(*found, "--max-instances", 2) == 0
    assert len(result(folder)["annotations"]) == 2
    assert segment(*found, "--tile", 64, "--max-examples", 1, "--speck-share", 0) == 0
    info = result(folder)["info"]
    assert (info["tile"], info["max_examples"], info["speck_share"]) == (64, 1, 0)
    assert (info["nms_threshold"], info["containment_threshold"]) == (0.5, 0.8)
    for wrong in (("--tile", 63), ("--nms-threshold", 2), ("--max-examples", 0)):
        with pytest.raises(SystemExit, match="2"):
            segment(*found, *wrong)


@pytest.mark.parametrize("kind", ["semantic", "panoptic"])
def test_flat_maps(segment: Run, bank: Path, folder: Path, kind: str) -> None:
    assert segment("--bank", bank, "--score-threshold", 0, "--output-type", kind) == 0
    (annotation,) = result(folder)["annotations"]
    pixels = np.asarray(PIL.Image.open(folder / "out" / annotation["file_name"]), np.int64)
    assert pixels.shape[:2] == (60, 80)
    if kind == "semantic":
        assert set(np.unique(pixels)) - {0} <= {1, 2}
    else:
        ids = set(np.unique(pixels @ np.array([1, 256, 65536]))) - {0}
        assert ids == {row["id"] for row in annotation["segments_info"]}
        stuff = [row for row in annotation["segments_info"] if row["category_id"] == 2]
        assert len(stuff) <= 1
