"""``python app.py users``: who may log in."""

from __future__ import annotations

import argparse
import getpass
import sys
from pathlib import Path

from app.passwords import PasswordFile
from app.project import InvalidInput

_FILE_HELP = "the file of users; it is made with the first one (default: users.txt)"


def add_users(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command and what it can do."""
    parser = commands.add_parser(
        "users",
        help="add, change, remove or list the users of --auth-file",
        description="Say who may log in. A server that runs sees every change at once.",
    )
    actions = parser.add_subparsers(dest="action", required=True)
    for name, run, what in (
        ("add", _add, "Add a user; the password is asked for, or read from standard input."),
        ("password", _change, "Give a user another password, which ends the user's sessions."),
        ("remove", _remove, "Remove a user, which ends the user's sessions. The projects stay."),
        ("list", _list, "List the users."),
    ):
        action = actions.add_parser(name, help=what.split(";")[0].split(",")[0], description=what)
        action.set_defaults(run=run)
        if name != "list":
            action.add_argument("name", metavar="NAME", help="of the user")
        action.add_argument("--auth-file", type=Path, default=Path("users.txt"), help=_FILE_HELP)


def _add(chosen: argparse.Namespace) -> int:
    file = PasswordFile(chosen.auth_file)
    file.check_new(chosen.name)
    file.add(chosen.name, _new_password())
    return _say(f"{chosen.name} may log in. Serve with: --auth-file {chosen.auth_file}")


def _change(chosen: argparse.Namespace) -> int:
    file = PasswordFile(chosen.auth_file)
    file.check_known(chosen.name)
    file.change(chosen.name, _new_password())
    return _say(f"{chosen.name} has another password.")


def _remove(chosen: argparse.Namespace) -> int:
    PasswordFile(chosen.auth_file).remove(chosen.name)
    return _say(f"{chosen.name} cannot log in any more.")


def _list(chosen: argparse.Namespace) -> int:
    return _say("\n".join(PasswordFile(chosen.auth_file).hashes()) or "Nobody may log in yet.")


def _new_password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("The same again: ") != password:
        raise InvalidInput("These are two different passwords. Nothing was changed.")
    return password


def _say(text: str) -> int:
    sys.stdout.write(f"{text}\n")
    return 0
