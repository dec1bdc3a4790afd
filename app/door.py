"""The one place where access is checked: users reach the use cases through this door.

Every use case is called with ids of things that lie in a project. Before it begins, the project of
each is looked up and must be open to the acting user; otherwise the thing does not exist for them.
A use case that is called without ids is let through only if it stands in ``OPEN``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import wraps
from typing import Any, TypeVar, cast

from app.access import acting_user, is_admin, is_in_charge, is_open_to
from app.project import InvalidInput, NotFound
from app.store import Store

T = TypeVar("T")

IDS = {
    f"{kind}_id{s}": kind
    for kind in ("project", "image", "category", "instance", "concept", "sequence", "job")
    for s in ("", "s")
}
"""What a parameter of a use case names, one thing or several."""

OPEN = frozenset(
    {"create_project", "last_project", "model_status", "open_example", "projects", "warm_up"}
    | {"model_settings", "summaries", "trash", "restore", "empty_trash"}
)
"""Use cases that concern no project yet, or list those that are open to the user."""

IN_CHARGE = frozenset({"delete_project", "set_shared"})
"""Use cases for those to whom the project belongs."""

ADMINS = frozenset({"change_model", "stop_model_change"})
"""Use cases that change the server for all: for those who administer it."""


def guarded(use_cases: T, store: Store, admins: Collection[str] = ()) -> T:
    """Return the use cases as users may reach them: an object's methods, and its parts' methods."""
    return cast("T", _Door(use_cases, store, admins))


class _Door:
    def __init__(self, behind: object, store: Store, admins: Collection[str] = ()) -> None:
        self._behind = behind
        self._store = store
        self._admins = admins

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        value = getattr(self._behind, name)
        if inspect.isroutine(value):
            return self._checked(value)
        return _Door(value, self._store, self._admins)

    def _checked(self, use_case: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(use_case)
        name = use_case.__name__

        @wraps(use_case)
        def call(*args: Any, **kwargs: Any) -> Any:
            things = list(_things(signature.bind(*args, **kwargs).arguments))
            if name in ADMINS:
                self._check_admin()
            elif not things and name not in OPEN:
                raise PermissionError(f"{name} names nothing of which access could be checked")
            for kind, id_ in things:
                self._check(kind, id_, only_in_charge=name in IN_CHARGE)
            return use_case(*args, **kwargs)

        return call

    def _check_admin(self) -> None:
        user = acting_user()
        if user is None or not is_admin(user, self._admins):
            who = ", ".join(self._admins) or "nobody; the command line does"
            raise InvalidInput(f"The model is for all users. Who may change it: {who}.")

    def _check(self, kind: str, id_: int | str, *, only_in_charge: bool) -> None:
        user = acting_user()
        project = self._store.project(self._store.project_of(kind, id_))
        # With accounts nobody is nameless: a request that lost its user must not see everything.
        if user is None or not is_open_to(project, user):
            raise NotFound(f"This {kind} does not exist any more, or is not shared with you.")
        if only_in_charge and not is_in_charge(project, user):
            raise NotFound(f"This project belongs to {project.owner}, who alone can do that.")


def _things(given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The kind and id of everything that a call names."""
    for parameter, value in given.items():
        if parameter not in IDS or value is None:
            continue
        for id_ in value if parameter.endswith("s") else (value,):
            yield IDS[parameter], id_
