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
