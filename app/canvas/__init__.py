"""The drawing component: marks on an image, and the instances found in it, in one view."""

from app.canvas.component import STATIC_DIR, STATIC_URL, prompt_canvas
from app.canvas.edits import EditEvent
from app.canvas.events import (
    EMPTY_DOCUMENT,
    CanvasPrompt,
    PromptsEvent,
    canvas_categories,
    load_document,
    parse_prompts,
    reference_document,
    update_document,
)

__all__ = [
    "EMPTY_DOCUMENT",
    "STATIC_DIR",
    "STATIC_URL",
    "CanvasPrompt",
    "EditEvent",
    "PromptsEvent",
    "canvas_categories",
    "load_document",
    "parse_prompts",
    "prompt_canvas",
    "reference_document",
    "update_document",
]
