"""The use cases of the application: everything the page and the API can do, without either."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from app.access import acting_user
from app.accounts import Accounts
from app.banks import Banks
from app.data_folder import lock_data_folder, open_data_folder
from app.door import guarded
from app.example import fill_example
from app.exporting import export_project
from app.image_files import ImageFiles
from app.importing import ImportedAs, Source, import_files
from app.jobs import JobControl, JobRunner, Parameters
from app.library import KEPT_DAYS, Library
from app.marks import require_marks
from app.model_session import Load, ModelSession
from app.passwords import PasswordFile
from app.project import (
    AppError,
    ExportReport,
    ImageCounts,
    ImportReport,
    InvalidInput,
    JobState,
    JobView,
    Lane,
    Project,
    RunOptions,
    StatusView,
    StoredInstance,
    Task,
)
from app.references import References
from app.results import ResultsDocument, results_document
from app.review import Review
from app.segment_job import SEGMENT, SegmentJob
from app.server_settings import ServerSettings
from app.settings import ModelSettings, Settings
from app.sharing import Sharing
from app.statistics import Statistics
from app.store import Store
from app.time_spent import TimeSpent
from app.transfers import Transfers
from app.videos import Videos
from app.workspace import Workspace

_EXAMPLE_NAME = "Example"


class Studio(Workspace):
    """All use cases: those of the workspace, and segmentation with what comes of it.

    ``references`` are those of the examples, ``banks`` those of concepts in files, ``server`` those
    of what all projects share.
    """

    def __init__(
        self,
        store: Store,
        files: ImageFiles,
        model: ModelSession,
        jobs: JobRunner,
        settings: Settings,
    ) -> None:
        super().__init__(store, files)
        self._model = model
        self._admins = settings.admins
        self.server = ServerSettings(store, model, given=settings.model, admins=settings.admins)
        self._closing = contextlib.ExitStack()
        self.jobs = jobs
        self.review = Review(store, self.history)
        self.statistics = Statistics(store)
        self.time_spent = TimeSpent(store)
        jobs.offer(SEGMENT, self._segment)
        self.references = References(store, files, model, jobs)
        self.sharing = Sharing(store)
        self.banks = Banks(self, store, files, model)
        self.library = Library(self, store, files, jobs)
        self.transfers = Transfers(self, store, files, jobs)
        self.videos = Videos(self, store, files, model, jobs)

    @classmethod
    def open(cls, settings: Settings, *, load_predictor: Load | None = None) -> Studio:
        """Open the data folder, or begin a new one.

        Args:
            settings: where the data is, and which model to use.
            load_predictor: makes the predictor when it is first needed; from the checkpoint of the
                settings by default.

        Raises:
            ServerError: if the folder cannot be used, or another server uses it.
        """
        with lock_data_folder(settings.data_dir) as closing:
            store, files = open_data_folder(settings.data_dir)
            closing.callback(store.close)
            chosen = ModelSettings.of(store.model_settings(), settings.model)
            model = ModelSession(chosen, load_predictor)
            store.usual_score_threshold = model.usual_score_threshold
            studio = cls(store, files, model, JobRunner(store), settings)
            studio._closing = closing.pop_all()
        studio.library.empty_trash(older_than_days=KEPT_DAYS)
        studio.jobs.start()
        return studio

    def accounts(self, auth_file: Path) -> Accounts:
        """Return the accounts of the users that a file names."""
        return Accounts(self._store, PasswordFile(auth_file))

    def for_users(self) -> Studio:
        """Return the use cases as users with accounts may reach them; see ``door``."""
        return guarded(self, self._store, self._admins)

    def close(self) -> None:
        """Stop the jobs at work after their current image, and let go of the data folder.

        What is not done goes on when the data folder is opened again.
        """
        self.jobs.close()
        self.server.close()
        self._closing.close()

    def warm_up(self) -> None:
        """Begin to load the model in the background, so that the first segmentation is quick."""
        self._model.warm_up()

    def model_status(self) -> StatusView:
        """Say which checkpoint runs where, without loading it."""
        return self._model.status()

    # The example

    def open_example(self) -> Project:
        """Open the example project; its photos and prompts come with the program.

        Once it has been made it is opened as the annotator left it.
        """
        # In one transaction, so that a second click finds the first one's example.
        with self._store.transaction():
            for project in self.projects():
                is_own = project.owner == acting_user()
                if is_own and re.fullmatch(rf"{_EXAMPLE_NAME}( \d+)?", project.name):
                    return self.open_project(project.id)
            project = self.create_project(_EXAMPLE_NAME)
            fill_example(self, project.id)
            return project

    # Segmentation

    def set_run_options(self, project_id: str, options: RunOptions) -> Project:
        """Choose how the targets of a project are searched from now on."""
        self._store.update_project(project_id, task=options.task.value, in_tiles=options.in_tiles)
        return self._store.project(project_id)

    def start_segmentation(
        self,
        project_id: str,
        image_ids: Sequence[int] | None = None,
        score_threshold: float | None = None,
        options: RunOptions | None = None,
    ) -> str:
        """Begin to segment targets in the background.

        New proposals take the place of earlier ones; accepted and rejected instances stay. Images
        whose results come from the same prompts, options and model are left as they are. With the
        task refer each category stands for one object, which is found at most once in a target.

        Args:
            project_id: the project.
            image_ids: the images to segment; all targets by default.
            score_threshold: becomes the project's for this task, if it is given.
            options: how to search; by default as it was chosen for the project.

        Returns:
            The id of the job.

        Raises:
            InvalidInput: if nothing is marked, or there is no target.
        """
        options = options or self._store.project(project_id).run_options
        if options.task is Task.REFER:
            options = replace(options, in_tiles=False)
        if score_threshold is not None:
            self.set_score_threshold(project_id, score_threshold, options.task)
        targets = self._targets(project_id, image_ids)
        require_marks(self._store, project_id)
        work = SegmentJob(self._store, self._files, self._model, project_id, targets, options)
        is_urgent = image_ids is not None and len(targets) == 1
        return self.jobs.submit(
            project_id,
            SEGMENT,
            work.parameters,
            title=self._segment_title(targets),
            total=len(targets),
            lane=Lane.NOW if is_urgent else Lane.BATCH,
        )

    def segment_now(
        self,
        project_id: str,
        image_ids: Sequence[int] | None = None,
        score_threshold: float | None = None,
        options: RunOptions | None = None,
    ) -> dict[int, int]:
        """Segment targets and wait for it; see ``start_segmentation``.

        Returns:
            For each segmented image the number of instances at the project's score threshold. An
            image that could not be segmented is left out.

        Raises:
            AppError: if it failed or was stopped; the message says why.
        """
        targets = self._targets(project_id, image_ids)
        job = self.jobs.wait(self.start_segmentation(project_id, targets, score_threshold, options))
        if job.state is not JobState.DONE:
            raise AppError(job.message)
        counts = self.counts(project_id)
        return {
            image_id: counts[image_id].shown
            for image_id in targets
            if image_id in counts and counts[image_id].is_segmented
        }

    def active_job(self, project_id: str, lane: Lane | None = None) -> JobView | None:
        """Return the project's segmentation that is under way or waits, if there is one."""
        job = self.jobs.latest(project_id, SEGMENT, lane)
        return job if job and job.state.is_active else None

    def latest_job(self, project_id: str) -> JobView | None:
        """Return the project's segmentation under way or else its last one, if there was any."""
        return self.jobs.latest(project_id, SEGMENT)

    def cancel(self, job_id: str) -> None:
        """Stop a job after the image it is at. What it has found stays."""
        self.jobs.cancel(job_id)

    # Results

    def results(self, image_id: int) -> ResultsDocument:
        """Return the instances on an image as the canvas reads them."""
        with self._store.transaction():
            return results_document(self._store, self._store.image(image_id))

    def counts(self, project_id: str) -> dict[int, ImageCounts]:
        """Count prompts and instances of each image, at the project's score threshold."""
        thresholds = self._store.project(project_id).score_thresholds
        return self._store.counts(project_id, thresholds)

    def outdated_images(self, project_id: str) -> set[int]:
        """Return the ids of images that wait for review with what another model has found.

        Which model is in use is known once it is loaded; before, none is outdated.
        """
        if not self._model.is_loaded:
            return set()
        return self._store.images_of_other_models(project_id, self._model.fingerprint)

    def instance(self, instance_id: int) -> StoredInstance:
        """Return one instance with its mask at the size of the image."""
        return self._store.instance(instance_id)

    def export_coco(
        self,
        project_id: str,
        destination: Path,
        *,
        score_threshold: float | Mapping[Task, float] | None = None,
    ) -> ExportReport:
        """Write a project's results as COCO instances JSON: what is shown is what is exported.

        Args:
            project_id: the project.
            destination: a ``.json`` file; it holds the old content or all of the new.
            score_threshold: the lowest score to write, for all or by task; the project's where none
                is given.
        """
        if destination.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(destination))
        return self.export(project_id, destination, score_threshold=score_threshold)

    def export(
        self,
        project_id: str,
        destination: Path,
        *,
        format_name: str = "coco",
        score_threshold: float | Mapping[Task, float] | None = None,
        with_images: bool = False,
    ) -> ExportReport:
        """Write a project's results in any format; see ``exporting.export_project``."""
        return export_project(
            self._store,
            self._files,
            project_id,
            destination,
            format_name=format_name,
            score_threshold=score_threshold,
            with_images=with_images,
        )

    def import_files(
        self,
        project_id: str,
        sources: Sequence[Source],
        as_: ImportedAs = ImportedAs.ANNOTATIONS,
    ) -> ImportReport:
        """Add a data set to a project; see ``importing.import_files``."""
        return import_files(self, project_id, sources, as_=as_)

    def _segment(self, control: JobControl, parameters: Parameters) -> str:
        """Do what ``start_segmentation`` has queued."""
        work = SegmentJob.of(self._store, self._files, self._model, control.project_id, parameters)
        with self._model.kept():
            return work(control)

    def _segment_title(self, targets: Sequence[int]) -> str:
        if len(targets) == 1:
            return f"Segment {self._store.image(targets[0]).file_name}"
        return f"Segment {len(targets):,} images"

    def _targets(self, project_id: str, image_ids: Sequence[int] | None) -> tuple[int, ...]:
        images = {image.id: image for image in self._store.images(project_id)}
        if not images:
            self._store.project(project_id)
            raise InvalidInput("There are no images yet. Add some first.")
        unknown = [image_id for image_id in image_ids or () if image_id not in images]
        if unknown:
            raise InvalidInput(f"This project has no image with the id {unknown[0]}.")
        chosen = images if image_ids is None else dict.fromkeys(image_ids)
        targets = tuple(image_id for image_id in chosen if images[image_id].is_target)
        if not targets:
            raise InvalidInput(
                "There is no target. Add an image, or turn on “target” for one of them."
            )
        return targets
