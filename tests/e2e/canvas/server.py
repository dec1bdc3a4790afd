"""The canvas alone on a page, with a server that remembers what it is sent."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import gradio as gr
import numpy as np
import uvicorn
from fastapi import FastAPI, Response
from fastapi.staticfiles import StaticFiles

from app.canvas import (
    EMPTY_DOCUMENT,
    STATIC_DIR,
    STATIC_URL,
    CanvasPrompt,
    EditEvent,
    PromptsEvent,
    canvas_categories,
    load_document,
    prompt_canvas,
    update_document,
)
from app.history import HistoryView
from app.project import ProjectImage, StaleRevision, StoredPrompt
from dinov.masks import encode_rle
from dinov.types import Category, Prompt, PromptType

State = tuple[list[Prompt], list[dict[str, Any]] | None]
History = dict[int, list[State]]
EVENTS = (
    "prompts_changed",
    "image_edited",
    "instance_selected",
    "category_picked",
)
CATEGORIES = [Category(1, "coin", "#e6194b"), Category(2, "bus", "#4363d8")]
WIDTH, HEIGHT = 400, 300
# Image 1 has results, 2 was segmented without any, 3 was not segmented, 4 has no picture.
STYLE = "#canvas { height: 640px } #canvas *:has(.prompt-canvas) { height: 100% }"


def discs() -> list[dict[str, Any]]:
    """Three overlapping discs in a row, with scores 0.9, 0.6 and 0.3; the last one is a ring."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    found = []
    for i, (cx, radius, score) in enumerate([(100, 60, 0.9), (150, 30, 0.6), (300, 50, 0.3)]):
        distance = np.hypot(x - cx, y - 150)
        mask = (distance < radius) & ((i < 2) | (distance > 20))
        rle = encode_rle(mask)
        found.append({"id": 11 + i, "category_id": 1 + i // 2, "score": score, **rle})
    made = {"bbox": [], "area": 0, "status": "proposed", "origin": "found", "z_order": 0, "rev": 0}
    return [made | one for one in found]


class CanvasServer:
    """Serves the page until stopped; tests set ``fail_with``, read ``saved`` and ``named``."""

    def __init__(self) -> None:
        self.forget()
        api = FastAPI()
        api.get("/media/{image_id}")(self._media)
        api.get("/results/{image_id}")(self._results)
        api.get("/marks/{image_id}")(self._marks)
        api.mount(f"/{STATIC_URL}", StaticFiles(directory=STATIC_DIR))
        app = gr.mount_gradio_app(api, self._blocks(), path="", css=STYLE, run_history=False)
        listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.02)

    def forget(self) -> None:
        """Be as new, for the next test."""
        self.results: dict[int, list[dict[str, Any]]] = {1: discs(), 2: []}
        self.past: dict[int, list[State]] = defaultdict(list)
        self.future: dict[int, list[State]] = defaultdict(list)
        self.revs: dict[int, int] = {}
        self.saved: dict[int, list[Prompt]] = {}
        self.last_key: str | None = None
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.fail_with: Exception | None = None

    def stop(self) -> None:
        """Stop serving."""
        self._server.should_exit = True
        self._thread.join(timeout=10)

    def named(self, name: str) -> list[dict[str, Any]]:
        """The data of all events of this name, oldest first."""
        return [data for event, data in self.events if event == name]

    def _media(self, image_id: int) -> Response:
        if image_id == 4:
            return Response(status_code=404)
        colour = ["#8090a0", "#a09080", "#90a080"][image_id - 1]
        size = f'width="{WIDTH}" height="{HEIGHT}"'
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" {size}><rect {size} fill="{colour}"/></svg>'
        return Response(svg, media_type="image/svg+xml")

    def _results(self, image_id: int) -> dict[str, Any]:
        size, found = [HEIGHT, WIDTH], self.results[image_id]
        return {"schema": 1, "image_id": image_id, "run_id": 1, "size": size, "instances": found}

    def _document(self, image_id: int) -> str:
        image = ProjectImage(
            id=image_id,
            project_id="p",
            file_name=f"{image_id}.png",
            width=WIDTH,
            height=HEIGHT,
            is_reference=True,
            is_target=True,
            sha256="",
            suffix=".png",
            prompts_rev=0,
            results_rev=0,
            position=image_id,
        )
        return load_document(
            image=image,
            url=f"media/{image_id}",
            rev=self.revs.get(image_id, 0),
            prompts=self._stored(image_id),
            categories=CATEGORIES,
            active_category_id=None,
            results_url=f"results/{image_id}" if image_id in self.results else None,
            score_threshold=0.5,
            category_thresholds={},
            history=self._history(image_id),
        )

    def _save(self, event: PromptsEvent) -> dict[str, Any]:
        if self.fail_with:
            raise self.fail_with
        rev = self.revs.get(event.image_id, 0)
        if event.base_rev != rev:
            raise StaleRevision(event.image_id, event.base_rev, rev)
        if not event.merge_key or event.merge_key != self.last_key:
            self._remember(event.image_id)
        self.last_key = event.merge_key
        self.saved[event.image_id] = [s.prompt for s in event.stored_prompts(WIDTH, HEIGHT)]
        self.revs[event.image_id] = rev + 1
        return {"rev": rev + 1, "history": asdict(self._history(event.image_id))}

    def _edit(self, event: EditEvent) -> dict[str, Any]:
        image_id, operation = event.image_id, event.operation
        before = {one["id"] for one in self.results.get(image_id, [])}
        if operation.do == "undo":
            self._travel(image_id, self.past, self.future)
        elif operation.do == "redo":
            self._travel(image_id, self.future, self.past)
        else:
            self._remember(image_id)
            gone = operation.ids if operation.do == "delete" else ()
            left = [one for one in self.results[image_id] if one["id"] not in gone]
            self.results[image_id] = left
        instances = self.results.get(image_id, [])
        return {
            "results_rev": 1,
            "instances": instances,
            "removed": sorted(before - {one["id"] for one in instances}),
            **self._marks(image_id),
        }

    def _marks(self, image_id: int) -> dict[str, Any]:
        prompts = self._stored(image_id)
        return {
            "history": asdict(self._history(image_id)),
            "rev": self.revs.get(image_id, 0),
            "prompts": [
                CanvasPrompt.of(p).model_dump(mode="json", exclude_none=True) for p in prompts
            ],
            "categories": canvas_categories(CATEGORIES),
        }

    def _remember(self, image_id: int) -> None:
        self.past[image_id].append((self.saved.get(image_id, []), self.results.get(image_id)))
        self.future[image_id].clear()

    def _travel(self, image_id: int, source: History, target: History) -> None:
        target[image_id].append((self.saved.get(image_id, []), self.results.get(image_id)))
        self.saved[image_id], results = source[image_id].pop()
        if results is not None:
            self.results[image_id] = results
        self.revs[image_id] = self.revs.get(image_id, 0) + 1

    def _history(self, image_id: int) -> HistoryView:
        past, future = self.past[image_id], self.future[image_id]
        return HistoryView(len(past), "step" if past else None, "step" if future else None)

    def _stored(self, image_id: int) -> list[StoredPrompt]:
        prompts = self.saved.get(image_id, [])
        return [StoredPrompt(f"s{i}", image_id, prompt) for i, prompt in enumerate(prompts)]

    def mark_elsewhere(self, image_id: int, x: float = 9.0) -> None:
        """Do what another window would: leave a single point on the image."""
        self.saved[image_id] = [Prompt(2, PromptType.POINT, (x, 9.0))]
        self.revs[image_id] = self.revs.get(image_id, 0) + 1

    def _blocks(self) -> gr.Blocks:
        # A queued event that starts while the stream of another one ends is lost by Gradio 6.31.
        quiet = {"show_progress": "hidden", "api_visibility": "private", "queue": False}
        with gr.Blocks(title="Canvas") as blocks:
            with gr.Row():
                opened = {i: gr.Button(f"Image {i}") for i in (1, 2, 3, 4)}
                empty, lower = gr.Button("No image"), gr.Button("Lower")
                note = gr.Textbox(label="Note")
            canvas = prompt_canvas(self._save, self._edit, elem_id="canvas")
            for image_id, button in opened.items():
                button.click(lambda i=image_id: self._document(i), outputs=canvas, **quiet)
            empty.click(lambda: EMPTY_DOCUMENT, outputs=canvas, **quiet)
            lowered = update_document(image_id=1, score_threshold=0.1)
            lower.click(lambda: lowered, outputs=canvas, **quiet)
            note.change(lambda: None, **quiet)
            for name in EVENTS:
                listen = getattr(canvas, name)
                listen(self._recorder(name), trigger_mode="multiple", **quiet)
            canvas.document_requested(self._reload, outputs=canvas, **quiet)
        return blocks

    def _recorder(self, name: str) -> Callable[[gr.EventData], None]:
        def record(data: gr.EventData) -> None:
            self.events.append((name, json.loads(json.dumps(data._data))))

        return record

    def _reload(self, data: gr.EventData) -> str:
        return self._document(data._data["image_id"])
