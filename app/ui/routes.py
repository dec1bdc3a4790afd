"""What the page fetches by address: images, thumbnails, results. Read-only."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse

from app.canvas import reference_document
from app.segmentation import Studio
from app.ui.render import image_url

# The page puts a content hash or a revision in the address, so what it names never changes.
UNCHANGING = {"Cache-Control": "private, max-age=31536000, immutable"}
ASK_AGAIN = {"Cache-Control": "private, no-cache"}


def media_routes(studio: Studio) -> APIRouter:
    """Create the routes of the images and of what was found on them."""
    router = APIRouter()

    def image_file(path: Path, request: Request) -> FileResponse:
        return FileResponse(path, headers=UNCHANGING if "v" in request.query_params else ASK_AGAIN)

    @router.get("/media/images/{image_id}", include_in_schema=False)
    def image(image_id: int, request: Request) -> FileResponse:
        return image_file(studio.image_path(image_id), request)

    @router.get("/media/thumbnails/{image_id}", include_in_schema=False)
    def thumbnail(image_id: int, request: Request) -> FileResponse:
        return image_file(studio.thumbnail_path(image_id), request)

    @router.get("/media/examples/{image_id}/{prompt_id:path}", include_in_schema=False)
    def example(image_id: int, prompt_id: str, request: Request) -> Response:
        picture = studio.references.picture(image_id, prompt_id)
        headers = UNCHANGING if "v" in request.query_params else ASK_AGAIN
        return Response(picture, media_type="image/jpeg", headers=headers)

    @router.get("/instances/{instance_id}/mask", include_in_schema=False)
    def mask(instance_id: int) -> dict[str, Any]:
        """At the size of the image; a results document may hold a smaller one."""
        return dict(studio.instance(instance_id).rle)

    @router.get("/references/{category_id}", include_in_schema=False)
    def references(category_id: int) -> dict[str, Any]:
        found = studio.review.references(category_id)
        documents = [reference_document(one, image_url(one), prompts) for one, prompts in found]
        return {"references": documents}

    @router.get("/results/{image_id}", include_in_schema=False)
    def results(image_id: int, request: Request) -> Response:
        body = json.dumps(studio.results(image_id), separators=(",", ":")).encode()
        # The content itself: ids and revisions begin anew in another data folder.
        tag = f'"{hashlib.sha256(body).hexdigest()}"'
        headers = {"ETag": tag, "Vary": "Accept-Encoding", **ASK_AGAIN}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            body = gzip.compress(body, compresslevel=1)
            headers["Content-Encoding"] = "gzip"
        return Response(body, media_type="application/json", headers=headers)

    return router
