"""``python -m dinov track``."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from dinov import coco
from dinov.arguments import LOSS, add_allow_loss, add_mask_encoding, at_least, share
from dinov.device import DEVICE_HELP
from dinov.errors import DinovError, InvalidReferences, InvalidVideo
from dinov.frames import FrameFolder, FrameSource, VideoFile, backward, decoded_ahead
from dinov.options import COMPILE_HELP, LIKENESS_HELP, PRECISION_HELP, PRECISIONS
from dinov.predictor import Predictor
from dinov.refer import VIDEO_OPTIONS
from dinov.references import read_marks
from dinov.track_files import MAX_TRACK_ID, TrackedFrame, video_document, write_mask_png
from dinov.tracker import (
    MAX_RECENT,
    TrackerState,
    VideoTracker,
    first_marks,
    without_overlaps,
)
from dinov.types import Category, Prompt, Segmentation

_log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    add = parser.add_argument
    add(
        "--references",
        type=Path,
        required=True,
        metavar="REF.json",
        help="COCO instances JSON whose annotations are the prompts; annotations with the same "
        "track_id mark the same object. An image in it stands for a frame: the one of its "
        "file_name in the folder; in a video file that of its frame_index, or else of the number "
        "at the end of its file_name (from 0)",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--video", type=Path, metavar="FILE", help="a video file")
    source.add_argument(
        "--frames", type=Path, metavar="DIR", help="a folder of frames, in the order of their names"
    )
    add(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="where masks/*.png (the value of a pixel is its object's track_id) and tracks.json "
        "(COCO) are written",
    )
    _add_settings(parser)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--checkpoint", default="lite", metavar="NAME|FILE", help="name or file (default: lite)")
    add(
        "--score-threshold",
        type=share,
        default=0.0,
        metavar="X",
        help="an object that scores lower is not on the frame, 0 to 1 (default: 0)",
    )
    add("--likeness-threshold", type=float, metavar="X", help=LIKENESS_HELP)
    add(
        "--memory-threshold",
        type=float,
        metavar="X",
        help="a found mask that is less like its object's marks, -1 to 1, does not serve as a "
        "prompt for later frames (default: half-way from the likeness threshold to 1)",
    )
    add(
        "--memory",
        type=at_least(0),
        default=MAX_RECENT,
        metavar="N",
        help="how many found masks serve so, beside the marks (default: %(default)s)",
    )
    add(
        "--backward",
        action="store_true",
        help="look for each object on the frames before its first mark, too, the last of them "
        "first",
    )
    add_mask_encoding(parser)
    add(
        "--grid",
        type=at_least(1),
        default=VIDEO_OPTIONS.grid,
        metavar="N",
        help="masks are proposed at N x N points (default: %(default)s)",
    )
    add("--input-size", type=int, metavar="N", help="side in pixels (default: the checkpoint's)")
    add_allow_loss(parser)
    add("--device", default="auto", help=DEVICE_HELP)
    add("--precision", choices=PRECISIONS, default="float32", help=PRECISION_HELP)
    add("--compile", action="store_true", help=COMPILE_HELP)


def run(args: argparse.Namespace) -> int:
    """Track; returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    # Whatever can be wrong with the input is told before the model is loaded.
    frames: FrameSource = VideoFile(args.video) if args.video else FrameFolder(args.frames)
    if args.frames and args.output.resolve().is_relative_to(args.frames.resolve()):
        raise InvalidVideo(
            f"{args.output} lies inside {args.frames}: its masks would be taken for frames the "
            "next time. Choose another --output."
        )
    references = read_marks(args.references)
    objects, category_of = references.objects_apart()
    if max(category_of) > MAX_TRACK_ID:
        raise InvalidReferences(
            f"{args.references} has an object numbered {max(category_of)}; the masks can hold 1 to "
            f"{MAX_TRACK_ID}. Change its track_id."
        )
    marks = objects.on_frames(frames)
    args.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=args.output):  # raises the OSError of writing there
        pass
    for note in references.notes:
        _log.info(note)

    predictor = Predictor.from_checkpoint(
        args.checkpoint,
        device=args.device,
        precision=args.precision,
        input_size=args.input_size,
        likeness_threshold=args.likeness_threshold,
        compile=args.compile,
    )
    tracker = VideoTracker(
        predictor,
        options=replace(VIDEO_OPTIONS, grid=args.grid),
        score_threshold=args.score_threshold,
        memory_threshold=args.memory_threshold,
        max_recent=args.memory,
    )
    done: dict[int, TrackedFrame] = {}
    problems: list[str] = []
    dropped: tuple[str, ...] = ()
    try:
        state = TrackerState()
        for after, frame in _track_all(frames, marks, tracker, problems):
            write_mask_png(frame, args.output / "masks")
            done[frame.index], state = frame, after
        if args.backward and done:
            for frame in _track_back(frames, marks, tracker, state, done, problems):
                write_mask_png(frame, args.output / "masks")
                done[frame.index] = frame
    finally:  # what is done is kept, also after Ctrl-C
        if done:
            tracked = list(done.values())
            dropped = _write_tracks(
                args, frames.name, tracked, references.categories, category_of, predictor
            )
        for problem in problems:
            _log.error("dinov: %s", problem)
    if problems:
        return 1
    return LOSS if dropped and not args.allow_loss else 0


def _track_all(
    frames: FrameSource,
    marks: Mapping[int, Sequence[Prompt]],
    tracker: VideoTracker,
    problems: list[str],
) -> Iterator[tuple[TrackerState, TrackedFrame]]:
    """Track frame after frame; one that cannot be used is noted and left out.

    Yields what the tracker knows after each frame, and the frame.
    """
    state = TrackerState()
    index = -1
    bar = tqdm(decoded_ahead(frames), total=len(frames) or None, unit="frame", disable=None)
    for frame in bar:
        index = frame.index
        try:
            state, objects = tracker.step(state, frame.load(), marks.get(index, ()))
        except DinovError as error:
            problems.append(str(error))
            continue
        except (MemoryError, RuntimeError) as error:  # too little memory is either of them
            problems.append(f"Stopped at frame {frame.name}: {_reason(error)}")
            return
        yield state, TrackedFrame(index, frame.name, objects)
    if index + 1 < len(frames):  # of many a good video the header promises a little more
        _log.warning(
            "%s says that it has %d frames, and %d could be read. If some are missing, the file is "
            "damaged: copy it again.",
            frames.name,
            len(frames),
            index + 1,
        )
    problems += [
        f"Frame {i} was never reached: its marks are not used." for i in marks if i > index
    ]


def _track_back(
    frames: FrameSource,
    marks: Mapping[int, Sequence[Prompt]],
    tracker: VideoTracker,
    state: TrackerState,
    done: Mapping[int, TrackedFrame],
    problems: list[str],
) -> Iterator[TrackedFrame]:
    """Add to the frames that are done what is marked on a later one only, the last frame first."""
    first = first_marks(marks)
    last, size_hw = max(first.values()), next(iter(done.values())).objects.size_hw
    pictures = (
        (frame.index, frame.load())
        for frame in backward(frames, last - 1, size_hw)
        if frame.index in done
    )
    try:
        for index, found in tracker.track_back(
            state, tqdm(pictures, total=last, desc="backward", unit="frame", disable=None), first
        ):
            frame = done[index]
            both = (*frame.objects.instances, *found.instances)
            yield replace(frame, objects=without_overlaps(Segmentation(found.size_hw, both)))
    except (MemoryError, RuntimeError) as error:
        problems.append(f"Stopped on the way back: {_reason(error)}")


def _reason(error: BaseException) -> str:
    return (str(error).splitlines() or ["too little memory"])[0]


def _write_tracks(
    args: argparse.Namespace,
    video_name: str,
    done: Sequence[TrackedFrame],
    categories: Sequence[Category],
    category_of: Mapping[int, int],
    predictor: Predictor,
) -> tuple[str, ...]:
    """Write the COCO file; return in words what is not in it."""
    info: dict[str, coco.Scalar] = {
        "checkpoint": predictor.variant,
        "checkpoint_sha256": predictor.checkpoint_hash,
        "input_size": predictor.input_size,
        "score_threshold": args.score_threshold,
        "likeness_threshold": predictor.likeness_threshold,
        "task": "refer",
    }
    export = video_document(
        video_name,
        done,
        sorted(categories, key=lambda category: category.id),
        category_of,
        info=info,
        encoding=args.mask_encoding,
    )
    coco.write(export.document, args.output / "tracks.json")
    for line in (*(f"Not written: {line}" for line in export.dropped), *export.renamed):
        _log.info(line)
    for number in category_of:
        seen = sum(number in {i.category_id for i in f.objects.instances} for f in done)
        _log.info("Object %d is on %d of %d frames.", number, seen, len(done))
    _log.info("Written: %s, %s", args.output / "tracks.json", args.output / "masks")
    return export.dropped
