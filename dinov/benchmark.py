"""How long a user waits, and how much memory it takes: ``python -m dinov benchmark``."""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch

from dinov.arguments import at_least
from dinov.checkpoints import load_model
from dinov.compiling import compile_layers
from dinov.config import VARIANTS
from dinov.device import (
    DEVICE_HELP,
    describe_device,
    device_peak_bytes,
    lower_weights,
    resolve_device,
    resolve_precision,
)
from dinov.images import ImageTransform, read_rgb
from dinov.masks import rasterise
from dinov.model.build import build_model
from dinov.model.dinov import DINOv
from dinov.options import COMPILE_HELP, PRECISION_HELP, PRECISIONS
from dinov.plain import plain_model
from dinov.predictor import Predictor
from dinov.stages import Way, Workload, compare_stages, measure_stages
from dinov.types import Image, Prompt, PromptType, Reference

PLAIN = (
    "the published maths written plainly, in float32: all samples by grid_sample, attention as "
    "whole matrices, all masks, and everything decoded again for a changed prompt"
)
"""What ``--compare grid_sample`` compares with: the module ``plain``."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("--checkpoint", default="lite", help="lite, swin-t, swin-l or a file")
    parser.add_argument(
        "--variant",
        choices=sorted(VARIANTS),
        help="measure this architecture with random weights, no checkpoint needed",
    )
    parser.add_argument("--image", type=Path, help="photo to use; a synthetic one by default")
    parser.add_argument("--input-size", type=int, help="side in pixels; the checkpoint's own")
    parser.add_argument("--device", default="auto", help=DEVICE_HELP)
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help=PRECISION_HELP)
    parser.add_argument("--compile", action="store_true", help=COMPILE_HELP)
    parser.add_argument("--stages", action="store_true", help="time the model stage by stage")
    parser.add_argument(
        "--compare",
        choices=["grid_sample"],
        help=f"with the stages: how many times faster they are than {PLAIN}",
    )
    parser.add_argument(
        "--batch-size",
        type=at_least(1),
        metavar="N",
        help="so many targets together (default: 4 with the stages, else what suits the device)",
    )
    parser.add_argument(
        "--targets", type=int, metavar="N", help="the memory of so many targets that are kept"
    )
    parser.add_argument("--runs", type=int, default=5, help="the median of so many is reported")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    """Measure, and print the report."""
    image = synthetic_photo() if args.image is None else read_rgb(args.image)
    if args.targets is not None:
        report, table = measure_kept(_predictor(args), image, args.targets), kept_table
    elif args.stages or args.compare:
        report, table = stage_report(args, image), stage_table
    else:
        report, table = measure(_predictor(args), image, runs=args.runs), as_table
    sys.stdout.write(json.dumps(report, indent=2) if args.json else table(report))
    sys.stdout.write("\n")
    return 0


def measure(predictor: Predictor, image: Image, *, runs: int = 5) -> dict[str, Any]:
    """Time what an annotator does, on new and on seen images.

    Args:
        predictor: the model to measure; its cache is used as it is.
        image: [H, W, 3] uint8; each run changes a pixel of it, to make an image never seen.
        runs: how often each step is repeated, after one run to warm up.

    Returns:
        What was measured: seconds are medians, ``peak_mib`` is of the whole process.
    """
    steps: dict[str, list[float]] = {"first_reference": [], "first_target": [], "new_prompt": []}
    together, size = list[float](), predictor.batch_size
    found = 0
    for i in range(runs + 1):
        reference, target, *batch = (_unseen(image, (2 + size) * i + j) for j in range(2 + size))
        changed = _marked(reference, i + 1)
        encode, bank = _timed(predictor.embed_references, [_marked(reference, 0)])
        first, result = _timed(predictor.segment, target, bank)
        embed, other_bank = _timed(predictor.embed_references, [changed])
        decode, _ = _timed(predictor.segment, target, other_bank)
        many, _ = _timed(predictor.segment_many, batch, bank) if size > 1 else (size * first, [])
        if i > 0:  # the first run warms up
            for name, value in zip(steps, (encode, first, embed + decode), strict=True):
                steps[name].append(value)
            found = len(result)
            together.append(many / size)
    medians = {name: round(statistics.median(values), 4) for name, values in steps.items()}
    return {
        "variant": predictor.variant,
        "device": predictor.device_name,
        "threads": torch.get_num_threads(),
        "input_size": predictor.input_size,
        "image_hw": list(image.shape[:2]),
        "runs": runs,
        "seconds": medians,
        "targets_per_second": round(1 / statistics.median(together), 2),
        "batch_size": size,
        "instances_in_last_target": found,
        "peak_mib": _peak_mib(predictor.device),
    }


def measure_kept(predictor: Predictor, image: Image, targets: int) -> dict[str, Any]:
    """Segment many targets never seen, one after the other, and see what is kept of them.

    Returns:
        How many of them are still known, the memory that the cache counts for them, and how much
        the most memory of the whole process grew by them.
    """
    bank = predictor.embed_references([_marked(image, 0)])
    predictor.segment(image, bank)
    kept, counted, before = predictor.kept_images, predictor.kept_bytes, _peak_mib(predictor.device)
    for number in range(targets):
        predictor.segment(_unseen(image, 1 + number), bank)
    return {
        "variant": predictor.variant,
        "device": predictor.device_name,
        "input_size": predictor.input_size,
        "targets": targets,
        "targets_kept": predictor.kept_images - kept,
        "kept_mib": round((predictor.kept_bytes - counted) / 2**20, 1),
        "peak_growth_mib": _peak_mib(predictor.device) - before,
        "peak_mib": _peak_mib(predictor.device),
    }


def kept_table(report: dict[str, Any]) -> str:
    """The report on what is kept, for people."""
    return "\n".join(
        [
            f"{report['variant']} on {report['device']}, input size {report['input_size']}",
            f"  kept of {report['targets']} targets    {report['targets_kept']:8d}",
            f"  memory that the cache counts{report['kept_mib']:10.1f} MiB",
            f"  growth of the peak memory   {report['peak_growth_mib']:10d} MiB",
            f"  peak memory                 {report['peak_mib']:10d} MiB",
        ]
    )


def stage_report(args: argparse.Namespace, image: Image) -> dict[str, Any]:
    """Time the model alone, stage by stage, on one image.

    Memory is read before anything is compared, since the plain implementation takes more.
    """
    device, dtype = resolve_device(args.device), resolve_precision(args.precision)
    model, variant = _model(args)
    config = VARIANTS[variant]
    size_hw = (image.shape[0], image.shape[1])
    transform = ImageTransform.fit(
        size_hw, args.input_size or config.input_size, resize=config.resize
    )
    mask = transform.apply_mask(rasterise(_marked(image, 0).prompts[0], size_hw))
    pixels = torch.from_numpy(transform.apply_image(image))[None]
    work = Workload(pixels.to(device), torch.from_numpy(mask)[None].to(device), transform)
    model = model.to(device).eval()
    lower_weights(model, dtype)
    if args.compile:
        compile_layers(model, device)
    way = Way(model, device, dtype)
    batch_size = args.batch_size or 4
    seconds, costs = measure_stages(way, work, runs=args.runs, batch_size=batch_size)
    encode = seconds["backbone"] + seconds["pixel_decoder"]
    report = {
        "variant": variant,
        "device": describe_device(device),
        "precision": args.precision,
        "compiled": args.compile,
        "threads": torch.get_num_threads(),
        "padded_hw": list(transform.padded_hw),
        "runs": args.runs,
        "peak_mib": _peak_mib(device),
        "seconds": {name: round(value, 4) for name, value in seconds.items()},
        "changed_prompt_share": round(
            seconds["changed_prompt"] / (encode + seconds["generic_decode"]), 4
        ),
        "cost_seconds": {name: round(value, 5) for name, value in costs.items()},
        "images_per_second_in_a_batch": round(1 / costs["one_more_target_in_a_batch"], 2),
        "batch_size": batch_size,
    }
    if args.compare:
        exact = plain_model(_model(args)[0].to(device).eval())
        ratios = compare_stages(way, Way(exact, device, plain=True), work, runs=args.runs)
        report["compared_with"] = PLAIN
        report["times_faster"] = {name: round(value, 2) for name, value in ratios.items()}
    return report


def stage_table(report: dict[str, Any]) -> str:
    """The stage report for people."""
    height, width = report["padded_hw"]
    faster = report.get("times_faster", {})
    compiled = ", compiled" if report["compiled"] else ""
    lines = [
        f"{report['variant']} on {report['device']} in {report['precision']}{compiled}, "
        f"{report['threads']} threads, input {width}x{height}, median of {report['runs']} runs"
    ]
    for name, seconds in report["seconds"].items():
        ratio = f"{faster[name]:8.2f} x" if name in faster else ""
        lines.append(f"  {name.replace('_', ' '):28}{seconds:10.4f} s{ratio}")
    for name, seconds in report["cost_seconds"].items():
        lines.append(f"  {name.replace('_', ' '):28}{seconds:10.4f} s")
    if faster:
        lines.append(f"  encoding (backbone and pixel decoder){faster['encode']:20.2f} x")
        lines.append(f"  x: times as fast as {report['compared_with']}")
    lines.append(f"  peak memory {report['peak_mib']} MiB")
    return "\n".join(lines)


def as_table(report: dict[str, Any]) -> str:
    """The report for people."""
    seconds = report["seconds"]
    height, width = report["image_hw"]
    return "\n".join(
        [
            f"{report['variant']} on {report['device']}, {report['threads']} threads, input size "
            f"{report['input_size']}, photo {width}x{height}, median of {report['runs']} runs",
            f"  new reference, one prompt      {seconds['first_reference']:8.3f} s",
            f"  Segment on a new target        {seconds['first_target']:8.3f} s",
            f"  changed prompt, seen images    {seconds['new_prompt']:8.3f} s",
            f"  throughput on new targets      {report['targets_per_second']:8.2f} images/s, "
            f"{report['batch_size']} at a time",
            f"  peak memory                    {report['peak_mib']:8d} MiB",
        ]
    )


def synthetic_photo(height: int = 480, width: int = 640) -> Image:
    """[height, width, 3] discs on a gradient with noise: something to find, the same every time."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    image = np.stack([x * 160 / width, y * 160 / height, (x + y) * 160 / (height + width)], axis=-1)
    for row in range(3):
        for column in range(4):
            center_y, center_x = (row + 0.5) * height / 3, (column + 0.5) * width / 4
            disc = (y - center_y) ** 2 + (x - center_x) ** 2 < (height / 9) ** 2
            image[disc] = (230, 90 + 20 * row, 40 + 15 * column)
    noisy = image + random.normal(0, 6, image.shape)
    return noisy.clip(0, 255).astype(np.uint8)


def _model(args: argparse.Namespace) -> tuple[DINOv, str]:
    if args.variant is None:
        loaded = load_model(args.checkpoint)
        return loaded.model, loaded.variant
    torch.manual_seed(0)
    return build_model(VARIANTS[args.variant]), args.variant


def _predictor(args: argparse.Namespace) -> Predictor:
    if args.variant is None:
        return Predictor.from_checkpoint(
            args.checkpoint,
            device=args.device,
            precision=args.precision,
            input_size=args.input_size,
            batch_size=args.batch_size,
            compile=args.compile,
        )
    return Predictor(
        _model(args)[0],
        variant=args.variant,
        checkpoint_hash="random",
        device=args.device,
        precision=args.precision,
        input_size=args.input_size,
        batch_size=args.batch_size,
        compile=args.compile,
    )


def _peak_mib(device: torch.device) -> int:
    """Most memory so far: of the GPU if it has its own, or else of the process."""
    on_device = device_peak_bytes(device)
    if on_device is not None:
        return round(on_device / 2**20)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def _unseen(image: Image, number: int) -> Image:
    changed = image.copy()
    changed[0, 0] = (number % 256, number // 256 % 256, 0)
    return changed


def _marked(image: Image, step: int) -> Reference:
    height, width = image.shape[:2]
    center_x, center_y = width * (0.5 + 0.01 * (step % 10)), height / 2
    corners = (
        center_x - width / 8,
        center_y - height / 8,
        center_x + width / 8,
        center_y + height / 8,
    )
    return Reference(image, [Prompt(1, PromptType.BOX, corners)])


def _timed(action: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> tuple[float, _T]:
    start = time.perf_counter()
    result = action(*args, **kwargs)
    return time.perf_counter() - start, result
