"""What a batch does with pictures, as a value that other machines can be sent."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from dinov.download import find
from dinov.features import AnyImage
from dinov.options import InstanceOptions
from dinov.predictor import Predictor
from dinov.prompt_bank import PromptBank
from dinov.types import Image, Segmentation


@dataclass(frozen=True)
class ModelChoice:
    """A checkpoint and how it is run; the arguments of ``Predictor.from_checkpoint``."""

    checkpoint: str
    device: str = "auto"
    precision: str = "float32"
    input_size: int | None = None
    batch_size: int | None = None
    compile: bool = False

    def load(self) -> Predictor:
        """Load it, without memory for images seen before: a batch looks at each once.

        Raises:
            CheckpointError: if the file is missing, damaged or of another architecture.
            DeviceUnavailable: if the device does not exist here, or the precision anywhere, or
                nothing can be compiled for the device on this machine.
        """
        return Predictor.from_checkpoint(
            self.checkpoint,
            device=self.device,
            precision=self.precision,
            input_size=self.input_size,
            cache_bytes=0,
            batch_size=self.batch_size,
            compile=self.compile,
        )


@dataclass(frozen=True)
class Finding:
    """What counts as found.

    Attributes:
        task: "generic" or "refer".
        score_thresholds: the lowest score of each category, or object in the refer task.
        options, max_examples, seed: of the generic task; see ``Predictor.segment``.
        tile: the side of its tiles; "auto" chooses it by the size of each picture.
    """

    task: str
    score_thresholds: Mapping[int, float]
    likeness_threshold: float | None
    options: InstanceOptions
    max_examples: int
    seed: int
    tile: int | Literal["auto"] | None


class Segmenter:
    """Finds in pictures what a prompt bank holds (a ``batch.ManySegmenter``).

    Pickled, it takes the weights along; unpickled, it has a model of its own, on whatever device
    its choice means there.
    """

    def __init__(
        self, model: ModelChoice, predictor: Predictor, bank: PromptBank, finding: Finding
    ) -> None:
        """Join the parts.

        Raises:
            FingerprintMismatch: if the bank was made with another model.
        """
        bank.require(predictor.fingerprint)
        self._model, self._predictor, self._bank, self._finding = model, predictor, bank, finding

    @property
    def batch_size(self) -> int:
        """So many at once suit the device of its model."""
        return self._predictor.batch_size

    def prepare(self, image: Image) -> AnyImage:
        """What can be done with a picture ahead, in any thread."""
        return image if self._finding.tile else self._predictor.prepare(image)

    def segment_many(self, images: Sequence[AnyImage]) -> list[Segmentation]:
        """What is found in each picture, prepared or not; maybe nothing."""
        finding = self._finding
        if finding.task == "refer":
            referrals = self._predictor.refer_many(
                images,
                self._bank,
                score_threshold=finding.score_thresholds,
                likeness_threshold=finding.likeness_threshold,
            )
            return [referral.best for referral in referrals]
        return self._predictor.segment_many(
            images,
            self._bank,
            score_threshold=finding.score_thresholds,
            options=finding.options,
            max_examples=finding.max_examples,
            seed=finding.seed,
            tile=finding.tile,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        path = find(self._model.checkpoint)
        return _unpacked, (path.name, path.read_bytes(), self._model, self._bank, self._finding)


def _unpacked(
    name: str, weights: bytes, model: ModelChoice, bank: PromptBank, finding: Finding
) -> Segmenter:
    # Weights stay mapped after their file has lost its name, except on Windows, which keeps it.
    with tempfile.TemporaryDirectory(prefix="dinov-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / name
        path.write_bytes(weights)
        return Segmenter(model, replace(model, checkpoint=str(path)).load(), bank, finding)
