"""The canvas as a Gradio component: a ``gr.HTML`` with a fixed template and its own ES modules."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from app.canvas.edits import EditEvent, parse_edit
from app.canvas.events import EMPTY_DOCUMENT, PromptsEvent, parse_prompts
from app.project import AppError, NotFound, StaleEdit, StaleRevision
from dinov.errors import DinovError

Reply = dict[str, Any]
STATIC_DIR = Path(__file__).parent / "static"
logger = logging.getLogger(__name__)


def _content_hash(directory: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(directory.iterdir()):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


STATIC_URL = f"static/canvas/{_content_hash(STATIC_DIR)}"
"""Where the page finds STATIC_DIR, relative to itself. The version stands in the path, not in a
query, because the modules import each other by relative paths: an upgrade replaces all or none."""

# Nothing variable may enter the template: Gradio evaluates it as code.
HTML_TEMPLATE = """
<div class="prompt-canvas"><p class="pc-boot" role="status">Loading the canvas…</p></div>
"""

# Gradio accepts a custom event only if its quoted name stands in this text.
JS_ON_LOAD = """
// Events: 'prompts_changed', 'image_edited', 'instance_selected', 'category_picked',
// 'document_requested'.
const host = element.querySelector(".prompt-canvas");
import(new URL(ENTRY, document.baseURI).href)
  .then(({ mount }) => mount({ host, props, trigger, watch, save: server.save_prompts,
    edit: server.edit_image }))
  .catch((error) => {
    host.textContent = "The canvas could not be loaded (" + error.message + "). Reload the page.";
  });
"""


def prompt_canvas(
    on_save: Callable[[PromptsEvent], Reply],
    on_edit: Callable[[EditEvent], Reply],
    *,
    value: str = EMPTY_DOCUMENT,
    elem_id: str | None = None,
    scale: int | None = None,
    render: bool = True,
) -> gr.HTML:
    """Make the component that shows one image with its prompts and results, and lets people draw.

    Its value is a document made by :func:`load_document` or :func:`update_document`; only the
    server writes it. Edits of prompts come back through ``on_save``, called once per edit with all
    prompts of the image and answered with their new revision; edits of instances, undo and redo
    through ``on_edit``, answered with what they have changed. These are Gradio server functions
    rather than events, so that edits stay in order, are acknowledged and never race with a written
    value.

    Events, with the data found in ``gr.EventData``:
        prompts_changed {image_id, rev, count}: after a save has been acknowledged.
        image_edited {image_id}: after an edit, an undo or a redo has been acknowledged.
        instance_selected {image_id, instance_id or null}.
        category_picked {category_id}.
        document_requested {image_id or null}: answer with a load document.
    Listen with ``queue=False``: Gradio 6.31 loses the result of a queued event that is sent while
    the stream of another one is closing, as happens when an image is opened right after a save.

    A function, because Gradio writes a ``.pyi`` beside each module that subclasses a component.
    """

    def save_prompts(text: str) -> str:
        return answer(lambda: on_save(parse_prompts(text)))

    def edit_image(text: str) -> str:
        return answer(lambda: on_edit(parse_edit(text)))

    return gr.HTML(
        value,
        html_template=HTML_TEMPLATE,
        js_on_load=JS_ON_LOAD.replace("ENTRY", json.dumps(f"{STATIC_URL}/index.js")),
        apply_default_css=False,
        server_functions=[save_prompts, edit_image],
        elem_id=elem_id,
        scale=scale,
        render=render,
    )


def answer(action: Callable[[], Reply]) -> str:
    """Do what the canvas asked for; the answer tells what came of it, or why not in words."""
    return json.dumps(_acknowledged(action))


def _acknowledged(action: Callable[[], Reply]) -> Reply:
    try:
        return {"ok": True, **action()}
    except (StaleRevision, StaleEdit) as error:
        return {"ok": False, "reason": "stale", "message": str(error)}
    except NotFound as error:
        return {"ok": False, "reason": "gone", "message": str(error)}
    except (AppError, DinovError) as error:
        return {"ok": False, "reason": "refused", "message": str(error)}
    except Exception:
        # The page must learn of it, or it would claim to have saved.
        logger.exception("an edit could not be saved")
        message = "The server could not save this change; its log says why."
        return {"ok": False, "reason": "refused", "message": message}
