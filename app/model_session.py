"""The application's only door to the model: loads it when it is first needed, one user at a time.

Importing this module does not import torch; that takes seconds, and the page must not wait for it.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

from app.project import DEFAULT_OVERLAP_THRESHOLD, DEFAULT_SCORE_THRESHOLD, AppError, StatusView
from app.settings import ModelSettings
from dinov.download import known_score_threshold
from dinov.errors import DinovError
from dinov.images import read_rgb
from dinov.options import DEFAULT_INSTANCE_OPTIONS, Device, InstanceOptions, tile_side
from dinov.types import Category, Image, Prompt, PromptType, Referral, Segmentation

if TYPE_CHECKING:
    from torch import Tensor

    from dinov.predictor import Comparison, Predictor
    from dinov.prompt_bank import PromptBank
    from dinov.tracker import VideoTracker

_log = logging.getLogger(__name__)

_OFFICIAL_HINT = (
    "The official checkpoints are larger and know more. Choose one under Settings, or get it with "
    "`python -m dinov download swin-t` (or `swin-l`)."
)
# An embedding has at most 256 numbers, so that a full cache stays around 10 MB.
_CACHED_EMBEDDINGS = 8192


class PredictorLike(Protocol):
    """What the application needs of ``dinov.predictor.Predictor``."""

    variant: str
    checkpoint_hash: str
    input_size: int
    score_threshold: float

    @property
    def fingerprint(self) -> str:
        """Names everything that an embedding depends on."""

    @property
    def device_name(self) -> str:
        """The device, for people."""

    def embed_prompts(
        self, image: Image, prompts: Sequence[Prompt], *, for_refer: bool = False
    ) -> Tensor:
        """Return [P, C] embeddings of the prompts drawn on one image."""

    def compare(self, image: Image, concepts: Tensor) -> Comparison:
        """Compare concepts [K, C] with everything that is proposed in an image."""

    def segment(
        self,
        image: Image,
        bank: PromptBank,
        *,
        score_threshold: float | None = None,
        options: InstanceOptions = DEFAULT_INSTANCE_OPTIONS,
        tile: int | None = None,
    ) -> Segmentation:
        """Find all objects of the bank's categories in an image."""

    def refer(self, image: Image, bank: PromptBank, *, max_candidates: int = 1) -> Referral:
        """Rank candidates for the very object behind each category of the bank."""


Load = Callable[[ModelSettings], PredictorLike]
"""Makes the predictor that settings ask for."""


class ModelFailed(AppError):
    """A model was loaded, and cannot be run as it is asked to."""


class ModelSession:
    """A lazily loaded predictor behind a lock, with the embeddings of prompts seen before.

    The predictor itself keeps the features of images, so that a changed prompt costs its own
    embedding and a decode.
    """

    def __init__(self, settings: ModelSettings, load_predictor: Load | None = None) -> None:
        self._settings = settings
        self._load_predictor = load_predictor or load_from_checkpoint
        self._lock = threading.RLock()
        self._predictor: PredictorLike | None = None
        self._failure = ""
        self._warming = threading.Lock()
        self._embeddings: OrderedDict[tuple[str, str], Tensor] = OrderedDict()
        self._last_image: tuple[str, Image] | None = None
        # Notified when a job no longer keeps the model.
        self._keeping = threading.Condition()
        self._keepers = 0

    @property
    def settings(self) -> ModelSettings:
        """What was asked for of the model in use."""
        return self._settings

    @property
    def checkpoint(self) -> str:
        """The checkpoint's name or path, as it was asked for."""
        return self._settings.checkpoint

    @property
    def is_loaded(self) -> bool:
        """Whether a segmentation can begin at once."""
        return self._predictor is not None

    @property
    def fingerprint(self) -> str:
        """Names the model in use. Loads it."""
        return self._loaded().fingerprint

    @property
    def checkpoint_sha256(self) -> str:
        """The digest of the file in use. Loads it."""
        return self._loaded().checkpoint_hash

    @property
    def score_threshold(self) -> float:
        """The threshold that suits the checkpoint. Loads it."""
        return self._loaded().score_threshold

    def usual_score_threshold(self) -> float:
        """The same without loading it, as far as its file tells; else that of projects."""
        if self._predictor is not None:
            return self._predictor.score_threshold
        known = known_score_threshold(self._settings.checkpoint)
        return DEFAULT_SCORE_THRESHOLD if known is None else known

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep others from the model for a moment."""
        with self._lock:
            yield

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the model from being exchanged while a job is at work; others may use it, too."""
        with self._keeping:
            self._keepers += 1
        try:
            yield
        finally:
            with self._keeping:
                self._keepers -= 1
                self._keeping.notify_all()

    @property
    def keepers(self) -> int:
        """How many jobs keep the model."""
        return self._keepers

    def try_out(self, settings: ModelSettings) -> PredictorLike:
        """Load another model beside the one in use, and run it once.

        Raises:
            CheckpointError: if the file is missing, damaged or no checkpoint.
            DeviceUnavailable: if the device does not exist here.
            ModelFailed: if it does not run, for want of memory for example.
        """
        try:
            predictor = self._load_predictor(settings)
            _run_once(predictor)
        except (RuntimeError, MemoryError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ModelFailed(
                f"The model does not run with these settings ({reason}). Choose another precision, "
                "a smaller input size or another device."
            ) from error
        return predictor

    def exchange(
        self, settings: ModelSettings, predictor: PredictorLike, is_wanted: Callable[[], bool]
    ) -> bool:
        """Put another model in the place of the one in use, once no job keeps that any more.

        Args:
            settings: what the new one was made of.
            predictor: the new one.
            is_wanted: asked whenever a job ends, and after ``look_again``: false gives it up.

        Returns:
            Whether it was put there.
        """
        with self._keeping:
            self._keeping.wait_for(lambda: self._keepers == 0 or not is_wanted())
            if not is_wanted():
                return False
            with self._lock:
                self._settings, self._predictor, self._failure = settings, predictor, ""
                # They are those of the model that made them.
                self._embeddings.clear()
        return True

    def look_again(self) -> None:
        """Let an exchange that waits ask whether it is still wanted."""
        with self._keeping:
            self._keeping.notify_all()

    def status(self) -> StatusView:
        """Say which checkpoint runs where, without loading it."""
        predictor, settings = self._predictor, self._settings
        name = settings.name
        status = StatusView(
            checkpoint=name,
            variant=None,
            device=settings.device,
            precision=settings.precision,
            input_size=settings.input_size,
            loaded=False,
            message=self._failure or f"{name}, not loaded yet",
            hint=_OFFICIAL_HINT if settings.checkpoint == "lite" else "",
        )
        if predictor is None:
            return status
        return replace(
            status,
            variant=predictor.variant,
            device=predictor.device_name,
            input_size=predictor.input_size,
            loaded=True,
            message=f"{name} on {predictor.device_name}",
        )

    def warm_up(self) -> None:
        """Load the model in the background and run it once; does nothing if that was begun."""
        if self._predictor is None and self._warming.acquire(blocking=False):
            threading.Thread(target=self._warm_up, name="warm-up", daemon=True).start()

    def embed(self, path: Path, sha256: str, prompts: Sequence[Prompt]) -> list[Tensor]:
        """Return one embedding [C] for each prompt drawn on the image at ``path``.

        Raises:
            InvalidImage: if the file cannot be read.
            InvalidPrompt: if a prompt marks nothing on it.
            CheckpointError: if the model cannot be loaded.
        """
        with self._lock:
            predictor = self._loaded()
            keys = [(sha256, repr(prompt)) for prompt in prompts]
            missing = [i for i, key in enumerate(keys) if key not in self._embeddings]
            if missing:
                image = self._read(path, sha256)
                new = predictor.embed_prompts(image, [prompts[i] for i in missing])
                for i, embedding in zip(missing, new, strict=True):
                    self._embeddings[keys[i]] = embedding
            for key in keys:
                self._embeddings.move_to_end(key)
            embeddings = [self._embeddings[key] for key in keys]
            while len(self._embeddings) > _CACHED_EMBEDDINGS:
                self._embeddings.popitem(last=False)
            return embeddings

    def bank(
        self,
        embedded: Sequence[tuple[Prompt, Tensor]],
        concepts: Sequence[PromptBank] = (),
        categories: Sequence[Category] = (),
    ) -> PromptBank:
        """Group embeddings by category; the examples of ``concepts`` follow.

        Raises:
            InvalidPrompt: if none of the prompts is positive.
        """
        from dinov.prompt_bank import PromptBank

        return PromptBank.of(self.fingerprint, embedded, categories, concepts)

    def read_bank(self, path: Path) -> PromptBank:
        """Read a prompt bank that this model has made.

        Raises:
            InvalidBank: if the file is damaged or something else.
            FingerprintMismatch: if another model or input size has made it.
        """
        from dinov.prompt_bank import PromptBank

        bank = PromptBank.load(path)
        bank.require(self.fingerprint)
        return bank

    @staticmethod
    def concept(bank: PromptBank, from_id: int, to_id: int) -> PromptBank:
        """Take one category out of a bank, under another id."""
        positives, negatives = (
            {to_id: groups[from_id]} if from_id in groups else {}
            for groups in (bank.positives, bank.negatives)
        )
        return replace(bank, positives=positives, negatives=negatives, categories=())

    def segment(
        self,
        path: Path,
        sha256: str,
        bank: PromptBank,
        score_threshold: float,
        *,
        overlap_threshold: float = DEFAULT_OVERLAP_THRESHOLD,
        in_tiles: bool = False,
    ) -> Segmentation:
        """Find the bank's categories in the image at ``path``, with ``in_tiles`` in its parts, too.

        Of two masks whose IoU is above ``overlap_threshold`` the better stays.

        Raises:
            InvalidImage: if the file cannot be read.
        """
        with self._lock:
            image, predictor = self._read(path, sha256), self._loaded()
            size_hw = (image.shape[0], image.shape[1])
            tile = tile_side(size_hw, predictor.input_size) if in_tiles else None
            options = InstanceOptions(nms_threshold=overlap_threshold)
            return predictor.segment(
                image, bank, score_threshold=score_threshold, options=options, tile=tile
            )

    def refer(self, path: Path, sha256: str, bank: PromptBank, max_candidates: int) -> Referral:
        """Rank candidates for the object behind each category in the image at ``path``.

        Raises:
            InvalidImage: if the file cannot be read.
        """
        with self._lock:
            image = self._read(path, sha256)
            return self._loaded().refer(image, bank, max_candidates=max_candidates)

    def score_examples(
        self, path: Path, sha256: str, examples: Sequence[tuple[Prompt, Sequence[Tensor]]]
    ) -> list[float | None]:
        """Score prompts on the image at ``path``; see ``dinov.leave_one_out.score_examples``.

        Args:
            path: the image.
            sha256: of its upload.
            examples: positive prompts, each with the embeddings [C] of the others of its category.

        Raises:
            InvalidImage: if the file cannot be read.
        """
        import torch

        from dinov.leave_one_out import score_examples

        prompts = [prompt for prompt, _ in examples]
        others = [
            torch.stack(tuple(group)) if group else torch.empty(0, 0) for _, group in examples
        ]
        with self._lock:
            return score_examples(self._loaded(), self._read(path, sha256), prompts, others)

    def tracker(self) -> VideoTracker:
        """Make a tracker; to be used while the model is ``held``."""
        from dinov.tracker import VideoTracker

        return VideoTracker(cast("Predictor", self._loaded()))

    def read(self, path: Path, sha256: str) -> Image:
        """Return the pixels of the image at ``path``.

        Raises:
            InvalidImage: if the file cannot be read.
        """
        with self._lock:
            return self._read(path, sha256)

    def _loaded(self) -> PredictorLike:
        # Once it is there, nobody has to wait for a turn to ask for its name.
        predictor = self._predictor
        if predictor is not None:
            return predictor
        with self._lock:
            if self._predictor is None:
                try:
                    self._predictor = self._load_predictor(self._settings)
                except (AppError, DinovError) as error:
                    self._failure = str(error)
                    raise
                self._failure = ""
            return self._predictor

    def _warm_up(self) -> None:
        # The first pass sets up memory and kernels, which takes longer than the work itself.
        try:
            with self._lock:
                _run_once(self._loaded())
        except DinovError as error:
            # The status line shows it; the first job will say it again.
            _log.warning("The model could not be loaded: %s", error)
        finally:
            self._warming.release()

    def _read(self, path: Path, sha256: str) -> Image:
        # Segmenting the image on screen again and again should not decode it each time.
        if self._last_image is None or self._last_image[0] != sha256:
            self._last_image = (sha256, read_rgb(path))
        return self._last_image[1]


def load_from_checkpoint(settings: ModelSettings) -> PredictorLike:
    """Make the predictor that settings ask for.

    Raises:
        CheckpointError: if the file is missing, damaged or no checkpoint.
        DeviceUnavailable: if the device does not exist here.
    """
    from dinov.predictor import Predictor

    return Predictor.from_checkpoint(
        settings.checkpoint,
        device=settings.device,
        precision=settings.precision,
        input_size=settings.input_size,
        cache_bytes=settings.cache_mb << 20,
    )


def devices() -> list[Device]:
    """List the devices that a model can run on, and those that are not on this machine."""
    from dinov.device import list_devices

    return list_devices()


def _run_once(predictor: PredictorLike) -> None:
    from dinov.prompt_bank import PromptBank

    blank = np.zeros((64, 64, 3), np.uint8)
    prompt = Prompt(1, PromptType.BOX, (16.0, 16.0, 48.0, 48.0))
    embedding = predictor.embed_prompts(blank, [prompt])[0]
    predictor.segment(blank, PromptBank.of(predictor.fingerprint, [(prompt, embedding)]))
