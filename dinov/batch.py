"""Any number of targets to one COCO file, in little memory, and from where it was if it is killed.

Each result goes to a ``Ledger`` at once; at the end the ledger becomes the COCO file, row by row.
Memory is taken by the pictures at work and by the file names. The ``Work`` between the list of
targets and the ledger can be done on many machines: ``dinov.cluster``.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dinov import coco
from dinov.coco import CocoAnnotation, Encoding, Scalar
from dinov.coco_presets import PRESETS, Preset
from dinov.ledger import Ledger, locked
from dinov.masks import rle_area, rle_box_xyxy
from dinov.panoptic import FlatMap, lay_flat, write_maps
from dinov.targets import absolute, check_targets, list_targets
from dinov.types import Category, Instance, Segmentation
from dinov.work import Cluster, Entry, Segment, Work

OutputType = Literal["instances", "semantic", "panoptic"]

DEFAULT_WORKERS = 2


@dataclass(frozen=True)
class BatchOptions:
    """How the result is written and the work is done; none of it changes what is found.

    Attributes:
        output_type: COCO instances; or flat PNGs beside the file (``panoptic.write_maps``).
        preset: of instances, what their reader needs, and how masks are encoded.
        results: where to write the instances as a COCO results file, too, with the same ids.
        category_of: if the instances carry the numbers of objects instead of categories, the
            category of each; the number becomes the ``track_id``.
        workers: threads that decode pictures and encode masks.
    """

    output_type: OutputType = "instances"
    preset: Preset = PRESETS["coco"]
    results: Path | None = None
    category_of: Mapping[int, int] | None = None
    workers: int = DEFAULT_WORKERS


@dataclass(frozen=True)
class BatchReport:
    """What became of a batch.

    ``output`` is None if no target could be segmented; then nothing is written. ``problems`` says
    which targets could not be and why, ``dropped`` what was found and is not in the file,
    ``changed`` what will not be read as it was found, ``notes`` what is named or numbered
    differently there.
    """

    output: Path | None
    total: int
    images: int
    empty_images: int
    annotations: int
    problems: tuple[str, ...]
    dropped: tuple[str, ...]
    changed: tuple[str, ...]
    notes: tuple[str, ...]
    stopped: bool

    @property
    def is_lossless(self) -> bool:
        """Whether all that was found is in the file, as it was found."""
        return not self.dropped and not self.changed


_DEFAULT_OPTIONS = BatchOptions()


def run_batch(
    targets: Sequence[str | Path],
    segment: Segment,
    categories: Sequence[Category],
    output: Path,
    *,
    options: BatchOptions = _DEFAULT_OPTIONS,
    made_with: Mapping[str, Scalar] | None = None,
    info: Mapping[str, Scalar] | None = None,
    restart: bool = False,
    progress: Callable[[int, int], None] | None = None,
    cluster: Cluster | None = None,
) -> BatchReport:
    """Segment all targets and write the result as one COCO file.

    What is done is kept in ``ledger_folder(output)`` until all is. If the program is killed, the
    same call goes on where it was, with the targets that were listed then. After Ctrl-C the file
    holds what is done, and the same call does the rest. A target that cannot be read or segmented
    is a problem of the report, and the others are done. The same call gives the same file, killed
    or not, with any number of workers, on one machine or many; where several targets are computed
    together, scores may differ in their last digits by which these are.

    Args:
        targets: files, folders, patterns, lists and archives; see ``targets.list_targets``.
        segment: finds the instances of one picture, or (``Together``) of several at once; called
            from this thread, in order. On a cluster it is pickled, and so must be what it refers
            to.
        categories: all that instances may belong to; numbered 1..N in the file, in this order.
        output: the file.
        options: how it is written.
        made_with: names what the results depend on, concept and checkpoint above all, beside
            ``targets``, ``options`` and ``info``. An unfinished batch goes on only if all this is
            the same.
        info: stored under ``info`` in the file.
        restart: forget an unfinished batch.
        progress: is told after each target how many of how many are done.
        cluster: other machines that do the work: ``cluster.ray_cluster``.

    Raises:
        LedgerInUse: if another program is at work on the same output.
        ClusterError: if the cluster cannot be used or gave up; what is done is kept.
        InvalidImage: if one of ``targets`` leads to no image.
        FingerprintMismatch: if an unfinished batch of the same output was made otherwise.
        InvalidLedger: if what it left is damaged.
        OSError: if the output cannot be written.
    """
    for path in (output, options.results):
        if path is not None:
            require_writable(path)
    check_targets(targets)
    everything = {
        "targets": [absolute(target) for target in targets],
        "output_type": options.output_type,
        "preset": str(options.preset),
        "results": options.results is not None,
        "categories": [(category.id, category.name) for category in categories],
        **(info or {}),
        **(made_with or {}),
    }
    folder = ledger_folder(output)
    work = Work(segment, _row_maker(categories, options), options.workers)
    with locked(folder):
        ledger = None if restart else Ledger.go_on(folder, everything)
        ledger = ledger or Ledger.start(folder, list_targets(targets), everything)
        stopped = _do_pending(ledger, work, cluster, progress)
        report = _merge(ledger, categories, output, options, info or {}, stopped=stopped)
        if not stopped:
            ledger.remove()
    return report


def ledger_folder(output: Path) -> Path:
    """Where an unfinished batch keeps what is done."""
    return output.with_name(f"{output.name}.unfinished")


def require_writable(output: Path) -> None:
    """Raise the OSError of writing ``output`` now rather than after the work."""
    if output.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(output))
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=output.parent):
        pass


def _row_maker(
    categories: Sequence[Category], options: BatchOptions
) -> Callable[[Segmentation | str], Entry]:
    """Make the function that turns what was found, or the problem, into an entry of the ledger."""
    numbers = {category.id: number for number, category in enumerate(categories, start=1)}
    encoding: Encoding = options.preset.encoding if options.output_type == "instances" else "rle"

    def numbered(instance: Instance) -> CocoAnnotation:
        category_id, track_id = instance.category_id, None
        if options.category_of is not None:
            category_id, track_id = options.category_of[category_id], category_id
        # Image and annotation are numbered when all is merged.
        return CocoAnnotation(0, 0, numbers[category_id], instance.rle, instance.score, track_id)

    def entry(found: Segmentation | str) -> Entry:
        if isinstance(found, str):
            return {"problem": found}
        shown = [numbered(instance) for instance in found.instances if rle_area(instance.rle)]
        empty = len(found.instances) - len(shown) + len(found.emptied)
        made: Entry = {
            "size_hw": found.size_hw,
            "rows": [coco.annotation_row(one, one.category_id, encoding) for one in shown],
            "empty_masks": empty,
        }
        if options.results is not None:
            made["results"] = [coco.result_row(one, one.category_id) for one in shown]
        return made

    return entry


def _do_pending(
    ledger: Ledger,
    work: Work,
    cluster: Cluster | None,
    progress: Callable[[int, int], None] | None,
) -> bool:
    """Do what is not done, here or on a cluster; return whether Ctrl-C ended it."""

    def tell() -> None:
        if progress is not None:
            progress(ledger.done, ledger.total)

    tell()
    pending, left = ledger.pending(), ledger.total - ledger.done
    with closing(ledger):
        try:
            for entry in cluster(work, pending, left) if cluster else work(pending):
                ledger.add(entry)
                tell()
        except KeyboardInterrupt:
            return True
    return False


@dataclass
class _Tally:
    """What is counted while the rows go by."""

    taken: set[str] = field(default_factory=set)
    renamed: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    images: int = 0
    empty: int = 0
    annotations: int = 0
    empty_masks: int = 0
    split: int = 0
    hidden: int = 0

    @property
    def dropped(self) -> tuple[str, ...]:
        """In words what was found and is not written."""
        found = self.annotations + self.empty_masks
        line = f"Not written: {self.empty_masks} of {found} instances, whose masks have no pixel."
        return (line,) if self.empty_masks else ()

    @property
    def changed(self) -> tuple[str, ...]:
        """In words what is not read as it was found."""
        line = f"Changed: {self.split} instances have several parts, and each becomes a region."
        return (line,) if self.split else ()

    @property
    def covered(self) -> tuple[str, ...]:
        """In words what flat maps do not show."""
        line = f"{self.hidden} instances are not shown: better ones cover them."
        return (line,) if self.hidden else ()


def _merge(
    ledger: Ledger,
    categories: Sequence[Category],
    output: Path,
    options: BatchOptions,
    info: Mapping[str, Scalar],
    *,
    stopped: bool,
) -> BatchReport:
    """Write the COCO file over all that is done."""
    export = coco.build([], categories, [], info=info)
    tally = _Tally()
    images = _image_rows(ledger, tally)
    if all("problem" in result for _, result in ledger.results()):
        tally.problems = [result["problem"] for _, result in ledger.results()]
        written = None
    elif options.output_type == "instances":
        rows = _annotation_rows(ledger, options.preset, tally)
        written = coco.write_streamed(export.document, images, rows, output)
        names = [row["name"] for row in export.document["categories"]]
        options.preset.write_extras(output.parent, names)
        if options.results is not None:
            coco.write_results(_result_rows(ledger), options.results)
    else:
        document = {**export.document, "images": list(images)}
        stuff = {number for number, c in enumerate(categories, start=1) if not c.is_thing}
        write_maps(options.output_type, document, _maps(ledger, stuff, tally), output)
        written = output
    return BatchReport(
        output=written,
        total=ledger.total,
        images=tally.images,
        empty_images=tally.empty,
        annotations=tally.annotations,
        problems=tuple(tally.problems),
        dropped=tally.dropped,
        changed=tally.changed,
        notes=(*tally.covered, *_renumbered(categories), *export.renamed, *tally.renamed),
        stopped=stopped,
    )


def _image_rows(ledger: Ledger, tally: _Tally) -> Iterator[dict[str, Any]]:
    common = ledger.common_folder.rstrip("/") + "/"
    for target, result in ledger.results():
        if "problem" in result:
            tally.problems.append(result["problem"])
            continue
        tally.images += 1
        tally.empty += not result["rows"]
        tally.empty_masks += result["empty_masks"]
        name = coco.distinct_file_name(
            tally.images, target.place.removeprefix(common), tally.taken, tally.renamed
        )
        height, width = result["size_hw"]
        yield {"id": tally.images, "file_name": name, "width": width, "height": height}


def _done(ledger: Ledger) -> Iterator[tuple[int, Entry]]:
    """The entries of the images in the file, with the ids that these have there."""
    return enumerate((entry for _, entry in ledger.results() if "problem" not in entry), start=1)


def _annotation_rows(ledger: Ledger, preset: Preset, tally: _Tally) -> Iterator[dict[str, Any]]:
    for image_id, entry in _done(ledger):
        for row in entry["rows"]:
            tally.annotations += 1
            tally.split += preset.splits(row)
            yield preset.fitted(row) | {"id": tally.annotations, "image_id": image_id}


def _result_rows(ledger: Ledger) -> Iterator[dict[str, Any]]:
    for image_id, entry in _done(ledger):
        for row in entry["results"]:
            yield row | {"image_id": image_id}


def _maps(ledger: Ledger, stuff: Collection[int], tally: _Tally) -> Iterator[FlatMap]:
    for _, entry in _done(ledger):
        height, width = entry["size_hw"]
        instances = tuple(_instance(row) for row in entry["rows"])
        own = {instance.category_id: instance.category_id for instance in instances}
        flat = lay_flat(Segmentation((height, width), instances), own, stuff)
        tally.hidden += flat.hidden
        tally.annotations += len(instances) - flat.hidden
        yield flat


def _instance(row: Mapping[str, Any]) -> Instance:
    rle = row["segmentation"]
    return Instance(row["category_id"], row["score"], rle, rle_box_xyxy(rle), row["area"])


def _renumbered(categories: Sequence[Category]) -> list[str]:
    return [
        f"Category '{category.name}' has the id {number} in the result (it was {category.id})."
        for number, category in enumerate(categories, start=1)
        if category.id != number
    ]
