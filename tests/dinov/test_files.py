from __future__ import annotations

from pathlib import Path

import pytest

from dinov.files import written_whole


def test_a_file_is_there_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "new/folder/file.txt"
    with written_whole(path) as partial:
        partial.write_text("first")
        assert not path.exists()
    assert path.read_text() == "first"
    with pytest.raises(IsADirectoryError), written_whole(path) as partial:
        (partial.write_text("half"), path.parent.read_text())
    assert path.read_text() == "first"
    assert list(path.parent.iterdir()) == [path]


def test_a_new_file_can_be_read_by_whom_the_folder_says(tmp_path: Path) -> None:
    usual = tmp_path / "usual"
    usual.touch()
    with written_whole(tmp_path / "new") as partial:
        partial.write_text("x")
        partial.chmod(0o600)
    assert (tmp_path / "new").stat().st_mode == usual.stat().st_mode
