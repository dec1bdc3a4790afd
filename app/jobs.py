"""Background jobs: a table of what can be done, a queue in the database, progress, cancelling.

A job is a kind and parameters that JSON can hold, and so it can begin in one process and go on in
the next. Three jobs can run at a time, one per lane; the model takes its users one after the other.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from app.project import AppError, InvalidInput, JobState, JobStopped, JobView, Lane
from app.store import Store
from dinov.errors import DinovError

_log = logging.getLogger(__name__)

MOST_ATTEMPTS = 2
"""A job under which the program ended this many times is not begun again by itself."""

# The database failing is rare, and may pass; asking it again at once would only heat the machine.
_SECONDS_AFTER_A_FAILURE = 1.0


class JobControl:
    """What a running job has in hand: to report progress, and to see whether to stop."""

    def __init__(self, store: Store, job: JobView, give_way: Callable[[JobControl], None]) -> None:
        self.job_id = job.id
        self.project_id = job.project_id
        self.lane = job.lane
        self.is_wanted = True
        self.has_begun = False
        self.has_stopped = False
        self._store = store
        self._give_way = give_way
        self._finished = threading.Event()
        self._total = job.total
        self._done = 0
        self._found = 0
        self._problems: list[str] = []
        self._seconds_per_item: float | None = None
        self._timed_items = 0
        self._started_at = 0.0

    def is_cancelled(self) -> bool:
        """Whether to stop here: on demand, or because the program ends. To be asked between items.

        A long job waits here while another does what the annotator waits for.
        """
        self._give_way(self)
        self.has_stopped = self.has_stopped or not self.is_wanted
        return self.has_stopped

    @property
    def found(self) -> int:
        """How many instances were found so far."""
        return self._found

    def say(self, message: str) -> None:
        """Show what is being done."""
        self._store.update_job(self.job_id, message=message)

    def expect(self, total: int) -> None:
        """Say how many items there are, where that was not known when the job was queued."""
        self._total = total
        self._store.update_job(self.job_id, total=total)

    def start_clock(self) -> None:
        """Preparations are over: the time per item is measured from here."""
        self._started_at = time.monotonic()

    def advance(self, *, found: int = 0, is_timed: bool = True) -> None:
        """One more item is done. An item that needed no work does not count for the time left."""
        self._done += 1
        self._found += found
        if is_timed:
            self._timed_items += 1
            elapsed = time.monotonic() - self._started_at
            self._seconds_per_item = max(elapsed, 1e-3) / self._timed_items
        self._store.update_job(self.job_id, done=self._done, found=self._found)

    def progress(self, done: int, total: int) -> None:
        """Follow work that tells by itself how far it is; raises JobStopped if it is to stop."""
        if self.is_cancelled():
            raise JobStopped(f"Stopped after {done:,} of {total:,}.")
        if self._started_at == 0.0:
            self.start_clock()
        self._done = done
        elapsed = time.monotonic() - self._started_at
        self._seconds_per_item = max(elapsed, 1e-3) / done if done else None
        self._store.update_job(self.job_id, done=done, total=total)

    def add_problem(self, problem: str) -> None:
        """Note something that went wrong with one item; the job goes on."""
        self._problems.append(problem)
        self._store.update_job(self.job_id, problems=json.dumps(self._problems, ensure_ascii=False))

    def add_loss(self, loss: str) -> None:
        """Note something that was found and cannot be kept; a person reads it like a problem."""
        self.add_problem(loss)

    def set_result(self, result: Mapping[str, Any]) -> None:
        """Keep what came of the job, as JSON can hold it, for whoever asked for it."""
        self._store.update_job(self.job_id, result=json.dumps(result, ensure_ascii=False))

    def timed(self, view: JobView) -> JobView:
        """Add speed and time left, which are known only while the job runs."""
        seconds = self._seconds_per_item
        if seconds is None or view.state is not JobState.RUNNING:
            return view
        left = seconds * (view.total - view.done)
        return replace(view, seconds_left=left, images_per_second=1 / seconds)

    def finish(self) -> None:
        """Wake up whoever waits for the job."""
        self._finished.set()

    def wait(self, timeout: float | None) -> bool:
        """Wait until the job has ended; false if the time was up before."""
        return self._finished.wait(timeout)


Parameters = Mapping[str, Any]
"""What a job was asked, as JSON can hold it."""

JobWork = Callable[[JobControl, Parameters], str]
"""Does a job and returns the closing message. It returns early when the control says so.

It may be called again for the same job, after a restart: what is done must not be done twice.
"""


class JobRunner:
    """Runs jobs in the background, in each lane one after the other, oldest first.

    What can be done is put on the table with ``offer``, before ``start``. A job that was under way
    when the program ended goes on when it starts; one under which it ended without being asked to,
    ``MOST_ATTEMPTS`` times, does not: if it was what brought the program down, that would never
    end. ``go_on`` begins it again all the same.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._table: dict[str, JobWork] = {}
        self._controls: dict[str, JobControl] = {}
        # Held for whose turn it is; notified when a job comes, is cancelled or ends.
        self._turns = threading.Condition()
        self._is_closing = False
        self._threads: list[threading.Thread] = []

    def offer(self, kind: str, work: JobWork) -> None:
        """Put a kind of job on the table."""
        assert kind not in self._table, f"{kind} is on the table already"
        self._table[kind] = work

    def start(self) -> None:
        """Take up what an earlier program left, and begin to work."""
        with self._turns:
            for job in self._store.active_jobs():
                self._take_up(job)
        for lane in Lane:
            thread = threading.Thread(
                target=self._run, args=(lane,), name=f"jobs-{lane}", daemon=True
            )
            thread.start()
            self._threads.append(thread)

    def submit(
        self,
        project_id: str,
        kind: str,
        parameters: Parameters,
        *,
        title: str,
        total: int = 0,
        lane: Lane = Lane.BATCH,
    ) -> str:
        """Queue a job.

        Args:
            project_id: the project it belongs to; the job is removed with it.
            kind: one that is on the table.
            parameters: what it is asked, as JSON can hold it.
            title: what it is, for people: "Segment 20 images".
            total: the number of items it will advance through, 0 if it is not known yet.
            lane: beside which other jobs it may run.

        Returns:
            The id of the job.
        """
        assert kind in self._table, f"{kind} is not on the table"
        with self._turns:
            job_id = self._store.add_job(
                project_id, kind, json.dumps(parameters), title=title, total=total, lane=lane
            )
            self._queue(self._store.job(job_id))
        return job_id

    def go_on(self, job_id: str) -> None:
        """Begin a job again that did not come to its end; what is done is not done twice.

        Raises:
            InvalidInput: if it is under way, or was done.
        """
        with self._turns:
            job = self._store.job(job_id)
            if job.state.is_active or job.state is JobState.DONE or job.kind not in self._table:
                raise InvalidInput(f"“{job.title}” cannot go on: it is {job.state.value}.")
            self._store.requeue_job(job_id, attempts=0)
            self._queue(self._store.job(job_id))

    def view(self, job_id: str) -> JobView:
        """Return a job with its time left."""
        return self._timed(self._store.job(job_id))

    def latest(self, project_id: str, kind: str, lane: Lane | None = None) -> JobView | None:
        """Return the project's job of a kind under way or, if there is none, its last one."""
        jobs = [
            job
            for job in self._store.jobs(project_id)
            if job.kind == kind and lane in (None, job.lane)
        ]
        active = [job for job in jobs if job.state.is_active]
        chosen = active[:1] or jobs[-1:]
        return self._timed(chosen[0]) if chosen else None

    def recent(self, project_ids: Sequence[str], count: int = 20) -> list[JobView]:
        """List the jobs of projects that are under way or wait, then those that ended last."""
        active = [job for job in self._store.active_jobs() if job.project_id in project_ids]
        ended = self._store.ended_jobs(project_ids, count)
        return [self._timed(job) for job in [*active, *ended]]

    def put_away(self, project_ids: Sequence[str]) -> None:
        """Leave what has ended out of ``recent`` from now on."""
        self._store.put_away_jobs(project_ids)

    def cancel(self, job_id: str) -> None:
        """Stop a job after the item it is at; one that waits does not begin."""
        with self._turns:
            control = self._controls.get(job_id)
            if control is None:
                return
            control.is_wanted = False
            if not control.has_begun:
                self._end(control, JobState.CANCELLED, "Stopped before it began.")
            self._turns.notify_all()

    def cancel_all(self, project_id: str) -> None:
        """Stop all jobs of a project and wait until none is at work on it."""
        active = [job for job in self._store.active_jobs() if job.project_id == project_id]
        for job in active:
            self.cancel(job.id)
        for job in active:
            self.wait(job.id)

    def wait(self, job_id: str, timeout: float | None = None) -> JobView:
        """Wait until a job has ended, or the program does."""
        control = self._controls.get(job_id)
        if control:
            control.wait(timeout)
        return self.view(job_id)

    def close(self) -> None:
        """Stop after the items at work. What is not done goes on when the program starts again."""
        with self._turns:
            self._is_closing = True
            for control in self._controls.values():
                control.is_wanted = False
            self._turns.notify_all()
        for thread in self._threads:
            thread.join()
        for control in self._controls.values():
            control.finish()

    def _take_up(self, job: JobView) -> None:
        """Put a job into the queue that an earlier program has left, if it may begin again."""
        if job.state is JobState.RUNNING and job.attempts >= MOST_ATTEMPTS:
            reason = (
                f"The program ended {job.attempts} times while this was under way, the last time "
                f"after {job.done} of {job.total}. What was done is kept."
            )
            self._store.end_job(job.id, JobState.FAILED, reason)
        elif job.kind not in self._table:
            reason = "This version of the program does not know how to go on with it."
            self._store.end_job(job.id, JobState.FAILED, reason)
        else:
            self._store.requeue_job(job.id, attempts=job.attempts)
            self._queue(job)

    def _queue(self, job: JobView) -> None:
        self._controls[job.id] = JobControl(self._store, job, self._wait_for_the_urgent)
        self._turns.notify_all()

    def _run(self, lane: Lane) -> None:
        while not self._is_closing:
            try:
                job = self._next(lane)
                if job is not None:
                    self._work(job, self._controls[job.id])
            except Exception:  # noqa: BLE001 - the thread must live on for the next job
                # The jobs' own errors are handled where they run; this is the database failing.
                _log.exception("A job could not be recorded")
                time.sleep(_SECONDS_AFTER_A_FAILURE)

    def _next(self, lane: Lane) -> JobView | None:
        """Wait for the next job of a lane and mark it as begun; None when the program ends."""
        with self._turns:
            while not self._is_closing:
                job = self._store.next_job(lane)
                if job is not None:
                    if job.id not in self._controls:
                        self._queue(job)
                    self._controls[job.id].has_begun = True
                    self._store.begin_job(job.id)
                    return job
                self._turns.wait()
        return None

    def _work(self, job: JobView, control: JobControl) -> None:
        state = JobState.DONE
        try:
            message = self._table[job.kind](control, self._store.job_parameters(job.id))
        except JobStopped as error:
            message = str(error)
        except (AppError, DinovError) as error:
            state, message = JobState.FAILED, str(error)
        except Exception as error:  # noqa: BLE001 - work is any code; its failure is an answer
            _log.exception("Job %s failed", job.id)
            state, message = JobState.FAILED, f"It failed: {error or type(error).__name__}."
        with self._turns:
            if state is JobState.DONE and control.has_stopped:
                state = JobState.CANCELLED
            if state is JobState.CANCELLED and self._is_closing:
                # Nobody wanted it to stop, and it did not bring the program down either.
                self._store.requeue_job(job.id, attempts=job.attempts)
                return
            self._end(control, state, message)
            self._turns.notify_all()

    def _end(self, control: JobControl, state: JobState, message: str) -> None:
        try:
            self._store.end_job(control.job_id, state, message)
        finally:
            del self._controls[control.job_id]
            control.finish()

    def _wait_for_the_urgent(self, control: JobControl) -> None:
        """Let a job of the lane "batch" wait while one that the annotator waits for is there."""
        if control.lane is not Lane.BATCH:
            return
        with self._turns:
            self._turns.wait_for(
                lambda: (
                    not control.is_wanted
                    or all(other.lane is not Lane.NOW for other in self._controls.values())
                )
            )

    def _timed(self, view: JobView) -> JobView:
        control = self._controls.get(view.id)
        return control.timed(view) if control else view
