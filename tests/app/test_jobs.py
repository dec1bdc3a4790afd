"""Background jobs run one by one, report, stop, and survive their own failures."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator

import pytest

from app.jobs import JobRunner
from app.project import InvalidInput, JobState, Lane
from app.store import Store


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "studio.sqlite3")
    yield opened
    opened.close()


class Jobs(JobRunner):
    """A runner whose only kind of job calls a function of the test; its parameter is the name."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.works: dict[str, Callable] = {}
        self.offer("call", lambda control, asked: self.works[asked["name"]](control) or "")

    def call(self, project_id: str, work: Callable, *, total: int = 1, **how) -> str:
        name = f"{len(self.works)}"
        self.works[name] = work
        return self.submit(project_id, "call", {"name": name}, title=name, total=total, **how)


@pytest.fixture
def runner(store) -> Iterator[Jobs]:
    opened = Jobs(store)
    opened.start()
    yield opened
    opened.close()


@pytest.fixture
def project_id(store) -> str:
    return store.add_project("one").id


class Gate:
    """Work that says that it began, then waits to be let through, item by item."""

    def __init__(self) -> None:
        self.began, self.open = threading.Event(), threading.Event()

    def __call__(self, control) -> str:
        self.began.set()
        assert self.open.wait(60)
        return "stopped" if control.is_cancelled() else "through"


def test_a_job_reports_its_progress(runner, project_id):
    at_half, go_on = threading.Event(), threading.Event()

    def work(control) -> str:
        control.say("working")
        control.start_clock()
        control.advance(is_timed=False)
        control.advance(found=3)
        at_half.set()
        go_on.wait(60)
        control.add_problem("Bild ä: kaputt")
        control.advance(found=1)
        control.advance()
        return "ready"

    job_id = runner.call(project_id, work, total=4)
    assert at_half.wait(60)
    half = runner.view(job_id)
    assert (half.state, half.done, half.total, half.found) == (JobState.RUNNING, 2, 4, 3)
    assert half.message == "working"
    # What needed no work says nothing about the speed.
    assert half.seconds_left == pytest.approx(2 / half.images_per_second)
    go_on.set()
    end = runner.wait(job_id, timeout=60)
    assert (end.state, end.done, end.found, end.message) == (JobState.DONE, 4, 4, "ready")
    assert end.problems == ("Bild ä: kaputt",)
    assert end.seconds_left is None


def test_jobs_run_in_order_and_the_one_under_way_is_the_latest(runner, project_id):
    order, gate = [], Gate()
    one = runner.call(project_id, lambda control: (gate(control), order.append(1))[0])
    two = runner.call(project_id, lambda control: order.append(2))
    assert runner.latest(project_id, "call").id == one
    assert [job.id for job in runner.recent([project_id])] == [one, two]
    assert runner.latest(project_id, "another kind") is None
    gate.open.set()
    runner.wait(two, timeout=60)
    assert order == [1, 2]
    assert runner.latest(project_id, "call").id == two
    assert [job.id for job in runner.recent([project_id])] == [two, one]


def test_a_waiting_job_that_is_cancelled_ends_at_once_and_never_begins(runner, project_id):
    gate, never = Gate(), Gate()
    runner.call(project_id, gate)
    waiting = runner.call(project_id, never)
    runner.cancel(waiting)
    assert runner.view(waiting).state is JobState.CANCELLED
    gate.open.set()
    runner.wait(runner.call(project_id, lambda control: "next"), timeout=60)
    assert not never.began.is_set()


def test_a_job_that_did_all_before_it_saw_the_wish_to_stop_is_done(runner, project_id):
    began, go_on = threading.Event(), threading.Event()
    job_id = runner.call(project_id, lambda control: (began.set(), go_on.wait(60), "all")[2])
    assert began.wait(60)
    runner.cancel(job_id)
    go_on.set()
    assert runner.wait(job_id, timeout=60).state is JobState.DONE


@pytest.mark.parametrize(
    ("error", "message"),
    [(InvalidInput("Mark something."), "Mark something."), (ZeroDivisionError("x"), "failed: x")],
)
def test_a_failing_job_says_why_and_the_next_one_runs(runner, project_id, error, message):
    def fail(control) -> str:
        raise error

    job = runner.wait(runner.call(project_id, fail), timeout=60)
    assert job.state is JobState.FAILED
    assert message in job.message
    after = runner.wait(runner.call(project_id, lambda _: "fine"), timeout=60)
    assert after.message == "fine"


def test_cancelling_what_has_ended_changes_nothing(runner, project_id):
    job_id = runner.call(project_id, lambda _: "fine")
    runner.wait(job_id, timeout=60)
    runner.cancel(job_id)
    assert runner.view(job_id).state is JobState.DONE
    with pytest.raises(InvalidInput, match="it is done"):
        runner.go_on(job_id)


def test_a_long_job_lets_the_annotator_go_first_and_files_beside_it(runner, project_id):
    order, go_on = [], threading.Event()
    long_began, urgent_began = threading.Event(), threading.Event()

    def long(control) -> str:
        order.append("first item")
        long_began.set()
        assert go_on.wait(60)
        control.is_cancelled()
        order.append("second item")
        return ""

    def urgent(control) -> str:
        urgent_began.set()
        assert go_on.wait(60)
        order.append("urgent")
        return ""

    batch = runner.call(project_id, long)
    assert long_began.wait(60)
    assert runner.wait(runner.call(project_id, lambda _: "", lane=Lane.FILES), 60).state == "done"
    now = runner.call(project_id, urgent, lane=Lane.NOW)
    assert urgent_began.wait(60)
    go_on.set()
    runner.wait(now, timeout=60)
    runner.wait(batch, timeout=60)
    assert order == ["first item", "urgent", "second item"]


def test_what_came_of_a_job_stays_with_it_until_it_is_put_away(runner, store, project_id):
    def work(control) -> str:
        control.expect(7)
        control.set_result({"lines": ["ä"], "file": None})
        return "ready"

    job = runner.wait(runner.call(project_id, work, total=0), timeout=60)
    assert (job.total, job.result, job.ended_at is not None) == (
        7,
        {"lines": ["ä"], "file": None},
        True,
    )
    assert [one.id for one in runner.recent([project_id])] == [job.id]
    runner.put_away([project_id])
    assert runner.recent([project_id]) == []


def left_by_a_crash(store, project_id, *, attempts: int, kind: str = "call") -> str:
    job_id = store.add_job(project_id, kind, json.dumps({"name": "0"}), title="x", total=5)
    store.update_job(job_id, state="running", done=2, attempts=attempts)
    return job_id


def start_again(store) -> Jobs:
    runner = Jobs(store)
    for name in ("0", "1"):
        runner.works[name] = lambda control: f"attempt {runner.view(control.job_id).attempts}"
    runner.start()
    return runner


def test_what_a_crash_interrupted_begins_again_but_not_a_third_time(store, project_id):
    once = left_by_a_crash(store, project_id, attempts=1)
    twice = left_by_a_crash(store, project_id, attempts=2)
    unknown = left_by_a_crash(store, project_id, attempts=1, kind="of a later version")
    runner = start_again(store)
    assert runner.wait(once, timeout=60).message == "attempt 2"
    assert (runner.view(twice).state, runner.view(unknown).state) == (JobState.FAILED,) * 2
    assert "ended 2 times" in runner.view(twice).message
    assert "after 2 of 5" in runner.view(twice).message
    # By hand it begins all the same.
    runner.go_on(twice)
    assert runner.wait(twice, timeout=60).message == "attempt 1"
    with pytest.raises(InvalidInput, match="cannot go on"):
        runner.go_on(unknown)
    runner.close()


def test_closing_the_program_costs_a_job_nothing(store, project_id):
    first = Jobs(store)
    gate = Gate()
    running, waiting = first.call(project_id, gate), first.call(project_id, gate)
    first.start()
    assert gate.began.wait(60)
    closing = threading.Thread(target=first.close)
    with first._turns:
        closing.start()
        # The lock is free again only once all jobs have been told to stop.
        assert first._turns.wait(60)
    gate.open.set()
    closing.join(60)
    assert [job.state for job in first.recent([project_id])] == [JobState.QUEUED] * 2
    assert [first.view(id_).attempts for id_ in (running, waiting)] == [0, 0]
    second = start_again(store)
    assert second.wait(running, timeout=60).state is JobState.DONE
    assert second.wait(waiting, timeout=60).state is JobState.DONE
    second.close()
