"""Logging in and out: sessions with an end, and wrong passwords that are slowed down."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.passwords import PasswordFile
from app.project import AppError
from app.store import Store

SESSION_SECONDS = 14 * 24 * 3600

_FREE_FAILURES = 5
_LONGEST_WAIT = 60.0
_FORGOTTEN_AFTER = 900.0
_REMEMBERED = 10_000


class WrongPassword(AppError):
    """The name and the password do not belong together."""


class TooManyFailures(AppError):
    """So many wrong passwords that the next try has to wait."""

    def __init__(self, seconds: float) -> None:
        self.seconds = max(1, round(seconds))
        super().__init__(f"Too many wrong passwords. Try again in {self.seconds} seconds.")


@dataclass
class _Failures:
    count: int
    last: float


class Throttle:
    """Slows down guessing: after five failures each further one doubles the wait, to a minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[str, _Failures] = {}

    def check(self, keys: Sequence[str]) -> None:
        """Raise TooManyFailures if one of the keys has to wait."""
        wait = max(self._wait(key) for key in keys)
        if wait > 0:
            raise TooManyFailures(wait)

    def fail(self, keys: Sequence[str]) -> None:
        """Note a failure for each key."""
        now = self._clock()
        for key in keys:
            known = self._failures.pop(key, None)
            is_recent = known is not None and now - known.last < _FORGOTTEN_AFTER
            self._failures[key] = _Failures(known.count + 1 if known and is_recent else 1, now)
        while len(self._failures) > _REMEMBERED:
            del self._failures[next(iter(self._failures))]

    def succeed(self, keys: Sequence[str]) -> None:
        """Forget the failures of the keys."""
        for key in keys:
            self._failures.pop(key, None)

    def _wait(self, key: str) -> float:
        known = self._failures.get(key)
        if known is None or known.count < _FREE_FAILURES:
            return 0.0
        pause = min(_LONGEST_WAIT, 2.0 ** (known.count - _FREE_FAILURES))
        return known.last + pause - self._clock()


class Accounts:
    """The users of a server and who of them is logged in.

    A session is a random token that only the browser has; the database keeps its hash. So logging
    out ends it, unlike a signed cookie, and so does another password for the user.
    """

    def __init__(
        self, store: Store, passwords: PasswordFile, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._passwords = passwords
        self._clock = clock
        self._throttle = Throttle()
        # One try at a time: each takes 32 MB, and many at once would starve the page.
        self._turn = threading.Lock()

    def log_in(self, name: str, password: str, address: str) -> str:
        """Begin a session and return its token.

        Args:
            name: the user's name.
            password: as it was typed.
            address: where the request comes from; wrong passwords count by name and by address.

        Raises:
            WrongPassword: if they do not belong together.
            TooManyFailures: if it has to wait, whether the password is right or not.
        """
        keys = (f"name {name}", f"address {address}")
        with self._turn:
            self._throttle.check(keys)
            if not self._passwords.verify(name, password):
                self._throttle.fail(keys)
                raise WrongPassword("The name or the password is wrong.")
            self._throttle.succeed(keys)
        token, now = secrets.token_urlsafe(32), self._clock()
        self._store.remove_sessions_before(now)
        credential = _digest(self._passwords.hashes()[name])
        self._store.add_session(_digest(token), name, credential, now + SESSION_SECONDS)
        return token

    def user_of(self, token: str) -> str | None:
        """Return whose session this is; None if it has ended, or there is no such user any more."""
        session = self._store.session(_digest(token))
        if session is None:
            return None
        name, credential, expires_at = session
        known = self._passwords.hashes().get(name)
        if expires_at < self._clock() or known is None or _digest(known) != credential:
            return None
        return name

    def log_out(self, token: str) -> None:
        """End a session."""
        self._store.remove_session(_digest(token))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
