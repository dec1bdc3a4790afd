"""The model is loaded when it is needed and not before."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from app.model_session import ModelSession
from app.project import DEFAULT_SCORE_THRESHOLD, Task
from app.settings import ModelSettings
from dinov.download import known_score_threshold
from dinov.errors import CheckpointMissing, InvalidPrompt
from dinov.types import Prompt, PromptType


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    PIL.Image.fromarray(np.full((20, 30, 3), 90, np.uint8)).save(path)
    return path


def test_importing_the_application_does_not_load_torch(repository):
    code = (
        "import sys, app.cli, app.segmentation, app.ui.build; "
        "sys.exit('torch' in sys.modules or 'timm' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, check=False)
    assert done.returncode == 0


def test_opening_a_studio_and_asking_for_its_status_does_not_load_torch(repository, tmp_path):
    code = (
        "import sys; from pathlib import Path; from app.segmentation import Studio;"
        "from app.settings import Settings;"
        f"studio = Studio.open(Settings(data_dir=Path({str(tmp_path)!r})));"
        "status = studio.model_status(); studio.create_project(); studio.close();"
        "assert status.checkpoint == 'lite' and not status.loaded, status;"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, check=False)
    assert done.returncode == 0


def test_the_status_tells_checkpoint_and_device(predictor, photo):
    session = ModelSession(ModelSettings(), lambda _: predictor)
    assert not session.status().loaded
    assert "python -m dinov download swin-t" in session.status().hint
    session.embed(photo, "a", [Prompt(1, PromptType.POINT, (1.0, 1.0))])
    status = session.status()
    assert (status.loaded, status.device, status.input_size) == (True, "CPU", 64)
    assert status.message == "lite on CPU"
    assert (
        ModelSession(ModelSettings(checkpoint="x/swin_t.pth"), lambda _: predictor).status().hint
        == ""
    )


def test_warming_up_loads_once_and_runs_the_model(predictor):
    loads, segmented = [], threading.Event()
    predictor.before_segment = segmented.set

    def load(_):
        loads.append(1)
        return predictor

    session = ModelSession(ModelSettings(), load)
    for _ in range(5):
        session.warm_up()
    assert segmented.wait(60)
    session.warm_up()
    assert session.status().loaded
    assert len(loads) == 1


def test_a_checkpoint_that_was_missing_is_found_later(predictor, photo):
    answers = [CheckpointMissing("Run: python -m dinov download swin-t")]

    def load(_):
        if answers:
            raise answers.pop()
        return predictor

    session = ModelSession(ModelSettings(checkpoint="swin-t"), load)
    with pytest.raises(CheckpointMissing):
        _ = session.score_threshold
    assert session.status().message == "Run: python -m dinov download swin-t"
    assert session.score_threshold == 0.4
    assert session.status().message == "swin-t on CPU"


def test_projects_go_by_the_threshold_of_the_model_until_one_is_chosen(studio, photo):
    project_id = studio.create_project("New").id

    def shown() -> tuple[float, float]:
        projects = studio.project(project_id), *studio.projects()
        return tuple(project.score_thresholds[Task.GENERIC] for project in projects)

    assert shown() == (known_score_threshold("lite"),) * 2
    assert not studio.model_status().loaded
    studio._model.embed(photo, "a", [Prompt(1, PromptType.POINT, (1.0, 1.0))])
    assert shown() == (0.4, 0.4)
    studio.set_score_threshold(project_id, 0.7)
    assert shown() == (0.7, 0.7)


def test_a_checkpoint_that_does_not_tell_its_threshold_has_that_of_projects(tmp_path, predictor):
    (tmp_path / "own.pth").write_bytes(b"weights")
    settings = ModelSettings(checkpoint=str(tmp_path / "own.pth"))
    usual = ModelSession(settings, lambda _: predictor).usual_score_threshold()
    assert usual == DEFAULT_SCORE_THRESHOLD


def test_a_bank_groups_embeddings_by_category_and_sign(predictor, photo):
    session = ModelSession(ModelSettings(), lambda _: predictor)
    signs = ((1, True), (2, True), (1, True), (2, False))
    prompts = [
        Prompt(category_id, PromptType.POINT, (float(x), 1.0), positive=positive)
        for x, (category_id, positive) in enumerate(signs, start=1)
    ]
    embeddings = session.embed(photo, "a", prompts)
    bank = session.bank(list(zip(prompts, embeddings, strict=True)))
    assert {key: len(value) for key, value in bank.positives.items()} == {1: 2, 2: 1}
    assert {key: len(value) for key, value in bank.negatives.items()} == {2: 1}
    assert bank.fingerprint == predictor.fingerprint
    with pytest.raises(InvalidPrompt, match="no positive"):
        session.bank([(prompts[3], embeddings[3])])


def test_embeddings_belong_to_their_image_and_prompt(predictor, photo):
    session = ModelSession(ModelSettings(), lambda _: predictor)
    prompt = Prompt(1, PromptType.POINT, (1.0, 1.0))
    for digest in ("a", "a", "b"):
        session.embed(photo, digest, [prompt])
    assert len(predictor.embedded) == 2
