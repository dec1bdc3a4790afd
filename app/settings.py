"""What the application is started with, and which model it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

import platformdirs

from app.project import InvalidInput
from dinov.download import CHECKPOINTS
from dinov.options import PRECISIONS

APP_NAME = "dinov-studio"

INPUT_SIZES = (32, 4096)
"""Sides in pixels: the smallest a model takes, and what no machine should be asked by mistake."""


def default_data_dir() -> Path:
    """Return the folder where this system keeps a user's data, for example ~/.local/share."""
    return platformdirs.user_data_path(APP_NAME, appauthor=False)


@dataclass(frozen=True)
class ModelSettings:
    """Which model looks at images, and how: one for all projects of a server.

    ``checkpoint`` is a name in the table of checkpoints or a file; ``input_size``, the side in
    pixels to which images are resized, is the checkpoint's own where it is None; ``cache_mb`` is
    the memory for what was computed of images seen before.

    Raises:
        InvalidInput: if a value makes no sense; the message says what does.
    """

    checkpoint: str = "lite"
    device: str = "auto"
    precision: str = "float32"
    input_size: int | None = None
    cache_mb: int = 1024

    def __post_init__(self) -> None:
        if not self.checkpoint.strip():
            raise InvalidInput("Type the path of a checkpoint file, .safetensors or .pth.")
        if self.precision not in PRECISIONS:
            raise InvalidInput(f"There is no precision {self.precision}: {', '.join(PRECISIONS)}.")
        least, most = INPUT_SIZES
        if self.input_size is not None and not least <= self.input_size <= most:
            raise InvalidInput(f"The input size is a number of pixels from {least} to {most:,}.")
        if self.cache_mb < 0:
            raise InvalidInput("The memory for images is a number of MB, 0 for none.")

    @classmethod
    def of(cls, *layers: Mapping[str, Any]) -> Self:
        """Put settings together: later layers go before earlier ones, the rest is as by default.

        The path of a file is made one that leads there from everywhere.
        """
        names = {one.name for one in fields(cls)}
        given = {name: value for layer in layers for name, value in layer.items() if name in names}
        settings = cls(**given)
        if settings.checkpoint in CHECKPOINTS:
            return settings
        path = Path(settings.checkpoint.strip()).expanduser().resolve()
        return replace(settings, checkpoint=str(path))

    @property
    def name(self) -> str:
        """The checkpoint for people: its name, or that of its file."""
        return Path(self.checkpoint).name


@dataclass(frozen=True)
class Settings:
    """One value per setting, with its default.

    ``auth_file`` names the users who may log in; without it whoever reaches the server may do all.
    ``admins`` are those of them who may change the settings of the server. ``model`` holds those
    ``ModelSettings`` that the command line gives: they go before what was chosen on the page.
    """

    data_dir: Path = field(default_factory=default_data_dir)
    host: str = "127.0.0.1"
    port: int = 7860
    auth_file: Path | None = None
    admins: tuple[str, ...] = ()
    model: Mapping[str, Any] = field(default_factory=dict)
