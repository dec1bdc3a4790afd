"""Edits of instances as the canvas sends them: read strictly, refused in words."""

from __future__ import annotations

import json

import pytest

from app.canvas.edits import Brush, Draw, Travel, parse_edit
from app.project import InvalidInput
from dinov.mask_edits import Stroke
from dinov.types import PromptType


def message(operation: dict[str, object], **fields: object) -> str:
    return json.dumps(
        {"schema": 1, "kind": "edit", "image_id": 3, "operation": operation, **fields}
    )


def test_operations_are_told_apart_by_what_they_do() -> None:
    event = parse_edit(message({"do": "undo", "head": 4}, seen={"5": 2}))
    assert (event.image_id, event.seen) == (3, {5: 2})
    assert event.operation == Travel(do="undo", head=4)
    brush = parse_edit(
        message({"do": "brush", "ids": [5], "strokes": [{"points": [1, 2, 3], "width": 4}]})
    ).operation
    assert isinstance(brush, Brush)
    assert [stroke.to_stroke() for stroke in brush.strokes] == [Stroke((1.0, 2.0), 4.0)]
    draw = parse_edit(
        message({"do": "draw", "category_id": 1, "type": "box", "points": [0, 0, 5, 5]})
    ).operation
    assert isinstance(draw, Draw)
    assert draw.type is PromptType.BOX


@pytest.mark.parametrize(
    "operation",
    [
        {"do": "explode", "ids": [1]},
        {"do": "delete", "ids": []},
        {"do": "delete", "ids": [0]},
        {"do": "split", "ids": [1, 2]},
        {"do": "brush", "ids": [1], "strokes": []},
        {"do": "brush", "ids": [1], "strokes": [{"points": [1, float("nan")], "width": 4}]},
        {"do": "decide", "ids": [1], "status": "maybe"},
        {"do": "undo", "head": 1, "strange": 2},
    ],
)
def test_what_makes_no_sense_is_refused_in_words(operation: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        parse_edit(message(operation))


def test_what_is_too_large_is_refused() -> None:
    with pytest.raises(InvalidInput, match="smaller steps"):
        parse_edit(" " * 5_000_000)
