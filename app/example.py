"""The example: photos and prompts that come with the program, made into a project."""

from __future__ import annotations

import json
from pathlib import Path

from app.project import ServerError
from app.workspace import Workspace

_FOLDER = Path(__file__).resolve().parents[1] / "assets" / "example"


def fill_example(workspace: Workspace, project_id: str, folder: Path = _FOLDER) -> None:
    """Add the example's references with their prompts, then its targets, to a project.

    The prompts stand in references.json: COCO instances JSON with a field "prompt".

    Raises:
        ServerError: if the example is not there.
    """
    try:
        document = json.loads((folder / "references.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise ServerError(
            f"The example in {folder} cannot be read. Get the assets folder back from the source."
        ) from error
    names = {category["id"]: category["name"] for category in document["categories"]}
    for row in document["images"]:
        report = workspace.add_images(project_id, [folder / row["file_name"]])
        if not report.added:
            raise ServerError(report.problems[0])
        for annotation in document["annotations"]:
            if annotation["image_id"] == row["id"]:
                prompt = annotation["prompt"]
                workspace.add_prompt(
                    project_id,
                    report.added[0].id,
                    names[annotation["category_id"]],
                    prompt["type"],
                    prompt["points"],
                    prompt.get("positive", True),
                    prompt.get("width"),
                )
    targets = sorted(
        path for path in (folder / "targets").iterdir() if not path.name.startswith(".")
    )
    workspace.add_images(project_id, targets)
