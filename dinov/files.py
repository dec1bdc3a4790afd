"""Files are written whole or not at all."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a path beside ``path`` to write to, which takes its place if nothing goes wrong.

    ``path`` holds either the old file or the whole new one; its folder is made if there is none.

    Raises:
        OSError: if the folder cannot be written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        partial.touch()
        usual_mode = partial.stat().st_mode
        yield partial
        # Some writers (safetensors) make files that only their owner can read.
        partial.chmod(usual_mode)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
