"""One panel of the page: a plain JavaScript module that draws what the server sends as JSON text.

A panel's value is JSON text and its template never changes, so file and category names reach the
page only as text nodes, and Gradio does not have to compare nested values. A function rather than a
subclass of gr.HTML, beside which Gradio would write a stub file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import gradio as gr

STATIC_DIR = Path(__file__).parent / "static"


def _content_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


# The version stands in the path, so that the modules' imports of each other carry it too.
STATIC_URL = f"static/ui/{_content_hash(STATIC_DIR)}"

# gr.HTML offers `component.some_event(...)` for every name that stands quoted in this script.
_SCRIPT = """
// EVENTS
import(new URL(MODULE, document.baseURI))
  .then((panel) => panel.mount({ element, props, trigger, watch, upload }))
  .catch((error) => {
    element.textContent = "This part of the page could not be loaded: " + error.message;
  });
"""


def panel(module: str, *, events: Sequence[str] = ()) -> gr.HTML:
    """Create the panel drawn by ``static/<module>.js``, which may trigger the given events."""
    script = _SCRIPT.replace("EVENTS", json.dumps(list(events)))
    return gr.HTML(
        value="",
        html_template="<div class='st-mount'></div>",
        js_on_load=script.replace("MODULE", json.dumps(f"{STATIC_URL}/{module}.js")),
        apply_default_css=False,
        elem_id=f"st-{module}",
        elem_classes="st-slot",
    )
