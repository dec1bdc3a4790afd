"""The application served for a test, on a free port of this machine."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import uvicorn

from app.segmentation import Studio
from app.settings import ModelSettings, Settings
from app.ui.build import build_app
from tests.e2e.fake_predictor import ColourPredictor
from tests.e2e.waiting import PATIENCE_SECONDS


class StudioServer:
    """The application with its data in ``data_dir``, running in a thread until stopped.

    It finds things by their colour, unless it is to use the checkpoint that ships with the project.
    """

    def __init__(
        self, data_dir: Path, *, with_weights: bool = False, auth_file: Path | None = None
    ) -> None:
        self.predictor = ColourPredictor()
        self.studio = Studio.open(
            Settings(data_dir=data_dir),
            load_predictor=None if with_weights else self._load,
        )
        if not with_weights:
            # No file tells what suits these colours.
            self.studio._store.usual_score_threshold = lambda: self.predictor.score_threshold
        listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(build_app(self.studio, auth_file), log_level="critical")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), daemon=True)
        self._thread.start()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._server.started:
            if time.monotonic() > deadline:
                raise TimeoutError("the server did not start")
            time.sleep(0.02)

    def _load(self, settings: ModelSettings) -> ColourPredictor:
        """Make the model; at another input size it is another one."""
        if settings.input_size is None:
            return self.predictor
        other = ColourPredictor()
        other.gate, other.input_size = self.predictor.gate, settings.input_size
        other.fingerprint = "colour:2"
        return other

    @property
    def is_warm(self) -> bool:
        """Whether the model was tried once, as happens by itself when a page is opened."""
        return bool(self.predictor.tiles)

    def stop(self) -> None:
        """Stop serving and close the data folder."""
        self.predictor.gate.set()
        # A browser keeps an event stream open, which an orderly shutdown would wait for.
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(timeout=PATIENCE_SECONDS)
        self.studio.close()
