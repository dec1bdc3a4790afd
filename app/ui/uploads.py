"""Which files on this machine a browser may name: those it uploaded, and no others."""

from __future__ import annotations

from pathlib import Path

from gradio.utils import get_upload_folder

from app.project import InvalidInput


def uploaded_file(path: str | Path) -> Path:
    """Return the path of an uploaded file.

    Gradio checks this for its own input components, but not for event data and plain endpoints.

    Raises:
        InvalidInput: if it is not in the folder of uploads, or not there any more.
    """
    resolved = Path(path).resolve()
    if not resolved.is_relative_to(Path(get_upload_folder()).resolve()) or not resolved.is_file():
        raise InvalidInput(f"{Path(path).name} is not an uploaded file. Add it again.")
    return resolved
