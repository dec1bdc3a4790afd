"""The settings of the server: which model it runs. Seen by all, changed without a restart."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from app.access import acting_user, is_admin
from app.model_session import ModelSession, devices
from app.project import InvalidInput
from app.settings import INPUT_SIZES, ModelSettings
from app.store import Store
from dinov.download import CHECKPOINTS, download, find, present_bytes
from dinov.errors import DinovError
from dinov.options import PRECISIONS, Device

_log = logging.getLogger(__name__)

_LONGEST_STOP = 5.0
"""A server that does not answer holds a download up, but not the end of the program."""


@dataclass(frozen=True)
class Change:
    """How far a change of the model has come.

    ``step`` is "download" (``done`` of ``total`` bytes, None if not known), "load", or "wait" for
    ``jobs`` at work; then it is over, and ``problem`` says why it failed, empty if it did not.
    """

    wanted: ModelSettings
    step: str | None
    done: int = 0
    total: int | None = None
    jobs: int = 0
    problem: str = ""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint to choose: ``present`` bytes of it are here, ``nbytes`` are to be expected."""

    name: str
    about: str
    nbytes: int
    present: int
    is_here: bool


@dataclass(frozen=True)
class SettingsView:
    """The settings of the server, and what can be chosen.

    ``given`` names those that the command line has said, which cannot be changed on the page;
    ``score_threshold`` is the one that suits the checkpoint, None until it is loaded; ``admins``
    are the users who may change something, None where there are no accounts.
    """

    model: ModelSettings
    given: tuple[str, ...]
    checkpoints: tuple[Checkpoint, ...]
    devices: tuple[Device, ...]
    precisions: tuple[str, ...]
    input_sizes: tuple[int, int]
    own_input_size: int | None
    score_threshold: float | None
    change: Change | None
    may_change: bool
    admins: tuple[str, ...] | None


class _Stopped(Exception):
    """A change is not wanted any more."""


class ServerSettings:
    """The use cases of the settings of the server.

    The model is exchanged in the background: what is not here is downloaded, the new model is
    loaded beside the one in use and run once, so that what does not work is refused and nothing
    has changed; it takes its place when no job is at work with the other. Only then is the choice
    kept, in the database.

    Invariant: at most one change is under way.
    """

    def __init__(
        self,
        store: Store,
        model: ModelSession,
        *,
        given: Mapping[str, Any],
        admins: Collection[str],
    ) -> None:
        self._store = store
        self._model = model
        self._given = dict(given)
        self._admins = tuple(admins)
        self._lock = threading.Lock()
        self._change: Change | None = None
        self._is_wanted = False
        self._thread: threading.Thread | None = None

    def model_settings(self) -> SettingsView:
        """Return the settings in use, and what can be chosen. Imports torch."""
        user, change, model = acting_user(), self._change, self._model.settings
        may_change = is_admin(user, self._admins)
        if not may_change:
            # Where files lie on the server is not for everybody.
            model = replace(model, checkpoint=model.name)
            change = change and replace(change, wanted=model, problem="")
        if change and change.step == "wait":
            change = replace(change, jobs=self._model.keepers)
        status = self._model.status()
        return SettingsView(
            model=model,
            given=tuple(self._given),
            checkpoints=tuple(_checkpoint(name) for name in CHECKPOINTS),
            devices=tuple(devices()),
            precisions=PRECISIONS,
            input_sizes=INPUT_SIZES,
            own_input_size=status.input_size if model.input_size is None else None,
            score_threshold=self._model.score_threshold if status.loaded else None,
            change=change,
            may_change=may_change,
            admins=None if user is None else self._admins,
        )

    def change_model(self, values: Mapping[str, Any]) -> None:
        """Begin to run another model, or the same in another way, from now on.

        Args:
            values: by the names of ``ModelSettings``; what is left out stays.

        Raises:
            InvalidInput: if a value makes no sense, the command line has said another, or a change
                is under way.
            CheckpointMissing: if there is no such file.
        """
        current = self._model.settings
        wanted = ModelSettings.of(asdict(current), values)
        for name in self._given:
            if getattr(wanted, name) != getattr(current, name):
                option = "--" + name.replace("_", "-")
                raise InvalidInput(
                    f"The server was started with {option}. Start it without, to choose here."
                )
        if wanted.checkpoint not in CHECKPOINTS or CHECKPOINTS[wanted.checkpoint].url is None:
            find(wanted.checkpoint)
        with self._lock:
            if self._change and self._change.step:
                raise InvalidInput("The model is being changed already. Wait for it, or stop it.")
            self._is_wanted = True
            self._change = Change(wanted, "load")
            self._thread = threading.Thread(
                target=self._carry_out, args=(wanted,), name="change-model", daemon=True
            )
            self._thread.start()

    def stop_model_change(self) -> None:
        """Keep the model in use; a change that failed is forgotten.

        What was downloaded stays, and the next try goes on from there.
        """
        self._is_wanted = False
        with self._lock:
            if self._change and self._change.step is None:
                self._change = None
        self._model.look_again()

    def close(self) -> None:
        """Give up what is under way; a change that waits for jobs alone, now ended, is made."""
        if self._change and self._change.step != "wait":
            self.stop_model_change()
        if self._thread:
            self._thread.join(_LONGEST_STOP)

    def _carry_out(self, wanted: ModelSettings) -> None:
        problem = ""
        try:
            self._fetch(wanted)
            self._tell("load")
            predictor = self._model.try_out(wanted)
            self._tell("wait")
            if self._model.exchange(wanted, predictor, lambda: self._is_wanted):
                chosen = {k: v for k, v in asdict(wanted).items() if k not in self._given}
                self._store.save_model_settings(chosen)
        except _Stopped:
            pass
        except (InvalidInput, DinovError) as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the page must not wait for ever
            _log.exception("The model could not be changed")
            problem = f"It failed: {error or type(error).__name__}."
        with self._lock:
            self._change = Change(wanted, None, problem=problem) if problem else None

    def _fetch(self, wanted: ModelSettings) -> None:
        name = wanted.checkpoint
        if name not in CHECKPOINTS or present_bytes(name)[1]:
            return
        self._tell("download", done=present_bytes(name)[0])
        download(name, progress=lambda done, total: self._tell("download", done=done, total=total))

    def _tell(self, step: str, **how: Any) -> None:
        if not self._is_wanted:
            raise _Stopped
        with self._lock:
            assert self._change is not None
            self._change = Change(self._change.wanted, step, **how)


def _checkpoint(name: str) -> Checkpoint:
    entry = CHECKPOINTS[name]
    present, is_here = present_bytes(name)
    return Checkpoint(name, entry.about, present if is_here else entry.nbytes, present, is_here)
