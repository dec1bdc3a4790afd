"""What crosses the border between page and server is exactly what was meant, or refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.canvas.events import (
    EMPTY_DOCUMENT,
    MAX_POINT_VALUES,
    MAX_PROMPTS,
    load_document,
    parse_prompts,
    update_document,
)
from app.history import HistoryView
from app.project import ProjectImage, StoredPrompt
from dinov.errors import InvalidPrompt
from dinov.types import Category, Prompt, PromptType

NEW = HistoryView(0, None, None)
IMAGE = ProjectImage(
    id=7,
    project_id="p",
    file_name="<script>alert(1)</script>.png",
    width=100,
    height=50,
    is_reference=True,
    is_target=True,
    sha256="0",
    suffix=".png",
    prompts_rev=3,
    results_rev=0,
    position=0,
)
PROMPTS = [
    Prompt(1, PromptType.POINT, (5.0, 6.5)),
    Prompt(2, PromptType.BOX, (1.0, 2.0, 30.0, 40.0), positive=False),
    Prompt(1, PromptType.SCRIBBLE, (1.0, 2.0, 3.0, 4.0, 5.5, 6.0), width=4.0),
    Prompt(1, PromptType.POLYGON, (0.0, 0.0, 9.0, 0.0, 9.0, 9.0)),
    Prompt(1, PromptType.MASK, rle={"size": [50, 100], "counts": "`3h1"}),
]


def mark(**changes: Any) -> dict[str, Any]:
    return {"id": "a", "type": "point", "category_id": 1, "points": [5, 6], **changes}


def message(*prompts: dict[str, Any], **changes: Any) -> str:
    fields = {"schema": 1, "kind": "prompts", "image_id": 7, "base_rev": 3}
    return json.dumps({**fields, "prompts": list(prompts), **changes})


def document(**changes: Any) -> dict[str, Any]:
    stored = [StoredPrompt(f"m{i}", 7, prompt) for i, prompt in enumerate(PROMPTS)]
    fields: dict[str, Any] = {
        "image": IMAGE,
        "url": "media/images/7",
        "rev": 3,
        "prompts": stored,
        "categories": [Category(1, "coin", "#ff0000"), Category(2, "bus")],
        "active_category_id": None,
        "results_url": None,
        "score_threshold": 0.5,
        "category_thresholds": {},
        "history": NEW,
    }
    return dict(json.loads(load_document(**{**fields, **changes})))


def test_prompts_come_back_as_they_were_sent() -> None:
    event = parse_prompts(message(*document()["prompts"]))
    assert (event.image_id, event.base_rev) == (7, 3)
    assert [stored.prompt for stored in event.stored_prompts(100, 50)] == PROMPTS
    assert [stored.id for stored in event.stored_prompts(100, 50)] == ["m0", "m1", "m2", "m3", "m4"]


def test_points_outside_are_moved_to_the_border_of_the_image() -> None:
    event = parse_prompts(message(mark(type="box", points=[-5, -5, 300, 20])))
    assert event.stored_prompts(100, 50)[0].prompt.points == (0, 0, 100, 20)


@pytest.mark.parametrize(
    "wrong",
    [
        mark(points=[]),
        mark(points=[1, 2, 3]),
        mark(points=[1, 2, 3, 4]),
        mark(type="box", points=[1, 2]),
        mark(type="polygon", points=[1, 2, 3, 4]),
        mark(type="scribble", points=[]),
        mark(type="mask"),
        mark(type="mask", rle={"size": [5, 5], "counts": "X"}),
        mark(rle={"size": [5, 5], "counts": "X"}),
        mark(type="circle"),
        mark(category_id=0),
        mark(id=""),
        mark(width=0),
        mark(points=[float("nan"), 1]),
        mark(points=[float("inf"), 1]),
        mark(points=[1, 1e300]),
        mark(points=["1; drop table", 1]),
        mark(unknown=1),
        mark(type="scribble", points=[1.0] * (MAX_POINT_VALUES + 2)),
    ],
)
def test_a_malformed_prompt_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidPrompt, match="cannot be read"):
        parse_prompts(message(wrong))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{",
        message(schema=2),
        message(kind="load"),
        message(image_id=None),
        message(base_rev=-1),
        message(mark(), mark()),
        message(*(mark(id=str(i)) for i in range(MAX_PROMPTS + 1))),
    ],
)
def test_a_malformed_message_is_refused(text: str) -> None:
    with pytest.raises(InvalidPrompt, match="cannot be read"):
        parse_prompts(text)


def test_a_message_that_is_too_large_is_refused_before_it_is_read() -> None:
    with pytest.raises(InvalidPrompt, match="Delete some"):
        parse_prompts(" " * 5_000_000)


def test_the_page_gets_what_it_needs_to_show_an_image() -> None:
    sent = document(active_category_id=2, results_url="results/7?rev=1")
    assert sent["kind"] == "load"
    assert (sent["image_id"], sent["width"], sent["height"], sent["rev"]) == (7, 100, 50, 3)
    assert sent["categories"][0] == {"id": 1, "name": "coin", "color": "#ff0000"}
    assert sent["results_url"] == "results/7?rev=1"
    assert sent["active_category_id"] == 2
    assert sent["history"] == {"head": 0, "undo": None, "redo": None}
    assert not sent["read_only"]


def test_names_cannot_look_like_markup() -> None:
    text = load_document(
        image=IMAGE,
        url="u",
        rev=0,
        prompts=[],
        categories=[Category(1, "</script><b>")],
        active_category_id=None,
        results_url=None,
        score_threshold=0.5,
        category_thresholds={},
        history=NEW,
    )
    assert "<" not in text
    assert json.loads(text)["name"] == IMAGE.file_name


def test_an_update_names_only_what_changes() -> None:
    assert json.loads(update_document(image_id=7, score_threshold=0.0)) == {
        "schema": 1,
        "kind": "update",
        "image_id": 7,
        "score_threshold": 0.0,
    }
    assert json.loads(update_document(image_id=7, categories=[]))["categories"] == []


def test_the_empty_document_shows_no_image() -> None:
    assert json.loads(EMPTY_DOCUMENT) == {"schema": 1, "kind": "load", "image_id": None}
