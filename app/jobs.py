"""Background jobs: one worker thread, progress, cancelling, and what a restart leaves behind."""

from __future__ import annotations

import json
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from app.project import AppError, JobState, JobView
from app.store import Store
from dinov.errors import DinovError

_log = logging.getLogger(__name__)


class JobControl:
    """What a running job has in hand: to report progress, and to see whether to stop."""

    def __init__(self, store: Store, job_id: str) -> None:
        self.job_id = job_id
        self._store = store
        self._cancelled = threading.Event()
        self._finished = threading.Event()
        self._done = 0
        self._found = 0
        self._problems: list[str] = []
        self._seconds_per_item: float | None = None
        self._timed_items = 0
        self._started_at = 0.0

    def is_cancelled(self) -> bool:
        """Whether the annotator wants it to stop. To be asked between items."""
        return self._cancelled.is_set()

    @property
    def found(self) -> int:
        """How many instances were found so far."""
        return self._found

    def say(self, message: str) -> None:
        """Show what is being done."""
        self._store.update_job(self.job_id, message=message)

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

    def add_problem(self, problem: str) -> None:
        """Note something that went wrong with one item; the job goes on."""
        self._problems.append(problem)
        self._store.update_job(self.job_id, problems=json.dumps(self._problems, ensure_ascii=False))

    def timed(self, view: JobView) -> JobView:
        """Add speed and time left, which are known only while the job runs."""
        seconds = self._seconds_per_item
        if seconds is None or view.state is not JobState.RUNNING:
            return view
        left = seconds * (view.total - view.done)
        return replace(view, seconds_left=left, images_per_second=1 / seconds)

    def cancel(self) -> None:
        """Ask the job to stop."""
        self._cancelled.set()

    def finish(self) -> None:
        """Wake up whoever waits for the job."""
        self._finished.set()

    def wait(self, timeout: float | None) -> bool:
        """Wait until the job has ended; false if the time was up before."""
        return self._finished.wait(timeout)


@dataclass(frozen=True)
class _Queued:
    control: JobControl
    work: Callable[[JobControl], str] = field(repr=False)


class JobRunner:
    """Runs jobs one after the other in a background thread.

    A job that was under way when the program ended is marked as interrupted. It is not started
    again by itself: if it was the job that brought the program down, that would never end.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._queue: queue.SimpleQueue[_Queued | None] = queue.SimpleQueue()
        self._controls: dict[str, JobControl] = {}
        for job in store.jobs():
            if job.state.is_active:
                message = (
                    f"Interrupted after {job.done} of {job.total} images. "
                    "What was done is kept; press Segment to go on."
                )
                store.update_job(job.id, state=JobState.FAILED.value, message=message)
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)
        self._thread.start()

    def submit(self, project_id: str, total: int, work: Callable[[JobControl], str]) -> str:
        """Queue a job.

        Args:
            project_id: the project it belongs to.
            total: the number of items it will advance through.
            work: does it, and returns the closing message. It should return early when cancelled.

        Returns:
            The id of the job.
        """
        job_id = self._store.add_job(project_id, total)
        control = self._controls[job_id] = JobControl(self._store, job_id)
        self._queue.put(_Queued(control, work))
        return job_id

    def view(self, job_id: str) -> JobView:
        """Return a job with its time left."""
        return self._timed(self._store.job(job_id))

    def latest(self, project_id: str) -> JobView | None:
        """Return the project's job under way or, if there is none, its last one."""
        jobs = self._store.jobs(project_id)
        active = [job for job in jobs if job.state.is_active]
        chosen = active[:1] or jobs[-1:]
        return self._timed(chosen[0]) if chosen else None

    def cancel(self, job_id: str) -> None:
        """Stop a job after the item it is at; one that waits does not begin."""
        control = self._controls.get(job_id)
        if control:
            control.cancel()

    def cancel_all(self, project_id: str) -> None:
        """Stop all jobs of a project and wait until none is at work on it."""
        active = [job for job in self._store.jobs(project_id) if job.state.is_active]
        for job in active:
            self.cancel(job.id)
        for job in active:
            self.wait(job.id)

    def wait(self, job_id: str, timeout: float | None = None) -> JobView:
        """Wait until a job has ended."""
        control = self._controls.get(job_id)
        if control:
            control.wait(timeout)
        return self.view(job_id)

    def close(self) -> None:
        """Stop after the item at work."""
        for control in list(self._controls.values()):
            control.cancel()
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while queued := self._queue.get():
            control = queued.control
            try:
                state, message = self._work(queued)
                self._store.update_job(control.job_id, state=state.value, message=message)
            except Exception:  # noqa: BLE001 - the thread must live on for the next job
                # The job's own errors are handled below; this is the database failing.
                _log.exception("Job %s could not be recorded", control.job_id)
            finally:
                del self._controls[control.job_id]
                control.finish()

    def _work(self, queued: _Queued) -> tuple[JobState, str]:
        control = queued.control
        if control.is_cancelled():
            return JobState.CANCELLED, "Stopped before it began."
        try:
            self._store.update_job(control.job_id, state=JobState.RUNNING.value)
            message = queued.work(control)
        except (AppError, DinovError) as error:
            return JobState.FAILED, str(error)
        except Exception as error:  # noqa: BLE001 - work is any code; its failure is an answer
            _log.exception("Job %s failed", control.job_id)
            return JobState.FAILED, f"It failed: {error or type(error).__name__}."
        return (JobState.CANCELLED if control.is_cancelled() else JobState.DONE), message

    def _timed(self, view: JobView) -> JobView:
        control = self._controls.get(view.id)
        return control.timed(view) if control else view
