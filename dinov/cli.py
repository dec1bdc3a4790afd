"""The command line of the library: ``python -m dinov COMMAND``."""

from __future__ import annotations

import argparse
import hashlib
import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from dinov import __version__, coco
from dinov.arguments import LOSS, add_allow_loss, at_least
from dinov.batch import (
    DEFAULT_WORKERS,
    BatchOptions,
    BatchReport,
    require_writable,
    run_batch,
)
from dinov.download import CHECKPOINTS, default_directory, download
from dinov.errors import DinovError
from dinov.options import BATCH_SIZE_HELP, COMPILE_HELP, LIKENESS_HELP, PRECISION_HELP, PRECISIONS
from dinov.references import read_references
from dinov.segment_arguments import (
    ScoreThresholds,
    add_found_arguments,
    add_output_arguments,
    instance_options,
    output_options,
)
from dinov.targets import check_targets
from dinov.types import Category
from dinov.work import Cluster, Segment

if TYPE_CHECKING:
    from dinov.predictor import Predictor
    from dinov.prompt_bank import PromptBank

STOPPED_BY_USER = 130
"""Exit status after Ctrl-C, as shells have it."""


@dataclass(frozen=True)
class Command:
    """A command: its help line, its options and what it does (returning the exit status)."""

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 if all went well."""
    arguments = sys.argv[1:] if argv is None else argv
    parsed = build_parser(arguments).parse_args(arguments)
    try:
        return COMMANDS[parsed.command].run(parsed)
    except DinovError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error.filename or 'A file'}: {error.strerror or error}")
    except KeyboardInterrupt:
        _tell("Stopped.")
        return STOPPED_BY_USER


def build_parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """Make the parser for a command line that begins with a command.

    Options are built for that command alone: those of some others need torch to be imported.
    """
    parser = argparse.ArgumentParser(
        prog="python -m dinov", description="Segment what is marked on reference images."
    )
    parser.add_argument("--version", action="version", version=f"dinov {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        command_parser = commands.add_parser(name, help=command.help, description=command.help)
        if name in arguments[:1]:
            command.add_arguments(command_parser)
    return parser


def _deferred(help_line: str, module: str) -> Command:
    """A command whose module is imported when it is used."""

    def add_arguments(parser: argparse.ArgumentParser) -> None:
        importlib.import_module(module).add_arguments(parser)

    def run(arguments: argparse.Namespace) -> int:
        status: int = importlib.import_module(module).run(arguments)
        return status

    return Command(help_line, add_arguments, run)


def _tell(text: str) -> None:
    print(text, file=sys.stderr)


def _fail(text: str) -> int:
    _tell(f"dinov: {text}")
    return 1


# ------------------------------------------------------------------------------------- download


def _add_download_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", choices=sorted(CHECKPOINTS), help="which checkpoint")
    parser.add_argument(
        "--directory",
        type=Path,
        default=default_directory(),
        help="where to put it (default: %(default)s)",
    )


def _run_download(arguments: argparse.Namespace) -> int:
    with tqdm(
        desc=arguments.name, unit="B", unit_scale=True, unit_divisor=1024, disable=None
    ) as bar:

        def show(present: int, total: int | None) -> None:
            bar.total = total
            bar.update(present - bar.n)

        path = download(arguments.name, directory=arguments.directory, progress=show)

    from dinov.checkpoints import load_model

    # The authors publish no digest, so what came is verified by loading every tensor.
    loaded = load_model(path)
    expected = CHECKPOINTS[arguments.name].variant
    if loaded.variant != expected:
        return _fail(f"{path} holds '{loaded.variant}', not '{expected}'. Delete it.")
    print(f"{path} is complete: {loaded.variant}, SHA-256 {loaded.sha256}")
    return 0


# -------------------------------------------------------------------------------------- segment


def _add_segment_arguments(parser: argparse.ArgumentParser) -> None:
    prompts = parser.add_mutually_exclusive_group(required=True)
    prompts.add_argument(
        "--references",
        type=Path,
        metavar="REF.json",
        help="COCO instances JSON whose annotations are the prompts",
    )
    prompts.add_argument(
        "--bank", type=Path, metavar="FILE", help="prompts that `embed` has embedded before"
    )
    parser.add_argument(
        "--reference-images",
        type=Path,
        metavar="DIR",
        help="where the file names in REF.json start (default: its own folder)",
    )
    parser.add_argument(
        "--targets",
        nargs="+",
        required=True,
        metavar="PATH",
        help="what is to be segmented: images, folders, patterns, lists (.txt, one path a line) or "
        "archives (.zip, .tar, .tar.gz, ...); also URLs that fsspec knows (s3://, gs://, ...)",
    )
    add_output_arguments(parser)
    parser.add_argument(
        "--workers",
        type=at_least(1),
        default=DEFAULT_WORKERS,
        metavar="N",
        help="threads that decode and resize images ahead of the model (default: %(default)s)",
    )
    parser.add_argument(
        "--restart",
        action="store_true",
        help="begin anew; otherwise the same command goes on where an earlier one was ended",
    )
    add_allow_loss(parser)
    _add_cluster_arguments(parser)
    _add_model_arguments(parser)


def _add_cluster_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cluster",
        metavar="ray[://ADDRESS]",
        help="share the work among processes of this machine (ray), or of the Ray cluster that it "
        "is part of (ray://HOST:PORT, ray://auto)",
    )
    parser.add_argument(
        "--cluster-workers",
        type=at_least(1),
        metavar="N",
        help="models in the cluster (default: one per GPU, or one per machine)",
    )


def _add_model_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--checkpoint",
        default="lite",
        metavar="NAME|FILE",
        help=f"{', '.join(CHECKPOINTS)} or a file (default: lite)",
    )
    parser.add_argument(
        "--task",
        choices=["generic", "refer"],
        default="generic",
        help="generic: every object of the marked concepts; refer: the very objects that are "
        "marked, each at most once per target, where annotations with the same track_id mark the "
        "same object (default: generic)",
    )
    parser.add_argument("--likeness-threshold", type=float, metavar="X", help=LIKENESS_HELP)
    add_found_arguments(parser)
    parser.add_argument(
        "--input-size",
        type=int,
        metavar="N",
        help="side in pixels to which images are resized for the model (default: the checkpoint's)",
    )
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, mps or the name of a GPU (default: auto)"
    )
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help=PRECISION_HELP)
    parser.add_argument("--batch-size", type=at_least(1), metavar="N", help=BATCH_SIZE_HELP)
    parser.add_argument("--compile", action="store_true", help=COMPILE_HELP)


@dataclass(frozen=True)
class _Prompts:
    """What is looked for. In the refer task ``category_of`` is the category of each object."""

    categories: tuple[Category, ...]
    category_of: dict[int, int] | None
    digest: str
    embed: Callable[[Predictor], PromptBank]


def _run_segment(arguments: argparse.Namespace) -> int:
    # Whatever can be wrong with the input is told before the model is loaded.
    options = output_options(arguments)
    require_writable(arguments.output)
    check_targets(arguments.targets)
    prompts = _read_prompts(arguments)
    thresholds = ScoreThresholds.of(arguments.score_threshold)
    thresholds.check(prompts.categories)

    from dinov.segmenter import Finding, ModelChoice, Segmenter

    cluster = _cluster(arguments)
    model = ModelChoice(
        arguments.checkpoint,
        arguments.device,
        arguments.precision,
        arguments.input_size,
        arguments.batch_size,
        arguments.compile,
    )
    predictor = model.load()
    bank = prompts.embed(predictor)
    general = thresholds.general
    if general is None:
        general = predictor.score_threshold if arguments.task == "generic" else 0.0
    by_id = thresholds.by_id(prompts.categories)
    category_of = prompts.category_of or {i: i for i in bank.category_ids}
    lowest = {i: by_id.get(category_of[i], general) for i in bank.category_ids}
    what_counts = instance_options(arguments)
    finding = Finding(
        arguments.task,
        lowest,
        arguments.likeness_threshold,
        what_counts,
        arguments.max_examples,
        arguments.seed,
        arguments.tile,
    )
    segment = Segmenter(model, predictor, bank, finding)
    info: dict[str, coco.Scalar] = {
        "checkpoint": predictor.variant,
        "checkpoint_sha256": predictor.checkpoint_hash,
        "input_size": predictor.input_size,
        "score_threshold": general,
        "task": arguments.task,
    }
    if by_id:
        info["score_threshold_by_category"] = str(thresholds)
    if arguments.task == "generic":
        info |= asdict(what_counts)
        info |= {name: getattr(arguments, name) for name in ("max_examples", "seed", "tile")}
    else:
        given = arguments.likeness_threshold
        info["likeness_threshold"] = predictor.likeness_threshold if given is None else given
    options = replace(options, category_of=prompts.category_of)
    return _segment_batch(arguments, options, prompts, segment, info, cluster)


def _cluster(arguments: argparse.Namespace) -> Cluster | None:
    if arguments.cluster is None:
        return None
    from dinov.cluster import ray_cluster

    return ray_cluster(
        arguments.cluster, arguments.cluster_workers, on_gpus=arguments.device != "cpu"
    )


def _segment_batch(
    arguments: argparse.Namespace,
    options: BatchOptions,
    prompts: _Prompts,
    segment: Segment,
    info: dict[str, coco.Scalar],
    cluster: Cluster | None,
) -> int:
    with logging_redirect_tqdm(), tqdm(desc="targets", unit="image", disable=None) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        report = run_batch(
            arguments.targets,
            segment,
            sorted(prompts.categories, key=lambda category: category.id),
            arguments.output,
            options=options,
            made_with={"prompts": prompts.digest, "precision": arguments.precision},
            info=info,
            restart=arguments.restart,
            progress=show,
            cluster=cluster,
        )
    return _tell_report(report, allow_loss=arguments.allow_loss)


def _read_prompts(arguments: argparse.Namespace) -> _Prompts:
    refer = arguments.task == "refer"
    if arguments.bank is not None:
        from dinov.prompt_bank import PromptBank

        bank = PromptBank.load(arguments.bank)
        objects = {number: number for number in bank.category_ids}
        digest = hashlib.sha256(arguments.bank.read_bytes()).hexdigest()
        return _Prompts(bank.named_categories, objects if refer else None, digest, lambda _: bank)
    references = read_references(arguments.references, arguments.reference_images)
    for note in references.notes:
        _tell(note)
    marked, category_of = references.objects_apart() if refer else (references, None)
    return _Prompts(
        references.categories,
        category_of,
        marked.digest(),
        lambda predictor: predictor.embed_references(
            tqdm(marked, desc="references", unit="image", disable=None)
        ),
    )


def _tell_report(report: BatchReport, *, allow_loss: bool) -> int:
    """Say what became of a batch, and return the exit status."""
    for line in (*report.problems, *_stop_lines(report)):
        _tell(f"dinov: {line}")
    if report.output is None:
        return STOPPED_BY_USER if report.stopped else _fail("No target could be segmented.")
    for line in (*report.dropped, *report.changed, *report.notes):
        _tell(line)
    nothing = f"; nothing found on {report.empty_images}" if report.empty_images else ""
    print(f"{report.annotations} instances on {report.images} targets{nothing}: {report.output}")
    if report.stopped:
        return STOPPED_BY_USER
    if report.problems:
        return 1
    return 0 if report.is_lossless or allow_loss else LOSS


def _stop_lines(report: BatchReport) -> list[str]:
    if not report.stopped:
        return []
    done = report.images + len(report.problems)
    return [f"Stopped after {done} of {report.total} targets. The same command goes on there."]


COMMANDS: dict[str, Command] = {
    "download": Command(
        "Download an official checkpoint and verify it.", _add_download_arguments, _run_download
    ),
    "segment": Command(
        "Segment targets by the prompts on reference images.", _add_segment_arguments, _run_segment
    ),
    "embed": _deferred("Embed the prompts of a COCO file as a bank.", "dinov.embed"),
    "bank": _deferred("Show what prompt banks hold, or merge them.", "dinov.bank"),
    "convert": _deferred("Write a checkpoint as a safetensors file.", "dinov.convert"),
    "track": _deferred("Follow marked objects through a video.", "dinov.track_command"),
    "train": _deferred("Train a model.", "dinov.training.command"),
    "train-concepts": _deferred(
        "Train the concept head of a lite model.", "dinov.training.concept_command"
    ),
    "evaluate": _deferred("Measure a checkpoint.", "dinov.evaluation.command"),
    "benchmark": _deferred("Measure the speed on this machine.", "dinov.benchmark"),
}
