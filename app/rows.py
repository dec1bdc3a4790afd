"""Database rows as the values of ``project``."""

from __future__ import annotations

import json
from typing import Any, Protocol

from app.overview import CountedInstance
from app.project import (
    DEFAULT_OVERLAP_THRESHOLD,
    InstanceStatus,
    JobState,
    JobView,
    Lane,
    Origin,
    Project,
    ProjectImage,
    Run,
    RunOptions,
    StoredInstance,
    StoredPrompt,
    Task,
)
from dinov.types import Category, Prompt, PromptType, Rle


class Row(Protocol):
    """A row whose columns are read by their names."""

    def __getitem__(self, column: str, /) -> Any: ...


def to_project(row: Row, usual_score_threshold: float) -> Project:
    """Read a project; a threshold that was never chosen reads as the usual one."""
    threshold = row["score_threshold"]
    return Project(
        id=row["id"],
        name=row["name"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        score_thresholds={
            Task.GENERIC: usual_score_threshold if threshold is None else threshold,
            Task.REFER: row["refer_score_threshold"],
        },
        overlap_threshold=DEFAULT_OVERLAP_THRESHOLD
        if row["overlap_threshold"] is None
        else row["overlap_threshold"],
        run_options=_run_options(row),
        last_image_id=row["last_image_id"],
        owner=row["owner"],
        is_shared=bool(row["is_shared"]),
    )


def to_image(row: Row) -> ProjectImage:
    """Read an image."""
    return ProjectImage(
        id=row["id"],
        project_id=row["project_id"],
        file_name=row["file_name"],
        width=row["width"],
        height=row["height"],
        is_reference=bool(row["is_reference"]),
        is_target=bool(row["is_target"]),
        sha256=row["sha256"],
        suffix=row["suffix"],
        prompts_rev=row["prompts_rev"],
        results_rev=row["results_rev"],
        position=row["position"],
    )


def to_category(row: Row) -> Category:
    """Read a category."""
    return Category(
        row["id"], row["name"], row["color"], row["supercategory"], bool(row["is_thing"])
    )


def to_prompt(row: Row) -> StoredPrompt:
    """Read a prompt."""
    prompt = Prompt(
        category_id=row["category_id"],
        type=PromptType(row["type"]),
        points=tuple(json.loads(row["points"])),
        width=row["width"],
        rle=json.loads(row["rle"]) if row["rle"] else None,
        positive=bool(row["positive"]),
    )
    return StoredPrompt(row["id"], row["image_id"], prompt)


def to_run(row: Row) -> Run:
    """Read a run."""
    prompt_ids = {int(key): ids for key, ids in json.loads(row["prompt_ids"]).items()}
    return Run(
        id=row["id"],
        created_at=row["created_at"],
        checkpoint=row["checkpoint"],
        fingerprint=row["fingerprint"],
        prompt_ids=prompt_ids,
        options=_run_options(row) if row["task"] else None,
        checkpoint_sha256=row["checkpoint_sha256"],
    )


def to_instance(row: Row) -> StoredInstance:
    """Read an instance."""
    left, top, right, bottom = json.loads(row["box_xyxy"])
    return StoredInstance(
        id=row["id"],
        image_id=row["image_id"],
        category_id=row["category_id"],
        run_id=row["run_id"],
        rle=Rle(size=json.loads(row["size"]), counts=row["counts"]),
        display_counts=row["display_counts"],
        box_xyxy=(left, top, right, bottom),
        area=row["area"],
        score=row["score"],
        status=InstanceStatus(row["status"]),
        origin=Origin(row["origin"]),
        z_order=row["z_order"],
        rev=row["rev"],
    )


def to_counted(row: Row) -> CountedInstance:
    """Read what the statistics count of an instance."""
    return CountedInstance(
        image_id=row["image_id"],
        category_id=row["category_id"],
        area=row["area"],
        score=row["score"],
        status=InstanceStatus(row["status"]),
        origin=Origin(row["origin"]),
        task=Task(row["task"]) if row["task"] else None,
    )


def from_instance(instance: StoredInstance) -> dict[str, Any]:
    """Write an instance as the columns of its row; the database gives its id and revision."""
    return {
        "image_id": instance.image_id,
        "category_id": instance.category_id,
        "run_id": instance.run_id,
        "size": json.dumps(instance.rle["size"]),
        "counts": instance.rle["counts"],
        "display_counts": instance.display_counts,
        "box_xyxy": json.dumps(instance.box_xyxy),
        "area": instance.area,
        "score": instance.score,
        "status": instance.status.value,
        "origin": instance.origin.value,
        "z_order": instance.z_order,
    }


def to_job(row: Row) -> JobView:
    """Read a job."""
    return JobView(
        id=row["id"],
        project_id=row["project_id"],
        kind=row["kind"],
        title=row["title"],
        lane=Lane(row["lane"]),
        attempts=row["attempts"],
        created_at=row["created_at"],
        ended_at=row["ended_at"],
        result=json.loads(row["result"]) if row["result"] else None,
        state=JobState(row["state"]),
        done=row["done"],
        total=row["total"],
        found=row["found"],
        message=row["message"],
        problems=tuple(json.loads(row["problems"])),
    )


def _run_options(row: Row) -> RunOptions:
    return RunOptions(Task(row["task"]), bool(row["in_tiles"]))
