"""Logging in and out, and the guard that lets nobody else reach anything but the login page."""

from __future__ import annotations

import html
import json
from collections.abc import Awaitable, Callable, MutableMapping
from string import Template
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Form, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.requests import HTTPConnection
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from app.access import acting_as
from app.accounts import SESSION_SECONDS, Accounts, TooManyFailures, WrongPassword
from app.ui.panel import STATIC_DIR, STATIC_URL

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE = "dinov_session"
LOGIN = "/login"
USER = "dinov.user"
"""Where the scope of a request names its user."""

_PAGE = Template((STATIC_DIR / "login.html").read_text("utf-8"))
_FAVICON = "/favicon.ico"
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """ASGI middleware: who is logged in may pass and acts under their own name, nobody else may.

    Other sites cannot act in a user's name: the cookie does not travel with their requests
    (SameSite), and what browsers mark as coming from another origin may only read.
    """

    def __init__(self, app: ASGIApp, accounts: Accounts) -> None:
        self._app = app
        self._accounts = accounts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer that one must log in first."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        if _comes_from_elsewhere(connection):
            await _refusal("Other sites cannot change anything here.", 403)(scope, receive, send)
            return
        token = connection.cookies.get(COOKIE)
        user = await run_in_threadpool(self._accounts.user_of, token) if token else None
        if user is None and not _is_public(_path(scope)):
            await _ask_to_log_in(connection)(scope, receive, send)
            return
        with acting_as(user):
            await self._app({**scope, USER: user}, receive, send)


def user_of(request: Request) -> str | None:
    """Return the user whom the guard has found; for Gradio's ``auth_dependency``."""
    user: str | None = request.scope.get(USER)
    return user


def login_routes(accounts: Accounts) -> APIRouter:
    """Create the login page, and the routes that log in and out."""
    router = APIRouter()

    @router.get(LOGIN, include_in_schema=False)
    def page(request: Request, next_: str = "") -> Response:
        target = _inside(request.query_params.get("next", next_))
        if user_of(request) is not None:
            return RedirectResponse(_address(request, target), 303)
        return _login_page(request, target=target)

    @router.post(LOGIN, include_in_schema=False)
    def log_in(
        request: Request,
        username: Annotated[str, Form()],
        password: Annotated[str, Form()],
        target: Annotated[str, Form()] = "/",
    ) -> Response:
        address = request.client.host if request.client else ""
        name, target = username.strip(), _inside(target)
        try:
            token = accounts.log_in(name, password, address)
        except (WrongPassword, TooManyFailures) as error:
            status = 401 if isinstance(error, WrongPassword) else 429
            if not _wants_page(request):
                return _refusal(str(error), status)
            return _login_page(request, target=target, name=name, error=str(error), status=status)
        response: Response = JSONResponse({"success": True})
        if _wants_page(request):
            response = RedirectResponse(_address(request, target), 303)
        response.set_cookie(
            COOKIE,
            token,
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
        return response

    @router.post("/logout", include_in_schema=False)
    def log_out(request: Request) -> Response:
        accounts.log_out(request.cookies.get(COOKIE, ""))
        response = RedirectResponse(_address(request, LOGIN), 303)
        response.delete_cookie(COOKIE)
        return response

    return router


def _login_page(
    request: Request, *, target: str, name: str = "", error: str = "", status: int = 200
) -> HTMLResponse:
    text = _PAGE.substitute(
        static=_address(request, f"/{STATIC_URL}"),
        action=_address(request, LOGIN),
        target=html.escape(target),
        name=html.escape(name),
        error=html.escape(error),
        hidden="" if error else "hidden",
        focus_name="" if name else "autofocus",
        focus_password="autofocus" if name else "",
    )
    return HTMLResponse(text, status, headers={"Cache-Control": "no-store"})


def _ask_to_log_in(connection: HTTPConnection) -> Response:
    if connection.scope["type"] == "http" and _wants_page(connection):
        query = connection.url.query
        here = _path(connection.scope) + (f"?{query}" if query else "")
        return RedirectResponse(f"{_address(connection, LOGIN)}?next={quote(here)}", 303)
    return _refusal("Log in first.", 401)


def _refusal(message: str, status: int) -> Response:
    return Response(json.dumps({"detail": message}), status, media_type="application/json")


def _wants_page(connection: HTTPConnection) -> bool:
    return "text/html" in connection.headers.get("accept", "")


def _comes_from_elsewhere(connection: HTTPConnection) -> bool:
    is_reading = connection.scope["type"] == "http" and connection.scope["method"] in _READING
    source = connection.headers.get("sec-fetch-site", "none")
    return not is_reading and source not in ("same-origin", "none")


def _is_public(path: str) -> bool:
    return path in (LOGIN, _FAVICON) or path.startswith(f"/{STATIC_URL}/")


def _path(scope: Scope) -> str:
    """The path below the place where the app is mounted."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _address(connection: HTTPConnection, path: str) -> str:
    root: str = connection.scope.get("root_path", "")
    return root.rstrip("/") + path


def _inside(target: str) -> str:
    """A place on this server to go to after logging in; the start if it is none."""
    parts = urlsplit(target)
    is_inside = target.startswith("/") and not target.startswith(("//", "/\\"))
    return target if is_inside and not parts.scheme and not parts.netloc else "/"
