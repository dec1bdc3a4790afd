"""``python app.py batch``: a project is segmented, or lends its marks, without the page."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import dinov.cli
from app import batch_command, cli
from app.batch_command import references_document
from app.model_session import ModelSession
from app.project import RunOptions, Task
from dinov import coco
from dinov.arguments import LOSS
from dinov.checkpoints import save_model
from dinov.config import VARIANTS
from dinov.ledger import locked
from dinov.masks import instance_of
from dinov.model.build import build_model
from dinov.prompt_bank import PromptBank
from dinov.references import read_references
from tests.app.conftest import TARGET, as_bytes, draw


@pytest.fixture
def data(marked, predictor, tmp_path, monkeypatch) -> Path:
    """The folder of the project “Patches”, and commands that find by colour."""
    monkeypatch.setattr(
        batch_command, "ModelSession", lambda settings: ModelSession(settings, lambda _: predictor)
    )
    return tmp_path / "data"


def batch(data: Path, *words) -> int:
    return cli.main(["batch", "--project", "Patches", "--data-dir", str(data), *map(str, words)])


def test_it_does_what_the_button_does_and_nothing_twice(marked, predictor, data, capsys):
    assert batch(data) == 0
    assert capsys.readouterr().out == "Found 2 objects in 2 images.\n"
    assert predictor.segmented == 2
    assert marked.studio.counts(marked.id)[marked.target.id].shown == 2
    assert batch(data) == 0
    assert marked.studio.segment_now(marked.id) == {marked.target.id: 2, marked.empty.id: 0}
    assert predictor.segmented == 2
    marked.studio.add_prompt(marked.id, marked.reference.id, "green", "point", [60, 20])
    assert batch(data, "--unfinished") == 0
    assert predictor.segmented == 2
    assert "no target to segment" in capsys.readouterr().err
    assert batch(data) == 0
    assert predictor.segmented == 4


def test_stopped_it_keeps_what_is_done_and_goes_on(marked, predictor, data, capsys):
    def stop_at_the_second() -> None:
        if predictor.segmented == 1:
            raise KeyboardInterrupt

    predictor.before_segment = stop_at_the_second
    assert batch(data) == dinov.cli.STOPPED_BY_USER
    assert "The same command goes on" in capsys.readouterr().out
    images = marked.studio.images(marked.id)
    unfinished = [marked.studio._store.latest_run(image.id)[0] is None for image in images]
    assert unfinished == [True, False, True]  # the first is no target
    predictor.before_segment = lambda: None
    assert batch(data) == 0
    assert predictor.segmented == 2
    assert [path.name for path in data.iterdir() if path.name.startswith("batch-")] == []


def test_an_image_that_cannot_be_read_is_named_and_the_others_are_done(marked, data, capsys):
    marked.studio.image_path(marked.empty.id).write_bytes(b"no picture")
    assert batch(data) == 1
    told = capsys.readouterr()
    assert "empty.png" in told.err
    assert told.out.startswith("Found 2 objects")


def test_what_is_too_small_to_have_a_mask_is_a_loss(marked, predictor, data, monkeypatch, capsys):
    find = predictor.segment

    def segment(image, bank, **options):
        nothing = np.zeros(image.shape[:2], np.bool_)
        emptied = [instance_of(nothing, marked.red.id, score) for score in (0.8, 0.01)]
        return replace(find(image, bank, **options), emptied=tuple(emptied))

    monkeypatch.setattr(predictor, "segment", segment)
    assert batch(data) == LOSS
    told = capsys.readouterr()
    assert "target.png: 1 object left out, smaller than a pixel." in told.err
    assert told.out == "Found 2 objects in 2 images.\n"
    marked.studio.add_prompt(marked.id, marked.reference.id, "red", "point", [15, 15])
    assert batch(data, "--allow-loss") == 0


def test_two_at_once_on_a_project_are_refused(marked, data, capsys):
    with locked(data / f"batch-{marked.id}"):
        assert batch(data) == 1
    assert "is being worked on by process" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--targets", "x"], ["--output", "x.json"]])
def test_targets_and_output_belong_together(data, words, capsys):
    assert batch(data, *words) == 1
    assert "Give --targets and --output together" in capsys.readouterr().err


def test_a_project_without_marks_says_what_to_do(studio, data, capsys):
    studio.create_project("Empty")
    words = ["batch", "--project", "Empty", "--data-dir", str(data)]
    assert cli.main(words) == 1
    assert "Nothing is marked yet" in capsys.readouterr().err


def test_marks_of_every_kind_reach_the_library(marked, data, tmp_path):
    studio = marked.studio
    for kind, points in (
        ("point", [12, 12]),
        ("scribble", [12, 12, 20, 20]),
        ("polygon", [2, 2, 9, 2, 9, 9]),
    ):
        studio.add_prompt(
            marked.id, marked.reference.id, "blue", kind, points, positive=kind != "point"
        )
    mask = coco.rle_of_segmentation([[1, 1, 5, 1, 5, 5]], (60, 80))
    drawn = [stored.prompt for stored in studio.prompts(marked.reference.id)[1]]
    of_mask = type(drawn[0])(drawn[0].category_id, type(drawn[0].type).MASK, rle=mask)
    studio.extend_prompts({marked.reference.id: [of_mask]})
    expected = [stored.prompt for stored in studio.prompts(marked.reference.id)[1]]
    path = coco.write(
        references_document(studio._store, studio._files, marked.id), tmp_path / "ref.json"
    )
    file = read_references(path)
    (reference,) = file
    assert [prompt.type for prompt in reference.prompts] == [prompt.type for prompt in expected]
    assert list(reference.prompts) == expected
    assert [(c.id, c.name) for c in file.categories] == [
        (c.id, c.name) for c in studio.categories(marked.id)
    ]
    assert set(file.objects_apart()[1].values()) == {c.id for c in file.categories}


def test_what_the_project_is_set_to_is_handed_on(marked, data, monkeypatch, tmp_path):
    said: list[list[str]] = []
    monkeypatch.setattr(dinov.cli, "main", lambda words: said.append(words) or 0)
    where = ["--targets", "a", "b", "--output", tmp_path / "o.json"]
    assert batch(data, *where) == 0
    assert "--score-threshold" not in said[0]  # the checkpoint's own
    marked.studio.set_score_threshold(marked.id, 0.25)
    marked.studio.review.set_category_threshold(marked.red.id, 0.5)
    marked.studio.set_run_options(marked.id, RunOptions(Task.GENERIC, in_tiles=True))
    cluster = ["--cluster", "ray", "--cluster-workers", 2, "--restart", "--input-size", 64]
    cluster += ["--format", "cvat", "--results", "r.json", "--allow-loss"]
    assert batch(data, *where, *cluster) == 0
    assert dinov.cli.build_parser(said[1]).parse_args(said[1]).tile == "auto"
    text = " ".join(said[1])
    for words in (
        *("--targets a b ", "--task generic", "--score-threshold 0.25 red=0.5", "--restart"),
        *("--cluster ray", "--cluster-workers 2", "--input-size 64"),
        *("--format cvat", "--results r.json", "--allow-loss"),
    ):
        assert words in text
    marked.studio.set_run_options(marked.id, RunOptions(Task.REFER, in_tiles=True))
    assert batch(data, *where) == 0
    assert "--task refer" in " ".join(said[2])
    assert "--tile" not in said[2]


def test_concepts_from_files_are_looked_for_too(marked, data, monkeypatch, tmp_path):
    studio = marked.studio
    other = studio.create_project("Other").id
    picture = draw(patches=[(10, 10, 30, 30, (20, 20, 220))])
    (image,) = studio.add_images(other, [("blue.png", as_bytes(picture))]).added
    studio.add_prompt(other, image.id, "blue", "point", [20, 20])
    bank = studio.banks.save(other, tmp_path / "blue.safetensors")
    (concept,) = studio.banks.load(marked.id, "blue.safetensors", bank)
    handed: list[PromptBank] = []

    def segment(words: list[str]) -> int:
        assert "--references" not in words
        handed.append(PromptBank.load(Path(words[words.index("--bank") + 1])))
        return 0

    monkeypatch.setattr(dinov.cli, "main", segment)
    where = ["--targets", "a", "--output", tmp_path / "o.json"]
    assert batch(data, *where) == 0
    assert handed[0].category_ids == [marked.red.id, concept.category_id]
    assert [one.name for one in handed[0].named_categories] == ["red", "blue"]
    studio.banks.set_used(concept.id, False)
    monkeypatch.setattr(dinov.cli, "main", lambda words: int("--references" not in words))
    assert batch(data, *where) == 0


def test_other_photos_are_segmented_with_the_project_s_marks(marked, data, tmp_path, capsys):
    torch.manual_seed(0)
    checkpoint = tmp_path / "tiny.safetensors"
    save_model(build_model(VARIANTS["tiny"]), checkpoint, {})
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "1.png").write_bytes(as_bytes(TARGET))
    (photos / "2.png").write_bytes(as_bytes(draw((200, 300))))
    marked.studio.set_score_threshold(marked.id, 0.0)
    marked.studio.set_run_options(marked.id, RunOptions(Task.GENERIC, in_tiles=True))
    words = ["--targets", photos, "--output", tmp_path / "o.json", "--checkpoint", checkpoint]
    assert batch(data, *words, "--device", "cpu", "--input-size", 64) == 0
    document = json.loads((tmp_path / "o.json").read_bytes())
    assert [image["file_name"] for image in document["images"]] == ["1.png", "2.png"]
    assert [category["name"] for category in document["categories"]] == ["red"]
    assert document["info"]["tile"] == "auto"
    assert document["annotations"]
    assert marked.studio.counts(marked.id)[marked.target.id].shown == 0
