"""Sessions begin with the right password, and end; wrong ones are slowed down."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from app.accounts import SESSION_SECONDS, Accounts, Throttle, TooManyFailures, WrongPassword
from app.passwords import PasswordFile
from app.store import Store

PASSWORD = "correct horse"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def passwords(tmp_path: Path) -> PasswordFile:
    file = PasswordFile(tmp_path / "users.txt")
    file.add("anna", PASSWORD)
    return file


@pytest.fixture
def accounts(tmp_path: Path, passwords: PasswordFile, clock: Clock):
    store = Store(tmp_path / "studio.sqlite3")
    yield Accounts(store, passwords, clock)
    store.close()


def test_a_session_lasts_until_it_is_ended(accounts):
    token = accounts.log_in("anna", PASSWORD, "1.2.3.4")
    assert accounts.user_of(token) == "anna"
    assert accounts.user_of(token[:-1]) is None
    assert accounts.user_of("") is None
    accounts.log_out(token)
    assert accounts.user_of(token) is None


def test_a_session_ends_by_itself(accounts, clock):
    token = accounts.log_in("anna", PASSWORD, "")
    clock.now += SESSION_SECONDS - 1
    assert accounts.user_of(token) == "anna"
    clock.now += 2
    assert accounts.user_of(token) is None


@pytest.mark.parametrize("end", ["remove", "change"])
def test_sessions_end_with_the_password_they_began_with(accounts, passwords, end):
    token = accounts.log_in("anna", PASSWORD, "")
    if end == "remove":
        passwords.remove("anna")
    else:
        passwords.change("anna", "a new password")
    assert accounts.user_of(token) is None


def test_the_database_lets_nobody_in(accounts, tmp_path):
    token = accounts.log_in("anna", PASSWORD, "")
    with sqlite3.connect(tmp_path / "studio.sqlite3") as connection:
        rows = connection.execute("SELECT * FROM sessions").fetchall()
    assert len(rows) == 1
    assert token not in str(rows)


def test_a_wrong_name_or_password_is_the_same_answer(accounts):
    answers = set()
    for name, password in (("anna", "wrong"), ("nobody", PASSWORD), ("", "")):
        with pytest.raises(WrongPassword) as refused:
            accounts.log_in(name, password, "")
        answers.add(str(refused.value))
    assert len(answers) == 1


def test_guessing_is_slowed_down_even_for_the_right_password(accounts):
    for _ in range(5):
        with pytest.raises(WrongPassword):
            accounts.log_in("anna", "wrong", "1.2.3.4")
    with pytest.raises(TooManyFailures, match="seconds"):
        accounts.log_in("anna", PASSWORD, "5.6.7.8")
    with pytest.raises(TooManyFailures, match="seconds"):
        accounts.log_in("ben", PASSWORD, "1.2.3.4")


def test_the_wait_grows_to_a_minute_and_is_forgotten(clock):
    throttle, keys = Throttle(clock), ["name anna"]
    waits = []
    for _ in range(20):
        try:
            throttle.check(keys)
        except TooManyFailures as error:
            waits.append(error.seconds)
            clock.now += error.seconds
        throttle.check(keys)
        throttle.fail(keys)
    assert waits[:7] == [1, 2, 4, 8, 16, 32, 60]
    assert set(waits[7:]) == {60}
    clock.now += 1000
    throttle.fail(keys)
    throttle.check(keys)


def test_a_right_password_ends_the_count(clock):
    throttle = Throttle(clock)
    for _ in range(4):
        throttle.fail(["a"])
    throttle.succeed(["a"])
    throttle.fail(["a"])
    throttle.check(["a"])
