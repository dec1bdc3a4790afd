"""What each panel is told, as JSON text. Pure: a snapshot in, text out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from app.canvas import EMPTY_DOCUMENT, load_document, update_document
from app.project import (
    DEFAULT_SCORE_THRESHOLD,
    SCORE_FLOOR,
    Project,
    ProjectImage,
    StatusView,
    StoredPrompt,
)
from app.ui.snapshot import Snapshot

APP_TITLE = "DINOv Studio"


def project_bar(snapshot: Snapshot | None, projects: Sequence[Project], status: StatusView) -> str:
    """Draw the header: the open project, the others, and the model's state."""
    current = snapshot.project if snapshot else None
    return _text(
        project={"id": current.id, "name": current.name} if current else None,
        projects=[
            {"id": project.id, "name": project.name, "updated_at": project.updated_at}
            for project in projects
        ],
        status=asdict(status),
    )


def filmstrip(snapshot: Snapshot | None, problems: Sequence[str] = ()) -> str:
    """Draw the images, what each is for and what was found; ``problems`` are files left out."""
    images = [_card(snapshot, image) for image in snapshot.images] if snapshot else []
    return _text(**_place(snapshot), images=images, problems=list(problems))


def _card(snapshot: Snapshot, image: ProjectImage) -> dict[str, Any]:
    counts = snapshot.counts[image.id]
    return {
        "id": image.id,
        "name": image.file_name,
        "width": image.width,
        "height": image.height,
        "thumbnail": f"media/thumbnails/{image.id}?v={image.sha256[:12]}",
        "is_reference": image.is_reference,
        "is_target": image.is_target,
        "prompts": counts.prompts,
        "segmented": counts.is_segmented,
        "shown": counts.shown,
        "hidden": counts.hidden,
    }


def category_list(snapshot: Snapshot | None) -> str:
    """Draw the categories with the number of their marks."""
    categories = [
        {
            "id": category.id,
            "name": category.name,
            "color": category.color,
            "prompts": snapshot.prompt_counts.get(category.id, 0) if snapshot else 0,
        }
        for category in (snapshot.categories if snapshot else ())
    ]
    return _text(**_place(snapshot), categories=categories)


def run_controls(snapshot: Snapshot | None) -> str:
    """Draw the Segment buttons, the running job, the score threshold and the download."""
    if snapshot is None:
        return _text(
            **_place(None),
            images=0,
            marks=0,
            targets=0,
            is_target=False,
            scores=None,
            segmented_images=0,
            score_threshold=DEFAULT_SCORE_THRESHOLD,
            score_floor=SCORE_FLOOR,
            job=None,
        )
    references = [image for image in snapshot.images if image.is_reference]
    results = snapshot.results
    is_segmented = results is not None and results["run_id"] is not None
    return _text(
        **_place(snapshot),
        images=len(snapshot.images),
        marks=sum(snapshot.counts[image.id].prompts for image in references),
        targets=sum(image.is_target for image in snapshot.images),
        is_target=snapshot.image is not None and snapshot.image.is_target,
        segmented_images=sum(count.is_segmented for count in snapshot.counts.values()),
        score_threshold=snapshot.project.score_threshold,
        score_floor=SCORE_FLOOR,
        scores=[
            {"score": instance["score"], "accepted": instance["status"] == "accepted"}
            for instance in results["instances"]
        ]
        if results is not None and is_segmented
        else None,
        job=asdict(snapshot.job) if snapshot.job else None,
    )


def instance_list(snapshot: Snapshot | None, *, restorable: int | None = None) -> str:
    """Draw the instances of the current image; ``restorable`` is one just deleted."""
    if snapshot is None or snapshot.results is None:
        return _text(**_place(None), instances=None, restorable=None, score_threshold=0)
    categories = {category.id: category for category in snapshot.categories}
    instances = [
        {
            "id": instance["id"],
            "score": instance["score"],
            "status": instance["status"],
            "category": categories[instance["category_id"]].name,
            "color": categories[instance["category_id"]].color,
        }
        for instance in sorted(snapshot.results["instances"], key=lambda one: -one["score"])
    ]
    return _text(
        **_place(snapshot),
        instances=instances if snapshot.results["run_id"] is not None else None,
        restorable=restorable,
        score_threshold=snapshot.project.score_threshold,
    )


def welcome(snapshot: Snapshot | None) -> str:
    """Show the two ways to begin while there is no image."""
    return _text(show=snapshot is None or not snapshot.images)


def address(snapshot: Snapshot | None) -> str:
    """Keep the address bar and the window title in step with what is open."""
    if snapshot is None:
        return _text(**_place(None), title=APP_TITLE)
    names = [snapshot.image.file_name] if snapshot.image else []
    title = " · ".join([*names, snapshot.project.name, APP_TITLE])
    return _text(**_place(snapshot), title=title)


def canvas_document(
    snapshot: Snapshot | None, rev: int = 0, prompts: Sequence[StoredPrompt] = ()
) -> str:
    """Open the current image on the canvas: prompts at revision ``rev``, and results."""
    if snapshot is None or snapshot.image is None:
        return EMPTY_DOCUMENT
    image = snapshot.image
    return load_document(
        image=image,
        url=f"media/images/{image.id}?v={image.sha256[:12]}",
        rev=rev,
        prompts=prompts,
        categories=snapshot.categories,
        active_category_id=None,
        results_url=snapshot.results_url,
        score_threshold=snapshot.project.score_threshold,
    )


def canvas_update(snapshot: Snapshot, image_id: int) -> str:
    """Tell the canvas results, threshold and categories; the image stays as it is."""
    return update_document(
        image_id=image_id,
        categories=snapshot.categories,
        results_url=snapshot.results_url,
        score_threshold=snapshot.project.score_threshold,
    )


def _place(snapshot: Snapshot | None) -> dict[str, Any]:
    if snapshot is None:
        return {"project_id": None, "image_id": None}
    return {"project_id": snapshot.project.id, "image_id": snapshot.image_id}


def _text(**value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
