from __future__ import annotations

from pathlib import Path

import pytest

from app.project import InvalidInput
from app.ui.uploads import uploaded_file


@pytest.fixture
def uploads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "uploads"
    folder.mkdir()
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(folder))
    return folder


def test_an_uploaded_file_is_accepted(uploads: Path) -> None:
    path = uploads / "a.png"
    path.touch()
    assert uploaded_file(path) == path.resolve()


@pytest.mark.parametrize("name", ["../secret.png", "missing.png", "sub/../../secret.png", "."])
def test_anything_else_is_refused(uploads: Path, name: str) -> None:
    (uploads.parent / "secret.png").touch()
    (uploads / "sub").mkdir()
    with pytest.raises(InvalidInput, match="not an uploaded file"):
        uploaded_file(uploads / name)


def test_a_link_out_of_the_uploads_is_refused(uploads: Path) -> None:
    secret = uploads.parent / "secret.png"
    secret.touch()
    (uploads / "link.png").symlink_to(secret)
    with pytest.raises(InvalidInput):
        uploaded_file(uploads / "link.png")
