"""The messages between the page's canvas and the server, as JSON text.

Text, because Gradio turns nested values into deep proxies: 100 KB of nested arrays takes seconds,
the same as text 40 ms. All coordinates are original-image pixels (upright); (0, 0) is the outer
corner of the first pixel.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.history import HistoryView
from app.project import ProjectImage, StoredPrompt
from dinov.errors import InvalidPrompt
from dinov.types import Category, Prompt, PromptType, Rle

SCHEMA = 1
MAX_MESSAGE_BYTES = 4_000_000
MAX_PROMPTS = 2_000
MAX_POINT_VALUES = 40_000
"""x and y of 20 000 points, in one prompt."""

POINT_VALUES = {
    PromptType.POINT: (2, 2),
    PromptType.BOX: (4, 4),
    PromptType.SCRIBBLE: (2, MAX_POINT_VALUES),
    PromptType.POLYGON: (6, MAX_POINT_VALUES),
}
"""Fewest and most coordinates of a prompt drawn with points."""

EMPTY_DOCUMENT = json.dumps({"schema": SCHEMA, "kind": "load", "image_id": None})
"""Shown while a project has no image."""

Coordinate = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]


class CanvasModel(BaseModel):
    """A message part. Unknown fields are refused, so that a version mix-up is seen at once."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CanvasRle(CanvasModel):
    """The mask of a mask prompt, COCO compressed: [height, width] and ASCII counts."""

    size: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
    counts: Annotated[str, Field(max_length=MAX_MESSAGE_BYTES)]


class CanvasPrompt(CanvasModel):
    """One mark as it is drawn; the fields are those of :class:`dinov.types.Prompt`."""

    id: Annotated[str, Field(min_length=1, max_length=64)]
    type: PromptType
    category_id: Annotated[int, Field(ge=1)]
    positive: bool = True
    points: Annotated[tuple[Coordinate, ...], Field(max_length=MAX_POINT_VALUES)] = ()
    width: Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)] | None = None
    rle: CanvasRle | None = None

    @model_validator(mode="after")
    def _has_the_points_of_its_type(self) -> Self:
        count = len(self.points)
        if self.type is PromptType.MASK:
            if self.rle is None or count:
                raise ValueError("a mask prompt carries rle and no points")
            return self
        if self.rle is not None:
            raise ValueError(f"a {self.type} prompt carries points, not rle")
        least, most = POINT_VALUES[self.type]
        if count % 2 or not least <= count <= most:
            raise ValueError(f"a {self.type} prompt with {count} coordinates")
        return self

    @classmethod
    def of(cls, stored: StoredPrompt) -> Self:
        """The form in which a stored prompt goes to the page."""
        prompt = stored.prompt
        rle = CanvasRle(size=_pair(prompt.rle), counts=prompt.rle["counts"]) if prompt.rle else None
        return cls(
            id=stored.id,
            type=prompt.type,
            category_id=prompt.category_id,
            positive=prompt.positive,
            points=prompt.points,
            width=prompt.width,
            rle=rle,
        )

    def clipped_points(self, width: int, height: int) -> tuple[float, ...]:
        """Points moved to the nearest place inside a ``width`` x ``height`` image."""
        limits = (float(width), float(height))
        return tuple(min(max(v, 0.0), limits[i % 2]) for i, v in enumerate(self.points))

    def to_prompt(self, width: int, height: int) -> Prompt:
        """The prompt meant, clipped to an image of ``width`` x ``height`` pixels."""
        rle = Rle(size=list(self.rle.size), counts=self.rle.counts) if self.rle else None
        return Prompt(
            category_id=self.category_id,
            type=self.type,
            points=self.clipped_points(width, height),
            width=self.width,
            rle=rle,
            positive=self.positive,
        )


class PromptsEvent(CanvasModel):
    """All prompts of one image, sent by the page after each edit.

    ``base_rev`` is the revision they were edited from: the one loaded, or that of the last save.
    Saves in a row with the same ``merge_key`` are undone together.
    """

    schema_: Annotated[Literal[1], Field(alias="schema")]
    kind: Literal["prompts"]
    image_id: Annotated[int, Field(ge=1)]
    base_rev: Annotated[int, Field(ge=0)]
    merge_key: Annotated[str, Field(max_length=100)] | None = None
    prompts: Annotated[tuple[CanvasPrompt, ...], Field(max_length=MAX_PROMPTS)]

    @model_validator(mode="after")
    def _has_unique_ids(self) -> Self:
        if len({prompt.id for prompt in self.prompts}) != len(self.prompts):
            raise ValueError("two prompts with the same id")
        return self

    def stored_prompts(self, width: int, height: int) -> list[StoredPrompt]:
        """The prompts as they are kept, clipped to the image's ``width`` x ``height`` pixels."""
        return [
            StoredPrompt(id=p.id, image_id=self.image_id, prompt=p.to_prompt(width, height))
            for p in self.prompts
        ]


def parse_prompts(text: str) -> PromptsEvent:
    """Read what the canvas sent.

    Raises:
        InvalidPrompt: if it is too large, not JSON, of another schema, or a prompt is malformed;
            NaN and infinite coordinates are refused.
    """
    if len(text) > MAX_MESSAGE_BYTES:
        raise InvalidPrompt(
            f"The marks on this image take {len(text):,} characters, more than "
            f"{MAX_MESSAGE_BYTES:,}. Delete some of them."
        )
    try:
        return PromptsEvent.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "message"
        raise InvalidPrompt(
            f"The marks on this image cannot be read ({place}: {first['msg']}). Reload the page."
        ) from error


def load_document(
    *,
    image: ProjectImage,
    url: str,
    rev: int,
    prompts: Sequence[StoredPrompt],
    categories: Sequence[Category],
    active_category_id: int | None,
    results_url: str | None,
    score_threshold: float,
    category_thresholds: Mapping[int, float],
    history: HistoryView,
    read_only: bool = False,
    taken: int = 0,
) -> str:
    """The canvas value that shows an image with its prompts and results.

    Args:
        image: the image to show.
        url: where the page gets its upright pixels, relative to the page.
        rev: the revision of ``prompts``.
        prompts: all prompts on the image.
        categories: all categories, in the order of their number keys.
        active_category_id: the category of the next prompt; None means the first.
        results_url: where the page gets the results document; None before the first run.
        score_threshold: instances below it are hidden, accepted ones never are.
        category_thresholds: those of categories that have their own, by id.
        history: what can be undone and redone.
        read_only: prompts and instances can be looked at but not changed.
        taken: when it was; the page does not go back to an earlier one that comes later.
    """
    return _json(
        {
            "kind": "load",
            "image_id": image.id,
            "name": image.file_name,
            "url": url,
            "width": image.width,
            "height": image.height,
            "rev": rev,
            "prompts": _prompts(prompts),
            "categories": canvas_categories(categories),
            "active_category_id": active_category_id,
            "results_url": results_url,
            "score_threshold": score_threshold,
            "category_thresholds": category_thresholds,
            "history": asdict(history),
            "read_only": read_only,
            "taken": taken,
        }
    )


def update_document(
    *,
    image_id: int,
    categories: Sequence[Category] | None = None,
    active_category_id: int | None = None,
    results_url: str | None = None,
    score_threshold: float | None = None,
    category_thresholds: Mapping[int, float] | None = None,
) -> str:
    """The canvas value that changes what is given and leaves image, prompts and zoom alone.

    Only the last value set before the page paints is seen by the canvas, so give all that is known.
    A page that shows another image than ``image_id`` by then asks which one it should.
    """
    changes = {
        "categories": None if categories is None else canvas_categories(categories),
        "active_category_id": active_category_id,
        "results_url": results_url,
        "score_threshold": score_threshold,
        "category_thresholds": category_thresholds,
    }
    given = {key: value for key, value in changes.items() if value is not None}
    return _json({"kind": "update", "image_id": image_id, **given})


def reference_document(
    image: ProjectImage, url: str, prompts: Sequence[StoredPrompt]
) -> dict[str, Any]:
    """What the page draws of a reference beside the image: its pixels, and prompts on them."""
    return {
        "image_id": image.id,
        "name": image.file_name,
        "url": url,
        "width": image.width,
        "height": image.height,
        "prompts": _prompts(prompts),
    }


def _prompts(prompts: Sequence[StoredPrompt]) -> list[dict[str, Any]]:
    return [CanvasPrompt.of(p).model_dump(mode="json", exclude_none=True) for p in prompts]


def canvas_categories(categories: Sequence[Category]) -> list[dict[str, Any]]:
    """Categories as the canvas reads them, in the order of their number keys."""
    return [{"id": c.id, "name": c.name, "color": c.color} for c in categories]


def _json(fields: dict[str, Any]) -> str:
    text = json.dumps({"schema": SCHEMA, **fields}, separators=(",", ":"), allow_nan=False)
    # A file or category may be called "<script>"; what goes to the page must not look like markup.
    return text.replace("<", "\\u003c")


def _pair(rle: Rle) -> tuple[int, int]:
    height, width = rle["size"]
    return height, width
