"""The account menu, and what others do meanwhile: who is here, what they have changed."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Query

from app.segmentation import Studio
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
    """Create the route that open pages ask every few seconds."""
    router = APIRouter()

    @router.get("/changes/{image_id}", include_in_schema=False)
    def changes(image_id: int, window: str = Query(max_length=64)) -> dict[str, Any]:
        return asdict(studio.sharing.changes(image_id, window))

    return router
