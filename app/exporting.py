"""A project to files in any format, whole or not at all, with a report of what became of it."""

from __future__ import annotations

import shutil
import uuid
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from app.formats import FORMATS, Format, coco
from app.formats.dataset import Dataset, prepare
from app.image_files import ImageFiles
from app.progress import Progress, unheard
from app.project import (
    DRAWN,
    IMPORTED,
    ExportReport,
    InvalidInput,
    ProjectImage,
    Run,
    StoredInstance,
    Task,
)
from app.provenance import attributes_of
from app.store import Store
from dinov.coco import CocoAnnotation, CocoImage, CocoVideo, Encoding, Scalar
from dinov.coco_presets import Preset

# Names of files that say the same: nothing is gained by writing another.
_JPEG = frozenset({".jpg", ".jpeg", ".jfif", ".mpo"})


def export_project(
    store: Store,
    files: ImageFiles,
    project_id: str,
    destination: Path,
    *,
    format_name: str = "coco",
    score_threshold: float | Mapping[Task, float] | None = None,
    with_images: bool = False,
    with_results: bool = False,
    encoding: Encoding = "auto",
    results: Path | None = None,
    progress: Progress = unheard,
) -> ExportReport:
    """Write all images and categories of a project, and the instances that are shown.

    Image and annotation ids are those of the database, so that they stay from one export to the
    next. References that are no targets are written, too: they are part of the data set.

    Args:
        store: the database.
        files: its images.
        project_id: the project.
        destination: a file if the format is one file and no images are asked for; a ``.zip`` with
            everything in it; otherwise a folder that is not there yet, or empty.
        format_name: one of ``FORMATS``.
        score_threshold: the lowest score to write, for all or by task; the project's where none is
            given. Accepted instances are written whatever their score.
        with_images: also write the upright images, where the format's readers look for them.
        with_results: also write ``results.json`` beside the annotations: a COCO results file with
            the same ids, for evaluation tools.
        encoding: of the masks, with the format "coco".
        results: where else to write such a results file, if anywhere.
        progress: told after every file how many of all are done; it may raise to stop.

    Raises:
        NotFound: if there is no such project.
        InvalidInput: if the destination holds other files, or the options do not fit together.
        OSError: if something cannot be written.
    """
    format_ = _chosen(format_name, encoding)
    dataset, hidden = project_dataset(store, project_id, score_threshold)
    images = store.images(project_id)
    as_stored: list[str] = []
    if with_images:
        dataset, as_stored = _as_stored(dataset, images)
    prepared, dropped, renamed = prepare(dataset)

    # All is written beside the destination, and then given its name.
    destination.parent.mkdir(parents=True, exist_ok=True)
    staging = destination.with_name(f".{destination.name}.{uuid.uuid4().hex}.part")
    try:
        staging.mkdir()
        written = format_.write(prepared, staging)
        if with_images:
            folder = staging / format_.image_folder
            _copy_images(files, images, prepared, folder, progress)
        for path in (results, staging / "results.json" if with_results else None):
            if path is not None:
                coco.write_results(prepared, path)
        path = _publish(staging, destination, progress)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    occupied = {one.image_id for one in prepared.annotations}
    notes = (*written.notes, *_notes(format_, prepared, hidden))
    return ExportReport(
        path=path,
        images=len(prepared.images),
        empty_images=sum(image.id not in occupied for image in prepared.images),
        annotations=written.annotations,
        total=len(dataset.annotations),
        dropped=(*dropped, *written.dropped),
        changed=written.changed,
        renamed=(*as_stored, *renamed),
        notes=notes,
    )


def project_dataset(
    store: Store, project_id: str, score_threshold: float | Mapping[Task, float] | None = None
) -> tuple[Dataset, int]:
    """Return what a project shows as a data set, and how many proposals the threshold hides."""
    with store.transaction():
        project = store.project(project_id)
        thresholds = {**project.score_thresholds, **_by_task(score_threshold)}
        images = store.images(project_id)
        categories = store.categories(project_id)
        runs = {run.id: run for run in store.runs(project_id)}
        tracks = store.track_ids(project_id)
        sequences = store.sequences(project_id)
        shown = [one for image in images for one in store.shown_instances(image.id, thresholds)]
        own = store.category_thresholds(project_id)
        hidden = sum(counts.hidden for counts in store.counts(project_id, thresholds).values())
    options = [run.options for run in runs.values() if run.options]
    tasks = [task for task in Task if task in {chosen.task for chosen in options}]
    ordered = sorted(
        {
            (run.checkpoint, run.fingerprint)
            for run in runs.values()
            if run.checkpoint not in (IMPORTED, DRAWN)
        }
    )
    digests = [run.checkpoint_sha256 for run in runs.values() if run.checkpoint_sha256]
    info: dict[str, Scalar] = {
        "project": project.name,
        "task": ", ".join(tasks),
        "in_tiles": any(chosen.in_tiles for chosen in options),
        "score_threshold": thresholds[Task.GENERIC],
        "checkpoint": ", ".join(dict.fromkeys(name for name, _ in ordered if name)),
        "checkpoint_sha256": ", ".join(sorted(set(digests))),
        "model": ", ".join(dict.fromkeys(fingerprint for _, fingerprint in ordered)),
    }
    if own:
        names = {category.id: category.name for category in categories}
        lines = [f"{names[id_]} {threshold:g}" for id_, threshold in own.items()]
        info["category_score_thresholds"] = ", ".join(lines)
    if Task.REFER in tasks:
        info["refer_score_threshold"] = thresholds[Task.REFER]
    places = {id_: (one.id, n) for one in sequences for n, id_ in enumerate(one.image_ids)}
    dataset = Dataset(
        tuple(
            CocoImage(
                image.id, image.file_name, image.width, image.height, *places.get(image.id, ())
            )
            for image in images
        ),
        tuple(categories),
        tuple(_annotation(instance, runs[instance.run_id], tracks) for instance in shown),
        info,
        tuple(CocoVideo(one.id, one.name) for one in sequences),
    )
    return dataset, hidden


def _by_task(score_threshold: float | Mapping[Task, float] | None) -> Mapping[Task, float]:
    if score_threshold is None:
        return {}
    if isinstance(score_threshold, Mapping):
        return score_threshold
    return dict.fromkeys(Task, score_threshold)


def _annotation(
    instance: StoredInstance, run: Run, tracks: Mapping[tuple[int, int], int]
) -> CocoAnnotation:
    return CocoAnnotation(
        id=instance.id,
        image_id=instance.image_id,
        category_id=instance.category_id,
        rle=instance.rle,
        score=round(instance.score, 6),
        track_id=tracks.get((instance.run_id, instance.category_id)),
        attributes=attributes_of(instance, run),
    )


def _chosen(format_name: str, encoding: Encoding) -> Format:
    format_ = FORMATS.get(format_name)
    if format_ is None:
        raise InvalidInput(f"Unknown format “{format_name}”. Use one of: {', '.join(FORMATS)}.")
    if encoding == "auto":
        return format_
    if format_name != "coco":
        raise InvalidInput(
            f"The format {format_name} has its own way to write masks. The mask encoding can be "
            "chosen with the format coco."
        )
    return replace(format_, write=partial(coco.write, preset=Preset(encoding=encoding)))


def _as_stored(dataset: Dataset, images: list[ProjectImage]) -> tuple[Dataset, list[str]]:
    """Name every image by the kind of file that its upright copy is, and say which differ."""
    suffixes = {image.id: image.suffix for image in images}
    renamed, lines = [], []
    for image in dataset.images:
        path, suffix = PurePosixPath(image.file_name), suffixes[image.id]
        same = path.suffix.lower() == suffix or {path.suffix.lower(), suffix} <= _JPEG
        name = path.name if same else path.with_suffix(suffix).name
        if not same:
            lines.append(f"Image {path} is called {name}: its upright copy is such a file.")
        renamed.append(replace(image, file_name=name))
    return replace(dataset, images=tuple(renamed)), lines


def _copy_images(
    files: ImageFiles,
    images: list[ProjectImage],
    prepared: Dataset,
    folder: Path,
    progress: Progress,
) -> None:
    names = {image.id: image.file_name for image in prepared.images}
    for number, image in enumerate(images):
        # The other half of the work is to pack them.
        progress(number, 2 * len(images))
        target = folder / names[image.id]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(files.path(image), target)


def _notes(format_: Format, prepared: Dataset, hidden: int) -> list[str]:
    notes = []
    if hidden:
        verb = "proposal below the score threshold is" if hidden == 1 else (
            "proposals below the score threshold are"
        )  # fmt: skip
        notes.append(f"{hidden:,} {verb} not part of the export.")
    if format_.lacks and prepared.annotations:
        notes.append(f"{format_.title} has no place for {format_.lacks}.")
    return notes


def _publish(staging: Path, destination: Path, progress: Progress) -> Path:
    """Give what was written its name: as one file, as an archive or as a folder."""
    contents = [path for path in sorted(staging.rglob("*")) if path.is_file()]
    if destination.suffix.lower() == ".zip":
        archive = staging / ".zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
            for number, path in enumerate(contents):
                progress(len(contents) + number, 2 * len(contents))
                target.write(path, path.relative_to(staging).as_posix())
        return archive.replace(destination)
    if len(contents) == 1 and destination.suffix == contents[0].suffix:
        return contents[0].replace(destination)
    if destination.suffix.lower() == ".json":
        raise InvalidInput(
            f"This makes {len(contents)} files, which do not fit in {destination.name}. Name a "
            "folder, or a file that ends in .zip."
        )
    if destination.exists():
        if not destination.is_dir() or any(destination.iterdir()):
            raise InvalidInput(
                f"{destination} is there already. Name a new folder, or a file that ends in .zip."
            )
        destination.rmdir()
    return staging.replace(destination)
