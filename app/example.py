"""The example: photos and prompts that come with the program, made into a project."""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path

from app.project import StoredPrompt
from app.workspace import Workspace
from dinov.images import find_images
from dinov.references import read_references

EXAMPLE_FOLDER = Path(__file__).resolve().parents[1] / "assets" / "example"


def fill_example(workspace: Workspace, project_id: str, folder: Path = EXAMPLE_FOLDER) -> None:
    """Add the example's references with their prompts, then its targets, to an empty project.

    Raises:
        InvalidReferences: if the example is not there.
    """
    references = read_references(folder / "references.json")
    category_ids = {
        category.id: workspace.add_category(project_id, category.name).id
        for category in references.categories
    }
    for reference in references:
        (image,) = workspace.add_images(project_id, [folder / reference.name]).added
        prompts = [
            replace(prompt, category_id=category_ids[prompt.category_id])
            for prompt in reference.prompts
        ]
        stored = [StoredPrompt(str(uuid.uuid4()), image.id, prompt) for prompt in prompts]
        workspace.save_prompts(image.id, image.prompts_rev, stored)
    workspace.add_images(project_id, find_images([folder / "targets"]))
