from __future__ import annotations

import pytest

from app.ui.exports import export_file_name


@pytest.mark.parametrize(
    ("project", "file"),
    [
        ("Harbour", "Harbour.coco.json"),
        ("Boats 2024/05", "Boats-2024-05.coco.json"),
        ("../../etc/passwd", "etc-passwd.coco.json"),
        ("船の写真", "船の写真.coco.json"),
        ("???", "project.coco.json"),
        ("x" * 300, "x" * 80 + ".coco.json"),
    ],
)
def test_any_project_name_makes_a_file_name(project: str, file: str) -> None:
    assert export_file_name(project) == file
