"""What the application is started with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

APP_NAME = "dinov-studio"


def default_data_dir() -> Path:
    """Return the folder where this system keeps a user's data, for example ~/.local/share."""
    return platformdirs.user_data_path(APP_NAME, appauthor=False)


@dataclass(frozen=True)
class Settings:
    """One value per setting, with its default.

    ``auth_file`` names the users who may log in; without it whoever reaches the server may do all.
    ``checkpoint`` is a name in the table of checkpoints or a file; ``input_size`` of None leaves it
    to the checkpoint.
    """

    data_dir: Path = field(default_factory=default_data_dir)
    host: str = "127.0.0.1"
    port: int = 7860
    checkpoint: str = "lite"
    device: str = "auto"
    input_size: int | None = None
    auth_file: Path | None = None
