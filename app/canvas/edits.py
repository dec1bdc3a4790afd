"""The edits of instances that the canvas sends, and undo and redo, as JSON text.

Each message is one operation on one image, told apart by ``do``. All coordinates are original-image
pixels, as in ``events``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationError

from app.canvas.events import (
    MAX_MESSAGE_BYTES,
    MAX_POINT_VALUES,
    CanvasModel,
    CanvasRle,
    Coordinate,
)
from app.project import InstanceStatus, InvalidInput
from dinov.mask_edits import Stroke
from dinov.types import Prompt, PromptType, Rle

MAX_STROKES = 500
MAX_RINGS = 2_000

Id = Annotated[int, Field(ge=1)]
Ids = Annotated[tuple[Id, ...], Field(min_length=1, max_length=10_000)]
Points = Annotated[tuple[Coordinate, ...], Field(max_length=MAX_POINT_VALUES)]
Score = Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)]


class CanvasStroke(CanvasModel):
    """One stroke of a brush on a mask."""

    points: Annotated[tuple[Coordinate, ...], Field(min_length=2, max_length=MAX_POINT_VALUES)]
    width: Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)]
    erases: bool = False

    def to_stroke(self) -> Stroke:
        """The stroke meant; a coordinate without a partner is left out."""
        return Stroke(self.points[: len(self.points) // 2 * 2], self.width, self.erases)


class Decide(CanvasModel):
    """Accept or reject instances, or make them proposals again."""

    do: Literal["decide"]
    ids: Ids
    status: InstanceStatus


class Relabel(CanvasModel):
    """Give instances another category."""

    do: Literal["relabel"]
    ids: Ids
    category_id: Id


class Change(CanvasModel):
    """What needs no more than to know which instances are meant."""

    do: Literal[
        "delete",
        "merge",
        "fill_holes",
        "remove_specks",
        "simplify",
        "bring_forward",
        "send_back",
    ]
    ids: Ids


class Split(CanvasModel):
    """Cut an instance along a stroke; without points, its parts become instances."""

    do: Literal["split"]
    ids: Annotated[tuple[Id, ...], Field(min_length=1, max_length=1)]
    points: Points = ()


class Brush(CanvasModel):
    """Paint on the mask of an instance."""

    do: Literal["brush"]
    ids: Annotated[tuple[Id, ...], Field(min_length=1, max_length=1)]
    strokes: Annotated[tuple[CanvasStroke, ...], Field(min_length=1, max_length=MAX_STROKES)]


class Outline(CanvasModel):
    """Give an instance another outline; a ring inside another one is a hole."""

    do: Literal["outline"]
    ids: Annotated[tuple[Id, ...], Field(min_length=1, max_length=1)]
    rings: Annotated[tuple[Points, ...], Field(min_length=1, max_length=MAX_RINGS)]


class Draw(CanvasModel):
    """Add an instance that was drawn by hand: a box, a polygon, or a painted mask."""

    do: Literal["draw"]
    category_id: Id
    type: PromptType
    points: Points = ()
    rle: CanvasRle | None = None

    def to_prompt(self) -> Prompt:
        """The shape that was drawn."""
        rle = Rle(size=list(self.rle.size), counts=self.rle.counts) if self.rle else None
        return Prompt(self.category_id, self.type, self.points, rle=rle)


class DecideByScore(CanvasModel):
    """Decide on all proposals within a range of scores, on the image or in the whole project."""

    do: Literal["decide_by_score"]
    status: InstanceStatus
    at_least: Score = 0.0
    below: Score = 2.0
    category_id: Id | None = None
    whole_project: bool = False


class UndoBulk(CanvasModel):
    """Take a decision about many images back."""

    do: Literal["undo_bulk"]
    bulk_id: Annotated[str, Field(max_length=64)]


class Travel(CanvasModel):
    """Undo or redo a step; ``head`` is the last one that the page knows to be in force."""

    do: Literal["undo", "redo"]
    head: Annotated[int, Field(ge=0)] | None = None


Operation = (
    Decide | Relabel | Change | Split | Brush | Outline | Draw | DecideByScore | UndoBulk | Travel
)


class EditEvent(CanvasModel):
    """One edit of an image. ``seen`` are the revisions of the instances that it is about."""

    schema_: Annotated[Literal[1], Field(alias="schema")]
    kind: Literal["edit"]
    image_id: Id
    seen: Annotated[dict[int, int], Field(max_length=10_000, default_factory=dict)]
    operation: Annotated[Operation, Field(discriminator="do")]


def parse_edit(text: str) -> EditEvent:
    """Read what the canvas sent.

    Raises:
        InvalidInput: if it is too large, not JSON, of another schema, or malformed.
    """
    if len(text) > MAX_MESSAGE_BYTES:
        raise InvalidInput("This edit is too large to be sent at once. Do it in smaller steps.")
    try:
        return EditEvent.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "message"
        raise InvalidInput(
            f"This edit cannot be read ({place}: {first['msg']}). Reload the page."
        ) from error
