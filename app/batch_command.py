"""``python app.py batch``: a project's marks over its own targets, or over any others."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

import dinov.cli
from app.banks import Banks
from app.image_files import ImageFiles
from app.marks import marks_of, references_of, require_marks
from app.model_options import add_model, model_settings
from app.model_session import ModelSession
from app.project import InvalidInput, Project, StoredPrompt, Task
from app.segment_job import SegmentJob
from app.settings import ModelSettings
from app.store import Store
from app.workspace import Workspace
from dinov import coco
from dinov.arguments import LOSS, add_allow_loss, at_least
from dinov.ledger import locked
from dinov.types import PromptType

# Options of `python -m dinov segment` that mean the same here, with what they are read as.
_SHARED: dict[str, Callable[[str], Any]] = {
    "--format": str,
    "--mask-encoding": str,
    "--results": str,
    "--workers": at_least(1),
    "--batch-size": at_least(1),
    "--cluster": str,
    "--cluster-workers": at_least(1),
}


def add_batch(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
) -> argparse.ArgumentParser:
    """Declare the command; its data folder and what runs it are added by the caller."""
    parser = commands.add_parser(
        "batch",
        help="segment a project's targets, or any others with its marks, without the page",
        description=(
            "Segment the targets of a project as the Segment button does, or, with --targets, any "
            "others with the project's marks, to COCO JSON. Stopped or killed, the same command "
            "goes on where it was."
        ),
    )
    add = parser.add_argument
    add("--project", required=True, help="name or id of the project")
    add(
        "--unfinished",
        action="store_true",
        help="only targets without results; otherwise also those whose results come from other "
        "marks, options or another model",
    )
    add_model(parser)
    add_allow_loss(parser)
    elsewhere = parser.add_argument_group("targets outside of the project")
    add = elsewhere.add_argument
    add(
        "--targets",
        nargs="+",
        default=[],
        metavar="PATH",
        help="images, folders, patterns, lists, archives or URLs, as for python -m dinov segment",
    )
    add("--output", type=Path, metavar="OUT.json", help="the result, COCO instances JSON")
    add("--restart", action="store_true", help="begin anew instead of going on")
    for name, type_ in _SHARED.items():
        add(name, type=type_, metavar="X", help="see python -m dinov segment --help")
    return parser


def batch(chosen: argparse.Namespace, store: Store, files: ImageFiles, project: Project) -> int:
    """Do what the command line says, and return the exit status.

    Raises:
        InvalidInput: if there is nothing to look for or to look in, or options do not fit together.
        LedgerInUse: if another program does the same.
    """
    if bool(chosen.targets) != (chosen.output is not None):
        raise InvalidInput("Give --targets and --output together, or neither of them.")
    require_marks(store, project.id)
    if chosen.targets:
        return _segment_elsewhere(chosen, store, files, project)
    with locked(chosen.data_dir.expanduser() / f"batch-{project.id}"):
        return _segment_own(chosen, store, files, project)


def _segment_own(
    chosen: argparse.Namespace, store: Store, files: ImageFiles, project: Project
) -> int:
    targets = [image for image in store.images(project.id) if image.is_target]
    if chosen.unfinished:
        targets = [image for image in targets if store.latest_run(image.id)[0] is None]
    if not targets:
        _tell("There is no target to segment.")
        return 0
    model = ModelSession(model_settings(chosen, store))
    ids = tuple(image.id for image in targets)
    work = SegmentJob(store, files, model, project.id, ids, project.run_options)
    with Terminal(len(targets)) as terminal:
        try:
            message = work(terminal)
        except KeyboardInterrupt:
            message = "Stopped. The same command goes on there."
            terminal.is_stopped = True
    for line in (*terminal.problems, *terminal.losses):
        _tell(line)
    sys.stdout.write(f"{message}\n")
    if terminal.is_stopped:
        return dinov.cli.STOPPED_BY_USER
    if terminal.problems:
        return 1
    return LOSS if terminal.losses and not chosen.allow_loss else 0


class Terminal:
    """Shows what a job reports: a bar with speed and time left."""

    def __init__(self, total: int) -> None:
        self.found = 0
        self.problems: list[str] = []
        self.losses: list[str] = []
        self.is_stopped = False
        self._bar = tqdm(total=total, desc="targets", unit="image", disable=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()

    def is_cancelled(self) -> bool:
        """Never: Ctrl-C ends the program, and what is done is kept."""
        return False

    def say(self, message: str) -> None:
        """Nothing: the bar says it."""

    def start_clock(self) -> None:
        """The bar measures from here."""
        self._bar.reset()

    def advance(self, *, found: int = 0, is_timed: bool = True) -> None:
        """Move the bar; what needed no work does not count for the speed."""
        self.found += found
        # A bar that is not shown counts nothing.
        if not is_timed and not self._bar.disable:
            self._bar.initial += 1
        self._bar.update()

    def add_problem(self, problem: str) -> None:
        """Keep it for the end."""
        self.problems.append(problem)

    def add_loss(self, loss: str) -> None:
        """Keep it for the end."""
        self.losses.append(loss)


def _segment_elsewhere(
    chosen: argparse.Namespace, store: Store, files: ImageFiles, project: Project
) -> int:
    """Hand the project's marks and options to ``python -m dinov segment``."""
    options, model = project.run_options, model_settings(chosen, store)
    marks = marks_of(store, project.id)
    categories = store.categories(project.id)
    for problem in marks.missing(categories):
        _tell(problem)
    with tempfile.TemporaryDirectory(prefix="dinov-batch-") as folder:
        words = ["segment", *_prompts(model, store, files, project, Path(folder))]
        words += ["--output", str(chosen.output)]
        words += ["--targets", *chosen.targets, "--task", options.task.value]
        words += ["--checkpoint", model.checkpoint, "--device", model.device]
        words += ["--precision", model.precision]
        words += ["--input-size", str(model.input_size)] if model.input_size else []
        words += ["--nms-threshold", str(project.overlap_threshold)]
        thresholds = _thresholds(
            store, project, {one.id: one.name for one in categories if one.id in marks.sought}
        )
        if thresholds:
            words += ["--score-threshold", *thresholds]
        if options.in_tiles and options.task is Task.GENERIC:
            words += ["--tile", "auto"]
        words += [f"--{name}" for name in ("restart", "allow-loss") if _given(chosen, name)]
        for name in _SHARED:
            value = _given(chosen, name)
            if value is not None:
                words += [name, str(value)]
        return dinov.cli.main(words)


def _prompts(
    model: ModelSettings, store: Store, files: ImageFiles, project: Project, folder: Path
) -> list[str]:
    """What is looked for, as the library's command line has it.

    Marks are handed on as they are. Concepts from files have none: with them all becomes a bank.

    Raises:
        FingerprintMismatch: if a concept was made with another model.
    """
    if marks_of(store, project.id).concepts:
        banks = Banks(Workspace(store, files), store, files, ModelSession(model))
        return ["--bank", str(banks.save(project.id, folder / "bank.safetensors"))]
    document = references_document(store, files, project.id)
    return ["--references", str(coco.write(document, folder / "references.json"))]


def _given(chosen: argparse.Namespace, option: str) -> Any:
    return getattr(chosen, option.strip("-").replace("-", "_"))


def _thresholds(store: Store, project: Project, names: Mapping[int, str]) -> list[str]:
    """The score thresholds that were chosen, as the library's command line has them."""
    task, chosen = project.run_options.task, []
    if task is Task.REFER or store.has_score_threshold(project.id):
        chosen.append(str(project.score_thresholds[task]))
    if task is Task.GENERIC:
        own = store.category_thresholds(project.id)
        chosen += [f"{names[i]}={value}" for i, value in own.items() if i in names]
    return chosen


def references_document(store: Store, files: ImageFiles, project_id: str) -> dict[str, Any]:
    """The marks of a project that are in use, as ``dinov.references`` reads them.

    All marks of a category carry its id as ``track_id``: where objects matter, it is one object.
    """
    references = references_of(store, project_id)
    stored = [one for _, prompts in references for one in prompts]
    return {
        "images": [
            {
                "id": image.id,
                "file_name": files.path(image).resolve().as_posix(),
                "width": image.width,
                "height": image.height,
            }
            for image, _ in references
        ],
        "categories": [
            {"id": one.id, "name": one.name, "supercategory": one.supercategory, "color": one.color}
            | {"isthing": int(one.is_thing)}
            for one in store.categories(project_id)
            if any(mark.prompt.category_id == one.id for mark in stored)
        ],
        "annotations": [_annotation(number, mark) for number, mark in enumerate(stored, start=1)],
    }


def _annotation(number: int, stored: StoredPrompt) -> dict[str, Any]:
    prompt = stored.prompt
    row: dict[str, Any] = {
        "id": number,
        "image_id": stored.image_id,
        "category_id": prompt.category_id,
        "track_id": prompt.category_id,
        "prompt": {
            "type": prompt.type.value,
            "points": list(prompt.points),
            "width": prompt.width,
            "positive": prompt.positive,
        },
    }
    if prompt.type is PromptType.MASK and prompt.rle is not None:
        row["segmentation"] = coco.segmentation_of(prompt.rle, "rle")
    return row


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
