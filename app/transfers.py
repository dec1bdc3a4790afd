"""Imports and exports that may take a while, as jobs with files of their own.

<project folder>/transfers/<id>/ holds what a job reads, as long as it is under way or can go on, or
what it has written, for a day: long enough to fetch it, also after a restart.
"""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from app.exporting import export_project
from app.formats import FORMATS
from app.image_files import ImageFiles, display_name, link_or_copy
from app.importing import ImportedAs, import_files
from app.jobs import JobControl, JobRunner, Parameters
from app.project import ImportReport, InvalidInput, JobState, Lane, NotFound, Task
from app.store import Store
from app.workspace import Workspace

IMPORT, EXPORT = "import", "export"
"""The kinds of these jobs."""

_KEPT_SECONDS = 24 * 3600


class Transfers:
    """The use cases that move whole data sets, in the background."""

    def __init__(
        self, workspace: Workspace, store: Store, files: ImageFiles, jobs: JobRunner
    ) -> None:
        self._workspace = workspace
        self._store = store
        self._files = files
        self._jobs = jobs
        jobs.offer(IMPORT, self._import)
        jobs.offer(EXPORT, self._export)

    def start_import(
        self,
        project_id: str,
        sources: Sequence[tuple[str, Path]],
        as_: ImportedAs,
        *,
        into_new: bool = False,
    ) -> str:
        """Begin to add a data set to a project; see ``importing.import_files``.

        Args:
            project_id: the project.
            sources: the files, each with the name that the data set knows it by. They are kept
                for the job, so that the originals may go.
            as_: what the annotations become.
            into_new: the project was made for it; see ``discard_empty``.

        Returns:
            The id of the job; its result has the report's ``lines`` and whether it is ``lossless``.
        """
        folder = self._new_folder(project_id)
        kept = []
        for number, (name, path) in enumerate(sources):
            # In folders of their own, because several files may have one name.
            (folder / str(number)).mkdir()
            link_or_copy(path, folder / str(number) / display_name(name))
            kept.append(name)
        first = kept[0] if len(kept) == 1 else f"{len(kept)} files"
        return self._jobs.submit(
            project_id,
            IMPORT,
            {"folder": folder.name, "names": kept, "as": as_.value, "into_new": into_new},
            title=f"Import {first}",
            lane=Lane.FILES,
        )

    def discard_empty(self, project_id: str) -> bool:
        """Remove a project that was made for an import which failed before there was an image.

        Returns:
            Whether the project is gone.
        """
        job = self._jobs.latest(project_id, IMPORT)
        if job is None or job.state is not JobState.FAILED or self._store.images(project_id):
            return False
        if not self._store.job_parameters(job.id).get("into_new"):
            return False
        self._store.remove_project(project_id)
        self._files.remove_project(project_id)
        return True

    def start_export(
        self,
        project_id: str,
        format_name: str,
        file_name: str,
        *,
        score_threshold: Mapping[Task, float] | None = None,
        with_images: bool = False,
        with_results: bool = False,
    ) -> str:
        """Begin to write a project to a file; see ``exporting.export_project``.

        Args:
            project_id: the project.
            format_name: one of ``FORMATS``.
            file_name: of the file that ``exported_file`` gives.
            score_threshold: the lowest score to write, by task.
            with_images: also write the images.
            with_results: also write a COCO results file.

        Returns:
            The id of the job; its result has ``name``, ``lines`` and ``lossless``.
        """
        if format_name not in FORMATS:
            known = ", ".join(FORMATS)
            raise InvalidInput(f"Unknown format “{format_name}”. Use one of: {known}.")
        title = f"Export as {FORMATS[format_name].title}"
        return self._jobs.submit(
            project_id,
            EXPORT,
            {
                "folder": self._new_folder(project_id).name,
                "name": file_name,
                "format": format_name,
                "score_threshold": dict(score_threshold or {}),
                "with_images": with_images,
                "with_results": with_results,
            },
            title=f"{title}, with the images" if with_images else title,
            lane=Lane.FILES,
        )

    def exported_file(self, job_id: str) -> Path:
        """Return what an export wrote.

        Raises:
            NotFound: if the job is none, or its file was removed meanwhile.
        """
        job = self._jobs.view(job_id)
        if job.kind == EXPORT and job.state is JobState.DONE and job.result:
            asked = self._store.job_parameters(job_id)
            path = self._folder(job.project_id, asked["folder"]) / str(job.result["name"])
            if path.is_file():
                return path
        raise NotFound("This export is not there any more. Export again.")

    def _import(self, control: JobControl, asked: Parameters) -> str:
        folder = self._folder(control.project_id, asked["folder"])
        sources = [
            (name, folder / str(number) / display_name(name))
            for number, name in enumerate(asked["names"])
        ]
        control.say("Reading the files …")
        report: ImportReport = import_files(
            self._workspace,
            control.project_id,
            sources,
            as_=ImportedAs(asked["as"]),
            progress=control.progress,
        )
        control.set_result({"lines": report.lines, "lossless": report.is_lossless})
        shutil.rmtree(folder, ignore_errors=True)
        return report.lines[0]

    def _export(self, control: JobControl, asked: Parameters) -> str:
        control.say("Writing the annotations …")
        folder = self._folder(control.project_id, asked["folder"])
        thresholds = {Task(name): value for name, value in asked["score_threshold"].items()}
        report = export_project(
            self._store,
            self._files,
            control.project_id,
            folder / asked["name"],
            format_name=asked["format"],
            score_threshold=thresholds,
            with_images=asked["with_images"],
            with_results=asked.get("with_results", False),  # an older program's job has none
            progress=control.progress,
        )
        control.set_result(
            {"name": report.path.name, "lines": report.lines, "lossless": report.is_lossless}
        )
        return report.lines[0]

    def _folder(self, project_id: str, name: str) -> Path:
        return self._files.folder(project_id) / "transfers" / name

    def _new_folder(self, project_id: str) -> Path:
        """Make a folder for one job, and remove those that are old and needed by no job."""
        self._store.project(project_id)
        folder = self._folder(project_id, uuid.uuid4().hex)
        folder.mkdir(parents=True)
        in_use = self._in_use(project_id)
        for other in folder.parent.iterdir():
            is_old = other.stat().st_mtime < time.time() - _KEPT_SECONDS
            if is_old and other.name not in in_use:
                shutil.rmtree(other, ignore_errors=True)
        return folder

    def _in_use(self, project_id: str) -> set[str]:
        """Name the folders of jobs that are under way, or that the list offers to go on with."""
        return {
            self._store.job_parameters(job.id)["folder"]
            for job in self._jobs.recent([project_id])
            if job.kind in (IMPORT, EXPORT) and job.state is not JobState.DONE
        }
