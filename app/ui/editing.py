"""Edits of the canvas as use cases, and what the canvas is told about what has changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from app.canvas import CanvasPrompt, EditEvent, PromptsEvent
from app.canvas import edits as edit
from app.history import Changes
from app.results import result_instance
from app.segmentation import Studio
from app.ui.annotate import with_project
from app.ui.page import Page, Place

Reply = dict[str, Any]


def save_prompts(studio: Studio) -> Callable[[PromptsEvent], Reply]:
    """Make the function that stores every edit of marks and answers with the new revision."""

    def save(event: PromptsEvent) -> Reply:
        image = studio.image(event.image_id)
        prompts = event.stored_prompts(image.width, image.height)
        rev = studio.save_prompts(event.image_id, event.base_rev, prompts, event.merge_key)
        return {"rev": rev, "history": asdict(studio.history.view(event.image_id))}

    return save


def edit_image(studio: Studio) -> Callable[[EditEvent], Reply]:
    """Make the function that carries out one edit and answers with all that it has changed."""

    def apply(event: EditEvent) -> Reply:
        operation, image_id = event.operation, event.image_id
        match operation:
            case edit.Travel(do="undo"):
                changes = studio.history.undo(image_id, operation.head)
            case edit.Travel():
                changes = studio.history.redo(image_id, operation.head)
            case edit.DecideByScore() | edit.UndoBulk():
                return _in_bulk(studio, image_id, operation)
            case _:
                with studio.history.together(image_id):
                    studio.editing.require_seen(image_id, event.seen)
                    changes = _edited(studio, image_id, operation)
        return reply(studio, image_id, changes)

    return apply


def reply(studio: Studio, image_id: int, changes: Changes) -> Reply:
    """What the canvas has to know after an edit: what changed, and where the history stands."""
    image, present = studio.image(image_id), studio.instances(image_id, changes.instances)
    answer: Reply = {
        "history": asdict(studio.history.view(image_id)),
        "results_rev": image.results_rev,
        "instances": [result_instance(one) for one in present],
        "removed": sorted(set(changes.instances) - {one.id for one in present}),
    }
    if changes.prompts:
        answer["rev"], prompts = studio.prompts(image_id)
        answer["prompts"] = [
            CanvasPrompt.of(one).model_dump(mode="json", exclude_none=True) for one in prompts
        ]
    return answer


def bind(page: Page) -> None:
    """Let the other panels follow what was edited on the canvas."""
    page.on(
        page.canvas.image_edited,
        lambda event, session: page.refresh(with_project(page.studio, event), session),
        Place,
    )


def _edited(studio: Studio, image_id: int, operation: edit.Operation) -> Changes:
    editing = studio.editing
    match operation:
        case edit.Decide():
            return editing.decide(image_id, operation.ids, operation.status)
        case edit.Relabel():
            return editing.relabel(image_id, operation.ids, operation.category_id)
        case edit.Split():
            if not operation.points:
                return editing.separate(image_id, operation.ids[0])
            return editing.split(image_id, operation.ids[0], operation.points)
        case edit.Brush():
            strokes = [stroke.to_stroke() for stroke in operation.strokes]
            return editing.brush(image_id, operation.ids[0], strokes)
        case edit.Outline():
            return editing.outline(image_id, operation.ids[0], operation.rings)
        case edit.Draw():
            return editing.draw(image_id, operation.to_prompt())
        case edit.Change():
            change: Callable[..., Changes] = getattr(editing, operation.do)
            return change(image_id, operation.ids)
    raise AssertionError(operation)


def _in_bulk(studio: Studio, image_id: int, operation: edit.DecideByScore | edit.UndoBulk) -> Reply:
    image = studio.image(image_id)
    if isinstance(operation, edit.UndoBulk):
        undone, kept = studio.history.undo_bulk(image.project_id, operation.bulk_id)
        stay = f" {kept:,} images were edited since and stay as they are." if kept else ""
        said = f"Taken back: {undone.title}.{stay}"
    else:
        bulk = studio.editing.decide_by_score(
            image.project_id,
            operation.status,
            at_least=operation.at_least,
            below=operation.below,
            image_id=None if operation.whole_project else image_id,
            category_id=operation.category_id,
        )
        said = f"{bulk.title}." if bulk else "There is no such proposal."
    everything = tuple(one.id for one in studio.instances(image_id))
    return {**reply(studio, image_id, Changes(instances=everything)), "said": said}
