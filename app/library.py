"""All projects of a data folder: an overview, copies, and a trash to take back what was deleted."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

from app.access import acting_user
from app.image_files import ImageFiles
from app.jobs import JobControl, JobRunner, Parameters
from app.names import clean_name
from app.overview import ProjectSummary, TrashedProject
from app.project import JobStopped, Lane, NotFound, Project
from app.store import Store
from app.workspace import Workspace

DUPLICATE = "duplicate"
"""The kind of the job that copies a project."""

KEPT_DAYS = 30
"""So long deleted projects can be restored, unless the trash is emptied."""

_COVERS = 4


class Library:
    """The use cases that are about projects as a whole."""

    def __init__(
        self, workspace: Workspace, store: Store, files: ImageFiles, jobs: JobRunner
    ) -> None:
        self._workspace = workspace
        self._store = store
        self._files = files
        self._jobs = jobs
        jobs.offer(DUPLICATE, self._copy)

    def summaries(self) -> list[tuple[ProjectSummary, int]]:
        """Sum up every project, the one opened last first, with the bytes that its files take."""
        return [
            (self._summary(project), self._files.bytes_used(project.id))
            for project in self._workspace.projects()
        ]

    def duplicate(self, project_id: str) -> str:
        """Begin to copy a project with its images, marks and results.

        Returns:
            The id of the job; its result names the copy.
        """
        project = self._store.project(project_id)
        return self._jobs.submit(
            project_id,
            DUPLICATE,
            {
                "copy_id": uuid.uuid4().hex,
                "name": f"{project.name} (copy)",
                "owner": acting_user(),
            },
            title=f"Duplicate “{project.name}”",
            total=2 * len(self._store.images(project_id)),
            lane=Lane.FILES,
        )

    def delete_project(self, project_id: str) -> None:
        """Put a project into the trash. Its jobs are stopped first."""
        self._store.project(project_id)
        self._jobs.cancel_all(project_id)
        self._store.trash_project(project_id)

    def trash(self) -> list[TrashedProject]:
        """List the projects that were deleted and can be restored, the last one first."""
        user = acting_user()
        trashed = self._store.trashed_projects()
        return [one for one in trashed if user is None or one.owner in (None, user)]

    def restore(self, trashed: str) -> Project:
        """Take a project, named by its id, out of the trash; a name that is taken gets a number.

        Raises:
            NotFound: if the acting user has none of this id in the trash.
        """
        with self._store.transaction():
            for project in self.trash():
                if project.id == trashed:
                    self._store.restore_project(trashed, self._workspace.free_name(project.name))
                    return self._store.project(trashed)
        raise NotFound("This project is not in the trash any more.")

    def empty_trash(self, *, older_than_days: int = 0) -> None:
        """Remove all projects in the trash for good that were deleted so many days ago."""
        limit = (datetime.now(UTC) - timedelta(days=older_than_days)).isoformat()
        for trashed in self.trash():
            if trashed.deleted_at <= limit:
                self._store.remove_project(trashed.id)
                self._files.remove_project(trashed.id)

    def _summary(self, project: Project) -> ProjectSummary:
        counts = self._store.counts(project.id, project.score_thresholds).values()
        return ProjectSummary(
            project=project,
            images=len(counts),
            segmented_images=sum(one.is_segmented for one in counts),
            reviewed_images=sum(one.status.is_done for one in counts),
            prompts=sum(one.prompts for one in counts),
            instances=sum(one.shown for one in counts),
            covers=tuple(self._store.images(project.id)[:_COVERS]),
        )

    def _copy(self, control: JobControl, parameters: Parameters) -> str:
        copy_id = parameters["copy_id"]

        def copied() -> None:
            control.advance()
            if control.is_cancelled():
                self._files.remove_project(copy_id)
                raise JobStopped("Stopped; there is no copy.")

        control.start_clock()
        self._files.copy_project(control.project_id, copy_id, copied)
        with self._store.transaction():
            # It is there already if the job was interrupted right after this.
            if copy_id not in {project.id for project in self._store.projects()}:
                name = self._workspace.free_name(clean_name(parameters["name"][:100], "project"))
                self._store.copy_project(
                    control.project_id, copy_id, {"name": name, "owner": parameters["owner"]}
                )
        copy = self._store.project(copy_id)
        control.set_result({"project_id": copy.id})
        return f"The copy is called “{copy.name}”."
