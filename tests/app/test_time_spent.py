"""The time spent on images: counted once for each person, never more than has passed."""

from __future__ import annotations

import math

import pytest

from app.access import acting_as
from app.project import InvalidInput
from app.time_spent import LONGEST_REPORT, TimeSpent


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def spent(marked, clock):
    return TimeSpent(marked.studio._store, clock)


@pytest.fixture
def seconds(marked):
    """The seconds that are stored for the target."""
    return lambda: marked.studio._store.seconds_spent(marked.id)[marked.target.id]


def test_reports_add_up_and_change_nothing_else(marked, spent, clock, seconds):
    before = marked.studio.project(marked.id).updated_at
    spent.add([marked.target.id, marked.reference.id], [4.0, 2.5], "mine")
    clock.now += 10
    spent.add([marked.target.id], [6.0], "mine")
    assert seconds() == 10.0
    assert marked.studio._store.seconds_spent(marked.id)[marked.reference.id] == 2.5
    assert marked.studio.project(marked.id).updated_at == before


def test_tabs_of_one_person_and_repeated_reports_do_not_count_twice(marked, spent, clock, seconds):
    spent.add([marked.target.id], [5.0], "mine")
    clock.now += 10
    spent.add([marked.target.id], [10.0], "mine")
    spent.add([marked.target.id], [10.0], "mine")
    assert seconds() == 15.0
    # Two images after each other fit into the time that has passed, too.
    clock.now += 8
    spent.add([marked.reference.id, marked.target.id], [6.0, 6.0], "mine")
    assert seconds() == 17.0


def test_people_count_each_by_browser_or_account(marked, spent, seconds):
    for browser in ("one", "two"):
        spent.add([marked.target.id], [5.0], browser)
    for user in ("ann", "bob"):
        with acting_as(user):
            spent.add([marked.target.id], [5.0], "one")
    assert seconds() == 20.0
    with acting_as("ann"):
        spent.add([marked.target.id], [5.0], "another browser of hers")
    assert seconds() == 20.0


def test_what_cannot_be_is_not_counted(marked, spent, seconds):
    spent.add([marked.target.id], [1e9], "mine")
    assert seconds() == LONGEST_REPORT
    for image_ids, reported in (([1], []), ([1], [-1.0]), ([1], [math.inf]), ([1], [math.nan])):
        with pytest.raises(InvalidInput):
            spent.add(image_ids, reported, "mine")
    # An image that was removed meanwhile is no trouble for the others.
    marked.studio.remove_image(marked.reference.id)
    spent.add([marked.reference.id, marked.target.id], [0.0, 0.0], "another")
