"""The model is chosen on the page: refused if it does not work, never exchanged under a job."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from app.access import acting_as
from app.project import InvalidInput, JobState
from app.segmentation import Studio
from app.server_settings import SettingsView
from app.settings import ModelSettings, Settings
from dinov import download
from dinov.errors import CheckpointCorrupt, CheckpointMissing
from tests.app.conftest import ColorPredictor


class Models:
    """Makes a model of what is asked for, as a checkpoint would; notes what was asked."""

    def __init__(self) -> None:
        self.asked: list[ModelSettings] = []
        self.before_segment: Callable[[], None] = lambda: None

    def __call__(self, settings: ModelSettings) -> ColorPredictor:
        self.asked.append(settings)
        if settings.precision == "float16":
            raise RuntimeError("not enough memory\nand much more")
        if Path(settings.checkpoint).suffix == ".pth":
            raise CheckpointCorrupt(f"{settings.checkpoint} is damaged.")
        made = ColorPredictor()
        made.input_size = settings.input_size or 64
        made.fingerprint = f"color-{settings.name}-{made.input_size}"
        made.before_segment = lambda: self.before_segment()
        return made


@pytest.fixture
def models() -> Models:
    return Models()


@pytest.fixture
def studio(tmp_path: Path, models: Models):
    opened = Studio.open(Settings(data_dir=tmp_path / "data"), load_predictor=models)
    yield opened
    opened.close()


def until(studio: Studio, holds: Callable[[SettingsView], bool]) -> SettingsView:
    """Wait for the background to bring the settings to a state."""
    deadline = time.monotonic() + 20
    while not holds(view := studio.server.model_settings()):
        assert time.monotonic() < deadline, view
        time.sleep(0.005)
    return view


def is_over(view: SettingsView) -> bool:
    return view.change is None or view.change.step is None


def changed(studio: Studio, **values: object) -> SettingsView:
    studio.server.change_model(values)
    return until(studio, is_over)


def test_another_model_is_used_at_once_and_after_a_restart(studio, models, tmp_path):
    assert studio.server.model_settings().model == ModelSettings()
    view = changed(studio, input_size=128, cache_mb=0)
    assert view.model == ModelSettings(input_size=128, cache_mb=0)
    assert (studio.model_status().loaded, studio.model_status().input_size) == (True, 128)
    studio.close()
    again = Studio.open(Settings(data_dir=tmp_path / "data"), load_predictor=models)
    assert again.server.model_settings().model == view.model
    again.close()


def test_the_command_line_goes_before_what_was_chosen(studio, models, tmp_path):
    changed(studio, input_size=128, precision="bfloat16")
    studio.close()
    given = Settings(data_dir=tmp_path / "data", model={"input_size": 256})
    again = Studio.open(given, load_predictor=models)
    view = again.server.model_settings()
    assert (view.model.input_size, view.model.precision, view.given) == (
        *(256, "bfloat16"),
        ("input_size",),
    )
    with pytest.raises(InvalidInput, match="started with --input-size"):
        again.server.change_model({"input_size": 64})
    assert changed(again, precision="float32", input_size=256).model.precision == "float32"
    again.close()
    # What the command line said is not kept as if it had been chosen.
    last = Studio.open(replace(given, model={}), load_predictor=models)
    assert last.server.model_settings().model == ModelSettings(input_size=128)
    last.close()


def test_a_file_that_the_command_line_names_from_here_is_known_everywhere(
    models, tmp_path, monkeypatch
):
    own = tmp_path / "own.safetensors"
    own.write_bytes(b"weights")
    monkeypatch.chdir(tmp_path)
    given = Settings(data_dir=tmp_path / "data", model={"checkpoint": own.name}, admins=("anna",))
    studio = Studio.open(given, load_predictor=models)
    assert changed(studio, input_size=128).model == ModelSettings(str(own), input_size=128)
    # Where it lies is not for all users.
    with acting_as("ben"):
        assert studio.server.model_settings().model.checkpoint == own.name
    studio.close()


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"input_size": 16}, "from 32 to 4,096"),
        ({"precision": "int3"}, "float32, bfloat16, float16"),
        ({"cache_mb": -1}, "0 for none"),
        ({"checkpoint": " "}, "Type the path"),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(studio, models, values, says):
    with pytest.raises(InvalidInput, match=says):
        studio.server.change_model(values)
    assert models.asked == []


def test_a_model_that_does_not_work_is_refused_and_the_other_stays(studio, tmp_path, models):
    changed(studio, input_size=128)
    with pytest.raises(CheckpointMissing, match=r"nowhere\.pth"):
        studio.server.change_model({"checkpoint": str(tmp_path / "nowhere.pth")})
    (tmp_path / "bad.pth").write_bytes(b"no weights")
    for values, says in (
        ({"checkpoint": str(tmp_path / "bad.pth")}, "is damaged"),
        ({"precision": "float16"}, "not enough memory). Choose another precision"),
    ):
        view = changed(studio, **values)
        assert says in view.change.problem
        assert view.model == ModelSettings(input_size=128)
        assert studio.model_status().input_size == 128
        studio.server.stop_model_change()
        assert studio.server.model_settings().change is None
    assert changed(studio, input_size=None).change is None


def test_a_change_waits_for_the_jobs_at_work_and_loses_nothing(marked, models):
    studio = marked.studio
    reached, go_on = threading.Event(), threading.Event()
    studio.segment_now(marked.id, [marked.empty.id])

    def hold() -> None:
        reached.set()
        assert go_on.wait(20)

    models.before_segment = hold
    job = studio.start_segmentation(marked.id, [marked.empty.id, marked.target.id])
    assert reached.wait(10)
    models.before_segment = lambda: None
    studio.server.change_model({"input_size": 128})
    view = until(studio, lambda view: view.change and view.change.step == "wait")
    assert (view.change.jobs, view.model.input_size) == (1, None)
    with pytest.raises(InvalidInput, match="already"):
        studio.server.change_model({"input_size": 256})
    go_on.set()
    assert studio.jobs.wait(job, timeout=20).state is JobState.DONE
    assert until(studio, is_over).model.input_size == 128
    # One run, one model; what it found says that there is another now.
    assert studio.counts(marked.id)[marked.target.id].shown == 2
    assert studio.outdated_images(marked.id) == {marked.target.id, marked.empty.id}
    studio.review.mark(marked.empty.id)
    assert studio.outdated_images(marked.id) == {marked.target.id}
    studio.segment_now(marked.id)
    assert studio.outdated_images(marked.id) == set()


def test_a_change_that_waits_can_be_stopped(marked, models):
    studio = marked.studio
    reached, go_on = threading.Event(), threading.Event()
    models.before_segment = lambda: (reached.set(), go_on.wait(20))
    job = studio.start_segmentation(marked.id)
    assert reached.wait(10)
    models.before_segment = lambda: None
    studio.server.change_model({"input_size": 128})
    until(studio, lambda view: view.change and view.change.step == "wait")
    studio.server.stop_model_change()
    assert until(studio, is_over).model.input_size is None
    go_on.set()
    assert studio.jobs.wait(job, timeout=20).state is JobState.DONE
    assert studio.outdated_images(marked.id) == set()


def test_embeddings_of_one_model_are_not_shown_to_another(marked):
    studio = marked.studio
    studio.segment_now(marked.id)
    changed(studio, input_size=128)
    assert studio.segment_now(marked.id)[marked.target.id] == 2
    assert {run.fingerprint for run in studio._store.runs(marked.id)} == {"color-lite-128"}


def test_a_checkpoint_is_fetched_when_it_is_chosen(studio, monkeypatch, tmp_path):
    monkeypatch.setattr(download, "default_directory", lambda: tmp_path)
    begun, go_on = threading.Event(), threading.Event()

    def fetch(url, part, progress):
        part.write_bytes(b"12")
        progress(2, 3)
        begun.set()
        assert go_on.wait(20)
        part.write_bytes(b"123")
        progress(3, 3)

    monkeypatch.setattr(download, "_fetch", fetch)
    studio.server.change_model({"checkpoint": "swin-t"})
    assert begun.wait(10)
    change = studio.server.model_settings().change
    assert (change.step, change.done, change.total) == ("download", 2, 3)
    studio.server.stop_model_change()
    go_on.set()
    view = until(studio, is_over)
    (partial,) = (one for one in view.checkpoints if one.name == "swin-t")
    assert (view.change, partial.is_here, partial.present) == (None, False, 3)
    assert changed(studio, checkpoint="swin-t").model.checkpoint == "swin-t"
    assert (tmp_path / "model_swinT.pth").read_bytes() == b"123"


def test_users_see_the_settings_and_administrators_change_them(tmp_path, models):
    settings = Settings(data_dir=tmp_path / "data", admins=("anna",))
    studio = Studio.open(settings, load_predictor=models)
    users = studio.for_users()
    with acting_as("ben"):
        view = users.server.model_settings()
        assert (view.may_change, view.admins) == (False, ("anna",))
        for refused in (lambda: users.server.change_model({}), users.server.stop_model_change):
            with pytest.raises(InvalidInput, match="anna"):
                refused()
    with pytest.raises(InvalidInput):
        users.server.change_model({"input_size": 128})
    with acting_as("anna"):
        assert users.server.model_settings().may_change
        users.server.change_model({"input_size": 128})
    assert until(studio, is_over).model.input_size == 128
    studio.close()


def test_how_much_masks_may_overlap_is_a_project_s_own(marked, models, tmp_path):
    studio = marked.studio
    options = []
    segment = ColorPredictor.segment

    def noting(self, image, bank, **how):
        options.append(how["options"])
        return segment(self, image, bank, **how)

    studio.segment_now(marked.id)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ColorPredictor, "segment", noting)
        studio.segment_now(marked.id)
        assert options == [], "nothing has changed"
        studio.set_overlap_threshold(marked.id, 0.8)
        studio.segment_now(marked.id)
    assert {one.nms_threshold for one in options} == {0.8}
    with pytest.raises(InvalidInput, match="from 0 to 1"):
        studio.set_overlap_threshold(marked.id, 2)
    assert studio.project(marked.id).overlap_threshold == 0.8
