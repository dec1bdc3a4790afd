"""The file of users: hashed, checked, followed while it changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.passwords import PasswordFile, hashed, matches
from app.project import InvalidInput, NotFound, ServerError

PASSWORD = "correct horse"


@pytest.fixture
def file(tmp_path: Path) -> PasswordFile:
    return PasswordFile(tmp_path / "users.txt")


def test_a_password_matches_its_own_hash_only():
    known = hashed(PASSWORD)
    assert PASSWORD not in known
    assert matches(PASSWORD, known)
    assert not matches("correct hors", known)
    assert hashed(PASSWORD) != known


def test_the_cost_that_stands_beside_a_hash_counts():
    # The third test vector of RFC 7914, cut to 32 bytes.
    digest = "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
    assert matches("pleaseletmein", f"scrypt$14$8$1${b'SodiumChloride'.hex()}${digest}")


def test_users_are_added_changed_and_removed(file):
    file.add("anna", PASSWORD)
    file.add("ben", "another one")
    assert list(file.hashes()) == ["anna", "ben"]
    assert file.verify("anna", PASSWORD)
    assert not file.verify("anna", "another one")
    assert not file.verify("carl", PASSWORD)
    file.change("anna", "a new password")
    assert not file.verify("anna", PASSWORD)
    assert file.verify("anna", "a new password")
    file.remove("anna")
    assert list(file.hashes()) == ["ben"]
    assert not file.verify("anna", "a new password")


def test_nobody_else_on_the_machine_can_read_the_file(file):
    file.add("anna", PASSWORD)
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in file.path.read_text()


def test_a_change_by_another_program_is_seen(file):
    file.add("anna", PASSWORD)
    other = PasswordFile(file.path)
    assert other.verify("anna", PASSWORD)
    file.remove("anna")
    assert other.hashes() == {}
    file.path.unlink()
    assert other.hashes() == {}


@pytest.mark.parametrize("name", ["", "a b", "a:b", "x" * 65, "a\nb"])
def test_names_that_would_break_the_file_are_refused(file, name):
    with pytest.raises(InvalidInput, match="name"):
        file.add(name, PASSWORD)
    assert not file.path.exists()


def test_a_name_that_looks_like_another_is_refused(file):
    file.add("Anna", PASSWORD)
    with pytest.raises(InvalidInput, match="already"):
        file.add("anna", PASSWORD)


def test_a_short_password_is_refused_and_nothing_changed(file):
    with pytest.raises(InvalidInput, match="8 to 256"):
        file.add("anna", "short")
    assert not file.path.exists()


def test_a_user_who_is_not_there_is_named(file):
    file.add("anna", PASSWORD)
    for change in (file.remove, lambda name: file.change(name, PASSWORD)):
        with pytest.raises(NotFound, match="no user ben, but: anna"):
            change("ben")


def test_a_line_that_is_no_user_is_said_with_its_number(file):
    file.path.write_text("# who may log in\n\nanna:plain password\n")
    with pytest.raises(ServerError, match="line 3"):
        file.hashes()
