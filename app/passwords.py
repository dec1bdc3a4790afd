"""The file of users: one line ``name:hash`` each, in the order they were added.

Passwords are hashed with scrypt, whose cost stands beside each hash, so that it can be raised later
without anybody's password becoming invalid. The standard library has it; the cost is one of those
that OWASP's Password Storage Cheat Sheet names (32 MB and about 0.3 s for each try).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import tempfile
import threading
from pathlib import Path

from app.project import InvalidInput, NotFound, ServerError

SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 256
_NAME = re.compile(r"[\w.@+-]{1,64}")
_COST, _BLOCK, _PASSES = 15, 8, 3


def hashed(password: str) -> str:
    """Hash a password under a salt of its own, as ``scrypt$cost$block$passes$salt$hash``."""
    salt = secrets.token_bytes(16)
    digest = _scrypt(password, salt, _COST, _BLOCK, _PASSES)
    return f"scrypt${_COST}${_BLOCK}${_PASSES}${salt.hex()}${digest.hex()}"


def matches(password: str, known: str) -> bool:
    """Whether a password is the one of a hash; takes as long whether it is or not."""
    _, cost, block, passes, salt, digest = known.split("$")
    found = _scrypt(password, bytes.fromhex(salt), int(cost), int(block), int(passes))
    return hmac.compare_digest(found, bytes.fromhex(digest))


def _scrypt(password: str, salt: bytes, cost: int, block: int, passes: int) -> bytes:
    memory = 128 * 2**cost * block
    return hashlib.scrypt(
        password.encode(), salt=salt, n=2**cost, r=block, p=passes, maxmem=2 * memory, dklen=32
    )


class PasswordFile:
    """The users named in a file. It is read again when it was changed, also by another program."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._read_at: tuple[int, int] | None = None
        self._hashes: dict[str, str] = {}
        # What an unknown name is compared with, so that it takes as long as a wrong password.
        self._nobody = hashed(secrets.token_hex())

    def hashes(self) -> dict[str, str]:
        """Return the hash of each user, by name; nobody if there is no file yet.

        Raises:
            ServerError: if the file cannot be read, or a line of it is none of ours.
        """
        with self._lock:
            try:
                state = self.path.stat()
                version = (state.st_mtime_ns, state.st_size)
                if version != self._read_at:
                    self._hashes = _parsed(self.path)
                    self._read_at = version
            except FileNotFoundError:
                self._hashes, self._read_at = {}, None
            except OSError as error:
                raise ServerError(f"{self.path} cannot be read ({error.strerror}).") from error
            return dict(self._hashes)

    def verify(self, name: str, password: str) -> bool:
        """Whether this is the user's password."""
        known = self.hashes().get(name)
        is_right = matches(password[:LONGEST_PASSWORD], known or self._nobody)
        return is_right and known is not None

    def add(self, name: str, password: str) -> None:
        """Add a user.

        Raises:
            InvalidInput: if the name is taken or not allowed, or the password too short.
        """
        self.check_new(name)
        self._write({**self.hashes(), name: _hashed_if_strong(password)})

    def change(self, name: str, password: str) -> None:
        """Give a user another password; sessions under the old one end.

        Raises:
            NotFound: if there is no such user.
            InvalidInput: if the password is too short.
        """
        self.check_known(name)
        self._write({**self.hashes(), name: _hashed_if_strong(password)})

    def remove(self, name: str) -> None:
        """Remove a user; the sessions end, the projects stay.

        Raises:
            NotFound: if there is no such user.
        """
        self.check_known(name)
        self._write({known: hash_ for known, hash_ in self.hashes().items() if known != name})

    def check_new(self, name: str) -> None:
        """Raise InvalidInput if there cannot be a new user of this name."""
        if not _NAME.fullmatch(name):
            raise InvalidInput(
                f"“{name}” cannot be a user's name. Use up to 64 letters, digits and . _ @ + -"
            )
        if name.casefold() in (known.casefold() for known in self.hashes()):
            raise InvalidInput(f"There is a user {name} already.")

    def check_known(self, name: str) -> None:
        """Raise NotFound if there is no such user."""
        hashes = self.hashes()
        if name not in hashes:
            raise NotFound(f"{self.path} names no user {name}, but: {', '.join(hashes) or 'none'}.")

    def _write(self, hashes: dict[str, str]) -> None:
        text = "".join(f"{name}:{hash_}\n" for name, hash_ in hashes.items())
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # mkstemp makes files that only their owner can read.
        handle, part = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(part).replace(self.path)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise


def _hashed_if_strong(password: str) -> str:
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise InvalidInput(
            f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters; "
            f"this one has {len(password)}."
        )
    return hashed(password)


def _parsed(path: Path) -> dict[str, str]:
    hashes: dict[str, str] = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, hash_ = line.partition(":")
        if not re.fullmatch(r"scrypt(\$\d+){3}(\$[0-9a-f]+){2}", hash_):
            raise ServerError(
                f"{path}, line {number}: this is no user with a hashed password. "
                "Add users with: python app.py users add NAME"
            )
        hashes[name] = hash_
    return hashes
