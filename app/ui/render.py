"""What each panel is told, as JSON text. Pure: a snapshot in, text out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from app.access import is_in_charge
from app.canvas import EMPTY_DOCUMENT, load_document, update_document
from app.examples import Example
from app.formats import FORMATS
from app.library import KEPT_DAYS
from app.overview import ProjectSummary, TrashedProject
from app.project import (
    DEFAULT_OVERLAP_THRESHOLD,
    InstanceStatus,
    JobState,
    JobView,
    Project,
    ProjectImage,
    StatusView,
    StoredPrompt,
    Task,
)
from app.server_settings import SettingsView
from app.transfers import EXPORT
from app.ui.hints import next_step
from app.ui.snapshot import Snapshot
from dinov.options import SCORE_FLOOR
from dinov.types import Category

APP_TITLE = "DINOv Studio"

MOST_EXAMPLES = 100
"""So many are drawn of each category; an imported data set may hold thousands."""


def project_bar(
    snapshot: Snapshot,
    projects: Sequence[Project],
    status: StatusView,
    jobs: Sequence[JobView] = (),
) -> str:
    """Draw the header: the open project, the others, background work, and the model's state."""
    current = snapshot.project
    names = {project.id: project.name for project in projects}
    return _text(
        snapshot,
        project={"id": current.id, "name": current.name} if current else None,
        projects=[
            {"id": project.id, "name": project.name, "updated_at": project.updated_at}
            for project in projects
        ],
        status=asdict(status),
        jobs=[_job(job, names[job.project_id]) for job in jobs if job.project_id in names],
    )


def model_in_use(status: StatusView) -> str:
    """Tell the model from another that may be in use later."""
    how = f"{status.input_size} {status.device} {status.precision}"
    return f"{status.checkpoint} {status.variant} {how}"


def account(snapshot: Snapshot, user: str | None, status: StatusView) -> str:
    """Draw the account menu: who is logged in, and to whom the project is open."""
    project = snapshot.project
    return _text(
        snapshot,
        user=user,
        project={
            "owner": project.owner,
            "is_shared": project.is_shared,
            "is_in_charge": is_in_charge(project, user),
        }
        if project
        else None,
        results_rev=snapshot.results_rev,
        model=model_in_use(status),
    )


def _job(job: JobView, project_name: str) -> dict[str, Any]:
    is_file = job.kind == EXPORT and job.state is JobState.DONE
    file = f"projects/{job.project_id}/exports/{job.id}" if is_file else None
    return {**asdict(job), "project_name": project_name, "file": file}


def library(
    snapshot: Snapshot,
    summaries: Sequence[tuple[ProjectSummary, int]],
    trash: Sequence[TrashedProject],
    *,
    opened: bool = False,
) -> str:
    """Draw all projects and the trash; ``opened`` says that one was chosen to work in."""
    return _text(
        snapshot,
        projects=[
            {
                "id": one.project.id,
                "name": one.project.name,
                "updated_at": one.project.updated_at,
                "images": one.images,
                "segmented_images": one.segmented_images,
                "reviewed_images": one.reviewed_images,
                "prompts": one.prompts,
                "instances": one.instances,
                "bytes": size,
                "covers": [_thumbnail(image) for image in one.covers],
            }
            for one, size in summaries
        ],
        trash=[asdict(one) for one in trash],
        kept_days=KEPT_DAYS,
        opened=opened,
    )


def _thumbnail(image: ProjectImage) -> str:
    return f"media/thumbnails/{image.id}?v={image.sha256[:12]}"


def settings(snapshot: Snapshot, view: SettingsView, problem: str = "") -> str:
    """Draw the settings of the server and of the project; ``problem`` says what was refused."""
    project = snapshot.project
    return _text(
        snapshot,
        **asdict(view),
        problem=problem,
        usual_overlap=DEFAULT_OVERLAP_THRESHOLD,
        project={
            "name": project.name,
            "score_thresholds": project.score_thresholds,
            "overlap_threshold": project.overlap_threshold,
            "outdated": len(snapshot.outdated),
        }
        if project
        else None,
    )


def filmstrip(snapshot: Snapshot, problems: Sequence[str], **changes: Any) -> str:
    """Draw the images, what each is for and what was found; ``problems`` are files left out.

    ``changes`` are what ``strip.Strip`` found to be new.
    """
    categories = [{"id": category.id, "name": category.name} for category in snapshot.categories]
    return _text(
        snapshot,
        categories=categories,
        sequences=[{"id": one.id, "name": one.name} for one in snapshot.sequences],
        problems=list(problems),
        **changes,
    )


def category_list(snapshot: Snapshot) -> str:
    """Draw the categories with the number of their marks."""
    categories = [
        {
            "id": category.id,
            "name": category.name,
            "color": category.color,
            "prompts": snapshot.prompt_counts.get(category.id, 0),
            "score_threshold": snapshot.category_thresholds.get(category.id),
        }
        for category in snapshot.categories
    ]
    return _text(
        snapshot,
        categories=categories,
        score_threshold=snapshot.score_threshold,
        shown_task=snapshot.shown_task,
    )


def references(snapshot: Snapshot) -> str:
    """Draw the examples of each category: its marks, and concepts from files."""
    positive = [one for one in snapshot.examples if one.stored.prompt.positive]
    groups = [_group(snapshot, category) for category in snapshot.categories]
    return _text(
        snapshot,
        categories=groups,
        unscored=sum(not one.is_judged or one.is_stale for one in positive),
        comparable=any(group["comparable"] > 1 for group in groups),
        job=asdict(snapshot.scoring) if snapshot.scoring else None,
    )


def _group(snapshot: Snapshot, category: Category) -> dict[str, Any]:
    group = [one for one in snapshot.examples if one.stored.prompt.category_id == category.id]
    concepts = [(c, foreign) for c, foreign in snapshot.concepts if c.category_id == category.id]
    from_files = [concept for concept, _ in concepts if concept.is_used]
    return {
        "id": category.id,
        "name": category.name,
        "color": category.color,
        "count": len(group),
        "used": sum(one.counts for one in group),
        "comparable": sum(one.counts for one in group if one.stored.prompt.positive)
        + sum(concept.positives for concept in from_files),
        "examples": [_example(one) for one in group[:MOST_EXAMPLES]],
        "concepts": [
            {
                "id": concept.id,
                "file_name": concept.file_name,
                "count": concept.positives + concept.negatives,
                "used": concept.is_used,
                "foreign": foreign,
            }
            for concept, foreign in concepts
        ],
    }


def _example(example: Example) -> dict[str, Any]:
    stored, image = example.stored, example.image
    address = f"media/examples/{image.id}/{quote(stored.id, safe='')}"
    return {
        "id": f"{image.id}-{stored.id}",
        "on_image": image.id,
        "prompt_id": stored.id,
        "image": image.file_name,
        "is_reference": image.is_reference,
        "type": stored.prompt.type.value,
        "positive": stored.prompt.positive,
        "picture": f"{address}?v={example.picture}",
        "used": example.is_used,
        "score": example.score,
        "judged": example.is_judged,
        "stale": example.is_stale,
        "odd": example.is_odd,
    }


def video(snapshot: Snapshot) -> str:
    """Draw the sequence that the open image is a frame of, and how to track along it."""
    image_id = snapshot.image_id
    own = next((one for one in snapshot.sequences if image_id in one.image_ids), None)
    names = {image.id: image.file_name for image in snapshot.images}
    return _text(
        snapshot,
        sequence={
            "id": own.id,
            "name": own.name,
            "image_ids": own.image_ids,
            "marked": [n for n in own.image_ids if snapshot.counts[n].prompts],
            "found": [n for n in own.image_ids if snapshot.counts[n].shown],
        }
        if own
        else None,
        others=[
            {"id": one.id, "name": one.name, "first": one.image_ids[0], "count": len(one.image_ids)}
            for one in snapshot.sequences
            if one is not own
        ],
        loose=sum(len(one.image_ids) for one in snapshot.sequences) < len(names),
        images=len(names),
        job=asdict(snapshot.video_job) if snapshot.video_job else None,
    )


def run_controls(snapshot: Snapshot, *, refused: bool = False) -> str:
    """Draw what to search for, the Segment buttons, the job, the score threshold, the download."""
    references = [image for image in snapshot.images if image.is_reference]
    return _text(
        snapshot,
        images=len(snapshot.images),
        marks=sum(snapshot.counts[image.id].prompts for image in references)
        + sum(concept.positives for concept, _ in snapshot.concepts if concept.is_used),
        targets=sum(image.is_target for image in snapshot.images),
        is_target=snapshot.image is not None and snapshot.image.is_target,
        segmented_images=sum(
            count.is_segmented or count.shown > 0 for count in snapshot.counts.values()
        ),
        run_options=asdict(snapshot.run_options),
        shown_task=snapshot.shown_task,
        score_threshold=snapshot.score_threshold,
        category_thresholds=snapshot.applied_thresholds,
        score_floor=SCORE_FLOOR if snapshot.shown_task is Task.GENERIC else 0,
        scores=[
            {
                "score": instance["score"],
                "status": instance["status"],
                "category_id": instance["category_id"],
            }
            for instance in snapshot.results["instances"]
            if instance["status"] != InstanceStatus.REJECTED
        ]
        if snapshot.results and snapshot.results_url
        else None,
        job=asdict(snapshot.job) if snapshot.job else None,
        is_image_busy=snapshot.is_image_busy,
        outdated=len(snapshot.outdated),
        refused=refused,
    )


def exchange(snapshot: Snapshot, job_id: str | None = None, *, refused: bool = False) -> str:
    """Draw the export and the import; ``job_id`` answers one, as ``refused`` does."""
    return _text(
        snapshot,
        images=len(snapshot.images),
        formats=[
            {"name": name, "title": format_.title, "lacks": format_.lacks}
            for name, format_ in FORMATS.items()
        ],
        job_id=job_id,
        refused=refused,
    )


def instance_list(snapshot: Snapshot) -> str:
    """Draw the instances of the current image."""
    categories = {category.id: category for category in snapshot.categories}
    found = snapshot.results["instances"] if snapshot.results else []
    instances = [
        {
            "id": instance["id"],
            "score": instance["score"],
            "status": instance["status"],
            "origin": instance["origin"],
            "area": instance["area"],
            "category_id": instance["category_id"],
            "category": categories[instance["category_id"]].name,
            "color": categories[instance["category_id"]].color,
        }
        for instance in sorted(found, key=lambda one: -one["score"])
    ]
    # Of what was looked for as one object each, the page says which was not found.
    is_refer = snapshot.results and snapshot.results["task"] is Task.REFER
    sought = snapshot.results["sought"] if snapshot.results and is_refer else []
    return _text(
        snapshot,
        instances=instances if snapshot.results_url else None,
        objects=[{"id": id_, "name": categories[id_].name} for id_ in sought if id_ in categories],
        categories=[{"id": category.id, "name": category.name} for category in categories.values()],
        bulk=asdict(snapshot.bulk) if snapshot.bulk else None,
        score_threshold=snapshot.score_threshold,
        category_thresholds=snapshot.applied_thresholds,
    )


def welcome(snapshot: Snapshot) -> str:
    """Show the two ways to begin while there is no image."""
    return _text(snapshot, show=not snapshot.images)


def hint(snapshot: Snapshot) -> str:
    """Say what to do next."""
    return _text(snapshot, step=next_step(snapshot))


def notice(snapshot: Snapshot, text: str, *, deleted_id: str | None = None) -> str:
    """Tell the user something, for a while; the project that was deleted can be restored."""
    return _text(snapshot, text=text, deleted_id=deleted_id)


def address(snapshot: Snapshot) -> str:
    """Keep the address bar and the window title in step with what is open."""
    names = [snapshot.image.file_name] if snapshot.image else []
    names += [snapshot.project.name] if snapshot.project else []
    return _text(snapshot, title=" · ".join([*names, APP_TITLE]))


def canvas_document(snapshot: Snapshot, rev: int = 0, prompts: Sequence[StoredPrompt] = ()) -> str:
    """Open the current image on the canvas: prompts at revision ``rev``, and results."""
    image = snapshot.image
    if image is None:
        return EMPTY_DOCUMENT
    return load_document(
        image=image,
        url=image_url(image),
        rev=rev,
        prompts=prompts,
        categories=snapshot.categories,
        active_category_id=None,
        results_url=snapshot.results_url,
        score_threshold=snapshot.score_threshold,
        category_thresholds=snapshot.applied_thresholds,
        history=snapshot.history,
        taken=snapshot.taken,
    )


def image_url(image: ProjectImage) -> str:
    """Where the browser reads an image's upright pixels."""
    return f"media/images/{image.id}?v={image.sha256[:12]}"


def canvas_update(snapshot: Snapshot, image_id: int) -> str:
    """Tell the canvas results, threshold and categories; the image stays as it is."""
    return update_document(
        image_id=image_id,
        categories=snapshot.categories,
        results_url=snapshot.results_url,
        score_threshold=snapshot.score_threshold,
        category_thresholds=snapshot.applied_thresholds,
    )


def _text(snapshot: Snapshot, **value: Any) -> str:
    place = {
        "taken": snapshot.taken,
        "project_id": snapshot.project_id,
        "image_id": snapshot.image_id,
    }
    return json.dumps(place | value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
