"""Who is at work, and which projects are open to whom.

``acting_user`` is None where there are no accounts: then everything is open to everybody.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from contextvars import ContextVar

from app.project import Project

_user: ContextVar[str | None] = ContextVar("user", default=None)


def acting_user() -> str | None:
    """Return the name of the user whose request is carried out, None without accounts."""
    return _user.get()


@contextlib.contextmanager
def acting_as(user: str | None) -> Iterator[None]:
    """Carry out what is inside in a user's name."""
    token = _user.set(user)
    try:
        yield
    finally:
        _user.reset(token)


def is_open_to(project: Project, user: str | None) -> bool:
    """Whether a user may look at a project and work in it.

    One without an owner was made before there were accounts, and is everybody's.
    """
    return user is None or project.owner in (None, user) or project.is_shared


def is_admin(user: str | None, admins: Collection[str]) -> bool:
    """Whether a user may change the settings of the server."""
    return user is None or user in admins


def is_in_charge(project: Project, user: str | None) -> bool:
    """Whether a user may delete a project, and say who may open it."""
    return user is None or project.owner in (None, user)
