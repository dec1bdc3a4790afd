"""The component gives Gradio what it needs, and every save gets an answer the page understands."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from app.canvas import STATIC_DIR, STATIC_URL, EditEvent, PromptsEvent, prompt_canvas
from app.canvas.component import HTML_TEMPLATE, JS_ON_LOAD, answer
from app.canvas.edits import parse_edit
from app.canvas.events import parse_prompts
from app.project import NotFound, StaleEdit, StaleRevision
from dinov.errors import InvalidPrompt

MESSAGE = '{"schema":1,"kind":"prompts","image_id":7,"base_rev":3,"prompts":[]}'


def save(event: PromptsEvent) -> dict[str, object]:
    return {"rev": event.base_rev + 1}


def edit(event: EditEvent) -> dict[str, object]:
    return {"removed": []}


def test_a_save_answers_with_the_new_revision() -> None:
    reply = json.loads(answer(lambda: save(parse_prompts(MESSAGE))))
    assert reply == {"ok": True, "rev": 4}


@pytest.mark.parametrize(
    ("error", "reason", "said"),
    [
        (StaleRevision(7, 3, 5), "stale", "another window"),
        (StaleEdit("Changed in another window."), "stale", "another window"),
        (NotFound("This image was removed."), "gone", "This image was removed."),
        (InvalidPrompt("A box without area."), "refused", "A box without area."),
        (RuntimeError("secret path /home/ann"), "refused", "its log says why"),
    ],
)
def test_a_save_that_fails_says_so_in_words(error: Exception, reason: str, said: str) -> None:
    def failing() -> dict[str, object]:
        raise error

    reply = json.loads(answer(failing))
    assert (reply["ok"], reply["reason"]) == (False, reason)
    assert said in reply["message"]
    assert "/home" not in reply["message"]


@pytest.mark.parametrize("parse", [parse_prompts, parse_edit])
def test_an_unreadable_message_is_refused(parse: Callable[[str], object]) -> None:
    assert json.loads(answer(lambda: {"parsed": parse("{}")}))["reason"] == "refused"


def test_every_event_that_the_docstring_promises_can_be_listened_to() -> None:
    promised = re.findall(r"^        (\w+?)(?:, (\w+))? \{", prompt_canvas.__doc__ or "", re.M)
    names = {name for pair in promised for name in pair if name}
    assert len(names) == 5
    canvas = prompt_canvas(save, edit)
    for name in names:
        assert callable(getattr(canvas, name))


def test_nothing_variable_enters_the_template() -> None:
    """Gradio runs templates through Handlebars and a template literal: names would be code."""
    assert not re.search(r"[`$\\]|\{\{", HTML_TEMPLATE)
    assert "${" not in JS_ON_LOAD


def test_the_modules_are_served_under_their_version() -> None:
    assert re.fullmatch(r"static/canvas/[0-9a-f]{12}", STATIC_URL)
    assert f'"{STATIC_URL}/index.js"' in prompt_canvas(save, edit).js_on_load


def test_every_module_that_is_imported_exists() -> None:
    for path in STATIC_DIR.glob("*.js"):
        for name in re.findall(r'from "\./([^"]+)"', path.read_text()):
            assert (STATIC_DIR / name).is_file(), f"{path.name} imports {name}"


def test_no_stub_file_is_left_beside_the_component() -> None:
    """Gradio writes one beside every module that subclasses a component; mypy would read it."""
    assert not list(Path(STATIC_DIR).parent.glob("*.pyi"))
