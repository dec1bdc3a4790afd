"""Puts the page together: panels, handlers, endpoints and routes, as one web application."""

from __future__ import annotations

import os
from pathlib import Path

import gradio as gr
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse
from fastapi.staticfiles import StaticFiles

from app import canvas
from app.project import AppError, NotFound
from app.segmentation import Studio
from app.ui import (
    account,
    annotate,
    categories,
    editing,
    exchange,
    jobs,
    library,
    panel,
    projects,
    references,
    runs,
    settings,
    video,
)
from app.ui.api import add_endpoints
from app.ui.exports import export_routes
from app.ui.figures import figure_routes
from app.ui.login import Guard, login_routes, user_of
from app.ui.page import Page
from app.ui.render import APP_TITLE
from app.ui.routes import media_routes
from dinov.errors import DinovError

MAX_UPLOAD = "256mb"
HOUR = 3600

PARTS = ((panel.STATIC_URL, panel.STATIC_DIR), (canvas.STATIC_URL, canvas.STATIC_DIR))


def _head() -> str:
    """Name what the page needs, so that the browser fetches it beside Gradio's own files."""
    styles = [
        f"{panel.STATIC_URL}/{name}.css"
        for name in (
            *("controls", "page", "columns", "account", "panels", "strip", "hints"),
            *("runs", "references", "video", "instances", "exchange"),
            *("views", "statistics", "settings"),
        )
    ]
    modules = [f"{url}/{path.name}" for url, folder in PARTS for path in folder.glob("*.js")]
    lines = [f'<link rel="stylesheet" href="{url}">' for url in styles]
    lines += [f'<link rel="modulepreload" href="{url}">' for url in sorted(modules)]
    return "\n".join(lines)


def build_app(studio: Studio, auth_file: Path | None = None) -> FastAPI:
    """Create the web application around a studio. Serve it with uvicorn.

    With ``auth_file`` only the users that it names may do anything, in projects open to them.
    """
    api = FastAPI(title=APP_TITLE, docs_url=None, redoc_url=None, openapi_url=None)
    if auth_file:
        accounts = studio.accounts(auth_file)
        studio = studio.for_users()
        api.include_router(login_routes(accounts))
        api.add_middleware(Guard, accounts=accounts)
    api.include_router(media_routes(studio))
    api.include_router(account.changes_route(studio))
    api.include_router(export_routes(studio))
    api.include_router(figure_routes(studio))
    api.add_exception_handler(AppError, _tell_error)
    api.add_exception_handler(DinovError, _tell_error)
    for url, folder in PARTS:
        api.mount(f"/{url}", _Versioned(directory=folder))
    gr.mount_gradio_app(
        api,
        build_page(studio),
        path="/",
        auth_dependency=user_of if auth_file else None,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        max_file_size=MAX_UPLOAD,
        favicon_path=str(Path(panel.STATIC_DIR) / "favicon.png"),
        theme=_theme(),
        head=_head(),
    )
    return api


def build_page(studio: Studio) -> gr.Blocks:
    """Create the page with its handlers and the public endpoints."""
    # After every event Gradio would summarise all earlier ones, for a dashboard not shown here.
    os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", str(10**9))
    os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1")
    demo = gr.Blocks(
        title=APP_TITLE,
        analytics_enabled=False,
        fill_width=True,
        fill_height=True,
        delete_cache=(HOUR, 24 * HOUR),
    )
    with demo:
        page = Page(
            studio, on_save=editing.save_prompts(studio), on_edit=editing.edit_image(studio)
        )
        for part in (
            *(projects, account, library, jobs, annotate, editing, categories, runs),
            *(references, video, exchange, settings),
        ):
            part.bind(page)
        projects.open_at_load(page, demo)
        add_endpoints(studio)
    return demo


class _Versioned(StaticFiles):
    """Files whose address holds their version, so that a browser need not ask again."""

    def file_response(self, *args: object, **kwargs: object) -> object:  # type: ignore[override]
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def _tell_error(_: Request, error: Exception) -> PlainTextResponse:
    return PlainTextResponse(str(error), status_code=404 if isinstance(error, NotFound) else 409)


def _theme() -> gr.themes.Base:
    """Calm greys so that photos stand out; fonts of the system, because nothing is fetched."""
    sans = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif"]
    return gr.themes.Base(
        primary_hue="indigo",
        neutral_hue="zinc",
        font=sans,
        font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "monospace"],
        radius_size="md",
        text_size="sm",
    ).set(
        body_text_color_subdued="#686873",
        body_text_color_subdued_dark="#a3a3ad",
        body_background_fill="#f4f4f5",
        body_background_fill_dark="#131316",
        block_background_fill="#ffffff",
        block_background_fill_dark="#1c1c20",
        border_color_primary="#e0e0e4",
        border_color_primary_dark="#303036",
    )
