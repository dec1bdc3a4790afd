"""The account menu, and what others do meanwhile: who is here, what they have changed."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Query, Response

from app.canvas import canvas_categories
from app.history import Changes
from app.segmentation import Studio
from app.ui import render
from app.ui.editing import reply
from app.ui.page import Page, Place, Session, Updates


class SharingChanged(Place):
    """The project was opened to all users, or to its owner alone."""

    is_shared: bool


def bind(page: Page) -> None:
    """Connect the account menu."""
    studio = page.studio

    def share(event: SharingChanged, session: Session) -> Updates:
        studio.sharing.set_shared(str(event.project_id), event.is_shared)
        return page.refresh(event, session)

    page.on(page.account.sharing_changed, share, SharingChanged)
    page.on(page.account.polled, page.refresh, Place)


def changes_route(studio: Studio) -> APIRouter:
    """Create the routes by which an open page follows what others do on its image."""
    router = APIRouter()

    @router.get("/changes/{image_id}", include_in_schema=False)
    def changes(image_id: int, window: str = Query(max_length=64)) -> dict[str, Any]:
        known = asdict(studio.sharing.changes(image_id, window))
        return {**known, "model": render.model_in_use(studio.model_status())}

    @router.get("/marks/{image_id}", include_in_schema=False)
    def marks(image_id: int) -> Response:
        categories = studio.categories(studio.image(image_id).project_id)
        document = {
            **reply(studio, image_id, Changes(prompts=True)),
            "categories": canvas_categories(categories),
        }
        return Response(json.dumps(document), media_type="application/json")

    return router
