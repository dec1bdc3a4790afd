"""The endpoints other programs call, typed and described, for gradio_client and plain HTTP."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any, TypeVar, get_type_hints

import gradio as gr
from gradio import FileData
from gradio.events import api

from app.access import acting_as
from app.project import AppError, InvalidInput, Task
from app.segmentation import Studio
from app.ui.exports import export_file_name, export_folder
from app.ui.uploads import uploaded_file
from dinov.coco import rle_of_segmentation
from dinov.errors import DinovError
from dinov.types import Rle, SizeHW

R = TypeVar("R")


def add_endpoints(studio: Studio) -> None:
    """Add the public endpoints to the Blocks being built."""
    for endpoint in _project_endpoints(studio) + _result_endpoints(studio):
        api(_tell_errors(endpoint), api_name=endpoint.__name__, concurrency_limit=4)


def _tell_errors(endpoint: Callable[..., R]) -> Callable[..., R]:
    """Let the caller read what went wrong, rather than only that something did."""
    # Gradio describes an endpoint by its annotations, and does not resolve postponed ones.
    endpoint.__annotations__ = get_type_hints(endpoint)

    @wraps(endpoint)
    def call(request: gr.Request, *args: Any, **kwargs: Any) -> R:
        try:
            # Calls wait in a queue, and are carried out outside the request that the guard saw.
            with acting_as(request.username):
                return endpoint(*args, **kwargs)
        except (AppError, DinovError) as error:
            raise gr.Error(str(error), print_exception=False) from error

    call.__annotations__ = {"request": gr.Request, **endpoint.__annotations__}
    signature = inspect.signature(endpoint)
    first = inspect.Parameter("request", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    call.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[first, *signature.parameters.values()]
    )
    return call


def _project_endpoints(studio: Studio) -> list[Callable[..., Any]]:
    def create_project(name: str) -> str:
        """Create a project and return its id. A name that is taken gets a number."""
        return studio.create_project(name).id

    def add_image(project_id: str, file: FileData) -> int:
        """Add an image file to a project and return its id.

        Pass the file with ``gradio_client.handle_file(path)``. The image is a target, and becomes a
        reference with its first prompt.
        """
        upload = FileData.model_validate(file)
        source = uploaded_file(upload.path)
        report = studio.add_images(
            project_id, [(upload.orig_name or source.name, source.read_bytes())]
        )
        if not report.added:
            raise InvalidInput(" ".join(report.problems))
        return report.added[0].id

    def add_prompt(
        project_id: str,
        image_id: int,
        category: str,
        type: str,  # noqa: A002 - the published name of the argument
        points: list[float],
        positive: bool = True,
        width: float | None = None,
        segmentation: dict[str, Any] | list[list[float]] | None = None,
    ) -> str:
        """Mark an object on an image and return the id of the prompt.

        ``category`` is a name; an unknown one is created. ``type`` is point, box, scribble, polygon
        or mask; ``points`` is [x0, y0, x1, y1, ...] in pixels of the upright image: one point, two
        corners of a box, the path of a scribble or the vertices of a polygon, and empty for a mask.
        ``positive`` false marks what is not meant; on a positive mark of its category it is cut out
        of that. ``width`` is that of a scribble in pixels. ``segmentation`` is the mask as in
        COCO, run lengths {"size": [height, width], "counts": ...} or polygons.
        """
        image = studio.image(image_id)
        rle = None if segmentation is None else _mask(segmentation, (image.height, image.width))
        return studio.add_prompt(project_id, image_id, category, type, points, positive, width, rle)

    return [create_project, add_image, add_prompt]


def _mask(segmentation: Any, size_hw: SizeHW) -> Rle:
    try:
        return rle_of_segmentation(segmentation, size_hw)
    except ValueError as error:
        raise InvalidInput(str(error)) from error


def _result_endpoints(studio: Studio) -> list[Callable[..., Any]]:
    def segment(
        project_id: str,
        image_ids: list[int] | None = None,
        score_threshold: float | None = None,
        task: str = "generic",
    ) -> dict[str, int]:
        """Segment images of a project and return how many instances each has, by image id.

        Without ``image_ids`` all targets are segmented. ``score_threshold``, if given, becomes that
        of the project for the task. ``task`` is generic: find every object like the marked ones; or
        refer: find the very object that is marked, of each category at most one on an image. Waits
        until it is done. JSON has text keys: {"3": 12} is 12 in image 3.
        """
        if task not in list(Task):
            raise InvalidInput(f"Unknown task {task!r}. Use one of: {', '.join(Task)}.")
        options = replace(studio.project(project_id).run_options, task=Task(task))
        found = studio.segment_now(project_id, image_ids, score_threshold, options)
        return {str(image_id): count for image_id, count in found.items()}

    def export_coco(project_id: str) -> FileData:
        """Write the annotations of a project as COCO JSON and return the file."""
        name = export_file_name(studio.project(project_id).name)
        report = studio.export_coco(project_id, export_folder() / name)
        return FileData(path=str(report.path), orig_name=name, mime_type="application/json")

    def save_bank(project_id: str, category: str | None = None) -> FileData:
        """Write the examples of a project, or of one category by its name, as a prompt bank.

        ``load_bank`` reads it into another project, ``python -m dinov segment --bank`` without one.
        """
        wanted = None
        if category is not None:
            named = [c.id for c in studio.categories(project_id) if c.name == category]
            if not named:
                raise InvalidInput(f"This project has no category {category!r}.")
            wanted = named
        name = export_file_name(category or studio.project(project_id).name, "safetensors")
        path = studio.banks.save(project_id, export_folder() / name, wanted)
        return FileData(path=str(path), orig_name=name)

    def load_bank(project_id: str, file: FileData) -> dict[str, int]:
        """Add the concepts of a prompt bank to a project; return their examples by category.

        It must have been made with the checkpoint and input size that are in use. Pass the file
        with ``gradio_client.handle_file(path)``.
        """
        upload = FileData.model_validate(file)
        source = uploaded_file(upload.path)
        loaded = studio.banks.load(project_id, upload.orig_name or source.name, source)
        names = {category.id: category.name for category in studio.categories(project_id)}
        return {names[concept.category_id]: concept.positives for concept in loaded}

    return [segment, export_coco, save_bank, load_bank]
