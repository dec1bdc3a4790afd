"""Data sets in any format into a project: as annotations, or as prompts to search with."""

from __future__ import annotations

import contextlib
import filecmp
import shutil
import tempfile
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path, PurePosixPath

from app.formats import FORMATS, Format, recognise
from app.formats.dataset import Dataset, Tally
from app.formats.pictures import Picture, Pictures, files_below, files_beside
from app.progress import Progress, unheard
from app.project import (
    ImportReport,
    InstanceStatus,
    InvalidData,
    InvalidInput,
    Project,
    ProjectImage,
    Task,
)
from app.provenance import Brought, brought
from app.workspace import Workspace
from dinov.coco import CocoAnnotation, CocoImage, Scalar, distinct_file_names
from dinov.errors import InvalidImage
from dinov.masks import rle_area, rle_box_xyxy
from dinov.types import Instance, Prompt, PromptType

Source = Path | tuple[str, Path]
"""A file or folder; or a file and the name that the data set knows it by."""

_PARTS = frozenset({PromptType.POINT, PromptType.SCRIBBLE})


class ImportedAs(StrEnum):
    """What the annotations of a file become in a project."""

    ANNOTATIONS = "annotations"
    PROMPTS = "prompts"


def import_files(
    workspace: Workspace,
    project_id: str,
    sources: Sequence[Source],
    *,
    image_folders: Sequence[Path] = (),
    format_name: str | None = None,
    as_: ImportedAs = ImportedAs.ANNOTATIONS,
    progress: Progress = unheard,
) -> ImportReport:
    """Read a data set and add it to a project; what cannot be used is left out, and said.

    An image of the data set is one that the project has under the same name, or else a file among
    the sources or in the image folders, which is added. Categories are matched by name. What the
    project has already is not added again, so that an import can be repeated.

    Args:
        workspace: the use cases of the project.
        project_id: the project.
        sources: a file, a folder or a ``.zip``; or several files that belong together.
        image_folders: where images lie that are not among the sources.
        format_name: one of ``FORMATS``; by default it is recognised.
        as_: annotations become accepted instances, but those of our own exports what they were;
            prompts become marks on references.
        progress: told after every image how many of all are done; it may raise to stop.

    Raises:
        NotFound: if there is no such project.
        InvalidInput: if a source or folder does not exist, or no format has this name.
        InvalidData: if the sources cannot be read as the format.
    """
    workspace.project(project_id)
    for folder in image_folders:
        if not folder.exists():
            raise InvalidInput(f"{folder} does not exist. Name the folder of the images.")
    known = workspace.images(project_id)
    problems = Tally()
    with _gathered(sources) as (path, beside):
        format_ = _format(format_name, path)
        files = [one for one in beside if not _is_label(one, format_)]
        start = path if path.is_dir() else path.parent
        pictures = Pictures(_as_pictures(known) + files + files_below(image_folders), start)
        reading = format_.read(path, pictures)
        images = _add_images(workspace, project_id, reading.dataset, pictures, problems, progress)
    if not known:
        _adopt_thresholds(workspace, project_id, reading.dataset.info)
    categories = _add_categories(workspace, project_id, reading.dataset)
    sequences = _add_sequences(workspace, project_id, reading.dataset, images)
    notes = Tally()
    grouped: dict[int, list[CocoAnnotation]] = defaultdict(list)
    for one in reading.dataset.annotations:
        if one.image_id in images:
            grouped[images[one.image_id].id].append(
                replace(one, category_id=categories[one.category_id])
            )
    if as_ is ImportedAs.PROMPTS:
        added, present = _add_prompts(workspace, grouped, reading.marks)
    else:
        grouped = _without_mere_marks(grouped, reading.marks, images, problems)
        tracked = _on_tracks(reading.dataset, sequences, notes)
        told = _brought(grouped, reading.dataset.info, tracked)
        source = f"{format_.title}: {_name(sources[0])}"
        added, present = workspace.editing.add_annotations(project_id, source, told)
        _note_hidden(workspace.project(project_id), told, notes)
    before = {image.id for image in known}
    return ImportReport(
        project_id=project_id,
        format_title=format_.title,
        annotations=added,
        present=present,
        total=reading.total,
        added_images=len({image.id for image in images.values()} - before),
        problems=(*reading.problems, *problems.lines()),
        notes=(*reading.notes, *notes.lines()),
    )


def _format(format_name: str | None, path: Path) -> Format:
    if format_name is None:
        return recognise(path)
    if format_name not in FORMATS:
        raise InvalidInput(f"Unknown format “{format_name}”. Use one of: {', '.join(FORMATS)}.")
    return FORMATS[format_name]


def _is_label(picture: Picture, format_: Format) -> bool:
    folders = PurePosixPath(picture.name).parts[:-1]
    return any(folder.startswith(format_.label_folders) for folder in folders)


def _name(source: Source) -> str:
    return source[0] if isinstance(source, tuple) else source.name


@contextlib.contextmanager
def _gathered(sources: Sequence[Source]) -> Iterator[tuple[Path, list[Picture]]]:
    """Bring the sources together in one file or folder, and list the images beside them."""
    paths = [source[1] if isinstance(source, tuple) else source for source in sources]
    for path in paths:
        if not path.exists():
            raise InvalidInput(f"{path} does not exist. Check the path.")
    is_archive = [zipfile.is_zipfile(path) for path in paths]
    if len(paths) == 1 and not is_archive[0]:
        (path,) = paths
        yield path, files_below(paths) if path.is_dir() else files_beside(path)
        return
    with tempfile.TemporaryDirectory(prefix="dinov-import-") as name:
        # Messages name the folder, and so it is called as what the user knows.
        folder = Path(name) / "together" / Path(_name(sources[0])).name
        folder.mkdir(parents=True)
        for number, (source, path, archived) in enumerate(
            zip(sources, paths, is_archive, strict=True)
        ):
            part = Path(name) / str(number)
            part.mkdir()
            if archived:
                _extract(path, part)
            elif path.is_dir():
                shutil.copytree(path, part / path.name)
            else:
                shutil.copyfile(path, part / Path(_name(source)).name)
            _merge(part, folder)
        yield folder, files_below([folder])


def _merge(part: Path, folder: Path) -> None:
    """Move the files of one source to those of the others; the same file may come with several."""
    for file in sorted(part.rglob("*")):
        target = folder / file.relative_to(part)
        if file.is_dir() and not target.is_file():
            target.mkdir(parents=True, exist_ok=True)
        elif not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            file.rename(target)
        elif not filecmp.cmp(file, target, shallow=False):
            raise InvalidData(
                f"{file.relative_to(part).as_posix()} comes twice, with different contents. "
                "Import these sources one after the other, or give one of the files another name."
            )


def _extract(archive: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as content:
            needed = sum(entry.file_size for entry in content.infolist())
            if needed > shutil.disk_usage(folder).free:
                raise InvalidData(
                    f"{archive.name} unpacks to {needed / 1e9:.1f} GB, more than there is room for."
                )
            content.extractall(folder)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise InvalidData(
            f"{archive.name} cannot be unpacked ({error}). Unpack it and name the folder."
        ) from error


def _as_pictures(known: Sequence[ProjectImage]) -> list[Picture]:
    """The images of the project, also by the names that an export had to give them."""
    images = [CocoImage(one.id, one.file_name, one.width, one.height) for one in known]
    exported, _ = distinct_file_names(images)
    return [
        # Only its size is needed of an image that is there: its file is not looked for.
        Picture(name, Path(), (image.height, image.width), image.id)
        for image in images
        for name in dict.fromkeys((image.file_name, exported[image.id]))
    ]


def _add_images(
    workspace: Workspace,
    project_id: str,
    dataset: Dataset,
    pictures: Pictures,
    problems: Tally,
    progress: Progress,
) -> dict[int, ProjectImage]:
    """Find or add the images; return those that can be used, by their ids in the data set."""
    images: dict[int, ProjectImage] = {}
    for number, (image, group) in enumerate(dataset.by_image()):
        progress(number, len(dataset.images))
        place = f"{image.file_name} with {len(group):,} of the annotations"
        picture = pictures.find(image.file_name)
        if picture is None:
            problems.add("the image is not in the project and not found, or found twice", place)
            continue
        try:
            found = _project_image(workspace, project_id, picture)
        except (InvalidImage, InvalidInput, OSError) as error:
            problems.add(str(error).rstrip("."), place)
            continue
        if (found.height, found.width) != (image.height, image.width):
            problems.add(_sizes_differ(image, found), place)
            continue
        images[image.id] = found
    return images


def _project_image(workspace: Workspace, project_id: str, picture: Picture) -> ProjectImage:
    if picture.image_id is not None:
        return workspace.image(picture.image_id)
    same = workspace.find_image(project_id, picture.path.read_bytes())
    if same is not None:
        return same
    report = workspace.add_images(project_id, [picture.path])
    if report.problems:
        raise InvalidInput(report.problems[0])
    return report.added[0]


def _sizes_differ(image: CocoImage, found: ProjectImage) -> str:
    return (
        f"the image is {found.width}x{found.height} when upright, in the file "
        f"{image.width}x{image.height}, and its annotations would be misplaced"
    )


def _add_categories(workspace: Workspace, project_id: str, dataset: Dataset) -> dict[int, int]:
    """Find or add the categories; return their ids by those in the data set."""
    return {
        category.id: workspace.find_or_add_category(project_id, category).id
        for category in dataset.categories
    }


def _without_mere_marks(
    grouped: Mapping[int, Sequence[CocoAnnotation]],
    marks: Mapping[int, Prompt],
    images: Mapping[int, ProjectImage],
    problems: Tally,
) -> dict[int, list[CocoAnnotation]]:
    """Leave out what marks an object without outlining it, or marks what is not meant."""
    names = {image.id: image.file_name for image in images.values()}
    kept: dict[int, list[CocoAnnotation]] = {}
    for image_id, group in grouped.items():
        kept[image_id] = []
        for one in group:
            mark = marks.get(one.id)
            if mark is None or (mark.positive and mark.type not in _PARTS):
                kept[image_id].append(one)
            else:
                reason = "it is a mark and no outline of an object; import it as prompts"
                problems.add(reason, f"an annotation on {names[image_id]}")
    return kept


def _adopt_thresholds(workspace: Workspace, project_id: str, info: Mapping[str, Scalar]) -> None:
    """Show of proposals what was shown where they come from."""
    names = {Task.GENERIC: "score_threshold", Task.REFER: "refer_score_threshold"}
    for task, name in names.items():
        threshold = info.get(name)
        if isinstance(threshold, int | float) and 0 <= threshold <= 1:
            workspace.set_score_threshold(project_id, threshold, task)


def _add_sequences(
    workspace: Workspace, project_id: str, dataset: Dataset, images: Mapping[int, ProjectImage]
) -> dict[int, int]:
    """Find or add the sequences that videos become; return their ids by those of the videos."""
    sequences = {}
    for video in dataset.videos:
        frames = [one for one in dataset.images if one.video_id == video.id and one.id in images]
        frames.sort(key=lambda one: (one.frame_index or 0, one.id))
        image_ids = list(dict.fromkeys(images[one.id].id for one in frames))
        if image_ids:
            sequences[video.id] = workspace.find_or_add_sequence(project_id, video.name, image_ids)
    return sequences


def _on_tracks(dataset: Dataset, sequences: Mapping[int, int], notes: Tally) -> dict[int, int]:
    """Return by annotation id the sequence along which an object is tracked.

    In a project a category stands for one object of a sequence: where there are several, their
    tracks have no place.
    """
    on_track = {
        one.id: (sequences[image.video_id], one.category_id, one.track_id)
        for image, group in dataset.by_image()
        if image.video_id is not None and image.video_id in sequences
        for one in group
        if one.track_id is not None
    }
    objects = Counter(key[:2] for key in set(on_track.values()))
    names = {category.id: category.name for category in dataset.categories}
    for (_, category_id), count in objects.items():
        if count > 1:
            reason = f"a project has no place for {count} tracks of it on one video"
            notes.add(reason, f"category {names[category_id]}")
    return {number: key[0] for number, key in on_track.items() if objects[key[:2]] == 1}


def _brought(
    grouped: Mapping[int, Sequence[CocoAnnotation]],
    info: Mapping[str, Scalar],
    tracked: Mapping[int, int],
) -> dict[int, list[Brought]]:
    return {
        image_id: [
            brought(
                Instance(
                    category_id=one.category_id,
                    score=1.0 if one.score is None else one.score,
                    rle=one.rle,
                    box_xyxy=rle_box_xyxy(one.rle),
                    area=rle_area(one.rle),
                ),
                one.attributes,
                info,
                tracked.get(one.id),
            )
            for one in annotations
        ]
        for image_id, annotations in grouped.items()
    }


def _note_hidden(project: Project, told: Mapping[int, Sequence[Brought]], notes: Tally) -> None:
    for one in (one for group in told.values() for one in group):
        task = one.found_by.task if one.found_by else Task.GENERIC
        is_low = one.instance.score < project.score_thresholds[task]
        if one.status is InstanceStatus.PROPOSED and is_low:
            notes.add("a proposal is below the score threshold, and not shown", project.name)


def _add_prompts(
    workspace: Workspace,
    grouped: Mapping[int, Sequence[CocoAnnotation]],
    marks: Mapping[int, Prompt],
) -> tuple[int, int]:
    prompts = {
        image_id: [
            replace(mark, category_id=one.category_id)
            if (mark := marks.get(one.id))
            else Prompt(one.category_id, PromptType.MASK, rle=one.rle)
            for one in annotations
        ]
        for image_id, annotations in grouped.items()
    }
    return workspace.extend_prompts(prompts)
