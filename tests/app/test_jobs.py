"""Background jobs run one by one, report, stop, and survive their own failures."""

from __future__ import annotations

import threading

import pytest

from app.jobs import JobRunner
from app.project import InvalidInput, JobState
from app.store import Store


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "studio.sqlite3")
    yield opened
    opened.close()


@pytest.fixture
def runner(store):
    opened = JobRunner(store)
    yield opened
    opened.close()


@pytest.fixture
def project_id(store) -> str:
    return store.add_project("one").id


def test_a_job_reports_its_progress(runner, project_id):
    at_half, go_on = threading.Event(), threading.Event()

    def work(control) -> str:
        control.say("working")
        control.start_clock()
        control.advance(is_timed=False)
        control.advance(found=3)
        at_half.set()
        go_on.wait(10)
        control.add_problem("Bild ä: kaputt")
        control.advance(found=1)
        control.advance()
        return "ready"

    job_id = runner.submit(project_id, 4, work)
    assert at_half.wait(10)
    half = runner.view(job_id)
    assert (half.state, half.done, half.total, half.found) == (JobState.RUNNING, 2, 4, 3)
    assert half.message == "working"
    # What needed no work says nothing about the speed.
    assert half.seconds_left == pytest.approx(2 / half.images_per_second)
    go_on.set()
    end = runner.wait(job_id, timeout=10)
    assert (end.state, end.done, end.found, end.message) == (JobState.DONE, 4, 4, "ready")
    assert end.problems == ("Bild ä: kaputt",)
    assert end.seconds_left is None


def test_jobs_run_in_order_and_the_one_under_way_is_the_latest(runner, project_id):
    order, gate = [], threading.Event()

    def first(control) -> str:
        gate.wait(10)
        order.append(1)
        return ""

    def second(control) -> str:
        order.append(2)
        return ""

    one, two = runner.submit(project_id, 1, first), runner.submit(project_id, 1, second)
    assert runner.latest(project_id).id == one
    gate.set()
    runner.wait(two, timeout=10)
    assert order == [1, 2]
    assert runner.latest(project_id).id == two


def test_a_waiting_job_that_is_cancelled_never_begins(runner, project_id):
    gate, began = threading.Event(), threading.Event()

    def hold(control) -> str:
        gate.wait(10)
        return ""

    def begin(control) -> str:
        began.set()
        return ""

    runner.submit(project_id, 1, hold)
    waiting = runner.submit(project_id, 1, begin)
    runner.cancel(waiting)
    gate.set()
    assert runner.wait(waiting, timeout=10).state is JobState.CANCELLED
    assert not began.is_set()


@pytest.mark.parametrize(
    ("error", "message"),
    [(InvalidInput("Mark something."), "Mark something."), (ZeroDivisionError("x"), "failed: x")],
)
def test_a_failing_job_says_why_and_the_next_one_runs(runner, project_id, error, message):
    def fail(control) -> str:
        raise error

    job = runner.wait(runner.submit(project_id, 1, fail), timeout=10)
    assert job.state is JobState.FAILED
    assert message in job.message
    after = runner.wait(runner.submit(project_id, 1, lambda _: "fine"), timeout=10)
    assert after.message == "fine"


def test_cancelling_what_has_ended_changes_nothing(runner, project_id):
    job_id = runner.submit(project_id, 1, lambda _: "fine")
    runner.wait(job_id, timeout=10)
    runner.cancel(job_id)
    assert runner.view(job_id).state is JobState.DONE
