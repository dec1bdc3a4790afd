"""Data sets come and go in the background, and what a restart interrupts goes on."""

from __future__ import annotations

import json
import os
import zipfile

import pytest

from app.formats import FORMATS
from app.importing import ImportedAs
from app.project import InvalidInput, JobState, NotFound, Task


def wait(studio, job_id):
    return studio.jobs.wait(job_id, timeout=60)


@pytest.fixture
def archive(marked):
    """What the patches are as YOLO, with images."""
    studio = marked.studio
    studio.segment_now(marked.id)
    job_id = studio.transfers.start_export(marked.id, "yolo", "Patches.zip", with_images=True)
    job = wait(studio, job_id)
    assert (job.state, job.result["name"]) == (JobState.DONE, "Patches.zip")
    assert job.done > 0
    return studio.transfers.exported_file(job_id)


def test_what_was_exported_is_imported_into_another_project(marked, archive):
    studio = marked.studio
    other = studio.create_project("Other")
    job_id = studio.transfers.start_import(
        other.id, [("my patches.zip", archive)], ImportedAs.ANNOTATIONS
    )
    archive.unlink()  # the job keeps what it needs
    job = wait(studio, job_id)
    assert (job.state, job.title) == (JobState.DONE, "Import my patches.zip")
    assert job.result["lines"][0].startswith("2 of 2 annotations imported; 3 images added")
    assert job.total == 3
    assert sum(count.shown for count in studio.counts(other.id).values()) == 2
    transfers = studio._files.folder(other.id) / "transfers"
    assert list(transfers.iterdir()) == []


def test_a_results_file_comes_along(marked):
    studio = marked.studio
    studio.segment_now(marked.id)
    job_id = studio.transfers.start_export(
        marked.id, "coco", "Patches.zip", with_images=True, with_results=True
    )
    assert wait(studio, job_id).state is JobState.DONE
    archive = studio.transfers.exported_file(job_id)
    with zipfile.ZipFile(archive) as file:
        results = json.loads(file.read("results.json"))
        (document,) = (n for n in file.namelist() if n.endswith(".json") and n != "results.json")
        annotations = json.loads(file.read(document))["annotations"]
    for row, annotation in zip(results, annotations, strict=True):
        assert (row["image_id"], row["category_id"], row["score"]) == (
            annotation["image_id"],
            annotation["category_id"],
            annotation["score"],
        )


@pytest.mark.parametrize("name", FORMATS)
def test_a_results_file_stands_in_the_way_of_no_import(marked, name):
    studio = marked.studio
    studio.segment_now(marked.id)

    def comes_back(with_results: bool) -> list[str]:
        exported = studio.transfers.start_export(
            marked.id, name, "Patches.zip", with_images=True, with_results=with_results
        )
        assert wait(studio, exported).state is JobState.DONE
        archive = studio.transfers.exported_file(exported)
        other = studio.create_project("Other")
        job_id = studio.transfers.start_import(
            other.id, [("p.zip", archive)], ImportedAs.ANNOTATIONS
        )
        job = wait(studio, job_id)
        assert job.state is JobState.DONE, job.message
        return job.result["lines"]

    assert comes_back(with_results=True) == comes_back(with_results=False)


def test_an_import_that_was_stopped_goes_on_without_doing_twice(marked, archive, monkeypatch):
    studio = marked.studio
    other = studio.create_project("Other")
    add_images = studio.add_images

    def add_and_stop(project_id, sources):
        studio.jobs.cancel(studio.jobs.latest(other.id, "import").id)
        return add_images(project_id, sources)

    monkeypatch.setattr(studio, "add_images", add_and_stop)
    job_id = studio.transfers.start_import(other.id, [("p.zip", archive)], ImportedAs.PROMPTS)
    job = wait(studio, job_id)
    assert (job.state, job.message) == (JobState.CANCELLED, "Stopped after 1 of 3.")
    assert len(studio.images(other.id)) == 1
    monkeypatch.undo()
    studio.jobs.go_on(job_id)
    assert wait(studio, job_id).state is JobState.DONE
    assert len(studio.images(other.id)) == 3


def test_a_project_that_was_made_for_an_import_goes_if_it_fails(studio, tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    for into_new in (False, True):
        id_ = studio.create_project("notes").id
        sources = [("notes.txt", tmp_path / "notes.txt")]
        job_id = studio.transfers.start_import(
            id_, sources, ImportedAs.ANNOTATIONS, into_new=into_new
        )
        assert wait(studio, job_id).state is JobState.FAILED
        assert studio.transfers.discard_empty(id_) is into_new
        assert (id_ in [one.id for one in studio.projects()]) is not into_new
        assert studio._files.folder(id_).exists() is not into_new


def two_days_old(studio, project_id):
    """Make every file and folder of transfers so old, and return the folders."""
    folders = list((studio._files.folder(project_id) / "transfers").iterdir())
    for folder in folders:
        for path in (*folder.rglob("*"), folder):
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 2 * 24 * 3600))
    return folders


def test_files_of_an_import_stay_while_it_can_go_on(marked, tmp_path):
    studio = marked.studio
    (tmp_path / "notes.txt").write_text("nothing")
    sources = [("notes.txt", tmp_path / "notes.txt")]
    job_id = studio.transfers.start_import(marked.id, sources, ImportedAs.ANNOTATIONS)
    assert wait(studio, job_id).state is JobState.FAILED
    (folder,) = two_days_old(studio, marked.id)
    wait(studio, studio.transfers.start_export(marked.id, "coco", "first.json"))
    assert (folder / "0" / "notes.txt").is_file()
    # Nobody can go on with what the list does not show any more, nor with what is done.
    studio.jobs.put_away([marked.id])
    old = two_days_old(studio, marked.id)
    wait(studio, studio.transfers.start_export(marked.id, "coco", "second.json"))
    assert [path for path in old if path.exists()] == []


def test_files_of_an_import_under_way_stay(marked, archive, monkeypatch):
    studio = marked.studio
    other = studio.create_project("Other")
    add_images = studio.add_images
    kept = []

    def export_meanwhile(project_id, sources):
        (folder,) = two_days_old(studio, project_id)
        studio.transfers.start_export(project_id, "coco", "meanwhile.json")
        kept.append(folder.exists())
        monkeypatch.undo()
        return add_images(project_id, sources)

    monkeypatch.setattr(studio, "add_images", export_meanwhile)
    job_id = studio.transfers.start_import(other.id, [("p.zip", archive)], ImportedAs.ANNOTATIONS)
    assert wait(studio, job_id).state is JobState.DONE
    assert kept == [True]


def test_an_export_writes_what_the_slider_shows(marked):
    studio = marked.studio
    studio.segment_now(marked.id)
    job_id = studio.transfers.start_export(
        marked.id, "coco", "low.json", score_threshold={Task.GENERIC: 0.1}
    )
    assert wait(studio, job_id).result["lossless"]
    path = studio.transfers.exported_file(job_id)
    assert len(json.loads(path.read_text())["annotations"]) == 3
    assert not zipfile.is_zipfile(path)


def test_what_cannot_be_is_told(marked, tmp_path):
    studio = marked.studio
    with pytest.raises(InvalidInput, match="Unknown format"):
        studio.transfers.start_export(marked.id, "excel", "x.zip")
    with pytest.raises(NotFound):
        studio.transfers.start_export("gone", "coco", "x.json")
    (tmp_path / "notes.txt").write_text("nothing")
    job_id = studio.transfers.start_import(
        marked.id, [("notes.txt", tmp_path / "notes.txt")], ImportedAs.ANNOTATIONS
    )
    job = wait(studio, job_id)
    assert job.state is JobState.FAILED
    assert "notes.txt is in none of the known formats" in job.message
    with pytest.raises(NotFound, match="Export again"):
        studio.transfers.exported_file(job_id)
