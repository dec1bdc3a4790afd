"""The options of ``python -m dinov segment``: what counts as found, what is written. No torch."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from dinov.arguments import add_mask_encoding, at_least, share
from dinov.batch import BatchOptions
from dinov.coco_presets import PRESETS
from dinov.errors import InvalidOptions, InvalidReferences
from dinov.options import DEFAULT_INSTANCE_OPTIONS, MAX_EXAMPLES, MIN_TILE, InstanceOptions
from dinov.types import Category


@dataclass(frozen=True)
class ScoreThresholds:
    """Lowest scores to report: in general (None: the checkpoint's own), and by category name."""

    general: float | None
    by_name: Mapping[str, float]

    @classmethod
    def of(cls, given: Sequence[tuple[str | None, float]]) -> ScoreThresholds:
        """Gather what stood on the command line; the last word counts."""
        general = [value for name, value in given if name is None]
        by_name = {name: value for name, value in given if name is not None}
        return cls(general[-1] if general else None, by_name)

    def check(self, categories: Sequence[Category]) -> None:
        """Make sure that all names are known.

        Raises:
            InvalidReferences: if one is not.
        """
        known = [category.name for category in categories]
        for name in self.by_name:
            if name not in known:
                raise InvalidReferences(
                    f"There is no category '{name}' to give a score threshold to. There are: "
                    f"{', '.join(known)}."
                )

    def by_id(self, categories: Sequence[Category]) -> dict[int, float]:
        """The thresholds of those categories that have one of their own."""
        return {c.id: self.by_name[c.name] for c in categories if c.name in self.by_name}

    def __str__(self) -> str:
        return ", ".join(f"{name}={value:g}" for name, value in self.by_name.items())


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare where and how the result is written."""
    add = parser.add_argument
    add(
        "--output",
        type=Path,
        required=True,
        metavar="OUT.json",
        help="the result, COCO instances JSON",
    )
    add(
        "--output-type",
        choices=["instances", "semantic", "panoptic"],
        default="instances",
        help="instances; or flat PNGs in a folder called like OUT, the better instance on top: "
        "category ids (semantic), or COCO panoptic (default: instances)",
    )
    add_mask_encoding(parser)
    add(
        "--format",
        choices=PRESETS,
        default="coco",
        help="COCO as this reader takes it (default: coco, which most do)",
    )
    add(
        "--results",
        type=Path,
        metavar="FILE",
        help="also write a COCO results file with the same ids, for evaluation tools",
    )


def add_found_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare thresholds, overlaps and tidying."""
    add, default = parser.add_argument, DEFAULT_INSTANCE_OPTIONS
    add(
        "--score-threshold",
        type=_threshold,
        nargs="+",
        default=[],
        metavar="X",
        help="lowest score to report, 0 to 1; NAME=X for one category (default: the checkpoint's; "
        "for refer 0, the best candidate whatever its score)",
    )
    # In the refer task an object is found at most once: there is nothing to tell apart.
    add = parser.add_argument_group("what counts as found in the generic task").add_argument
    add(
        "--nms-threshold",
        type=share,
        default=default.nms_threshold,
        metavar="X",
        help="of two masks with a larger IoU the better one stays (default: %(default)s)",
    )
    add(
        "--containment-threshold",
        type=share,
        default=default.containment_threshold,
        metavar="X",
        help="of masks of a category that lie by more than this in each other, either the whole or "
        "its parts stay; 1 keeps all (default: %(default)s)",
    )
    add(
        "--speck-share",
        type=share,
        default=default.speck_share,
        metavar="X",
        help="parts and holes below this share of a mask are removed; 0 keeps all (default: "
        "%(default)s)",
    )
    add(
        "--max-instances",
        type=at_least(1),
        default=default.max_instances,
        metavar="N",
        help="at most so many per target, the best ones (default: %(default)s)",
    )
    add(
        "--max-examples",
        type=at_least(1),
        default=MAX_EXAMPLES,
        metavar="N",
        help="of a category with more prompts, so many are drawn (default: %(default)s)",
    )
    add("--seed", type=at_least(0), default=0, help="of that draw (default: %(default)s)")
    add(
        "--tile",
        type=_tile,
        metavar="N",
        help="for large images: look for small objects in overlapping squares of N pixels, too; "
        "auto chooses N for each image",
    )


def instance_options(arguments: argparse.Namespace) -> InstanceOptions:
    """What the arguments say."""
    return InstanceOptions(
        nms_threshold=arguments.nms_threshold,
        containment_threshold=arguments.containment_threshold,
        speck_share=arguments.speck_share,
        max_instances=arguments.max_instances,
    )


def output_options(arguments: argparse.Namespace) -> BatchOptions:
    """How the result is to be written.

    Raises:
        InvalidOptions: if that cannot be.
    """
    preset = PRESETS[arguments.format]
    if arguments.mask_encoding != "auto":
        if arguments.format != "coco":
            raise InvalidOptions(
                f"The format {arguments.format} has its own way to write masks. Leave out "
                "--mask-encoding, or choose the format coco."
            )
        preset = replace(preset, encoding=arguments.mask_encoding)
    if arguments.output_type != "instances" and (arguments.results or arguments.format != "coco"):
        raise InvalidOptions(
            f"--format and --results are for instances. Leave them out with --output-type "
            f"{arguments.output_type}."
        )
    if arguments.output_type != "instances" and not arguments.output.suffix:
        raise InvalidOptions(
            f"The PNGs go into a folder called like the JSON file without its suffix, and "
            f"{arguments.output} has none. Call it {arguments.output}.json."
        )
    return BatchOptions(arguments.output_type, preset, arguments.results, workers=arguments.workers)


def _tile(text: str) -> int | Literal["auto"]:
    return "auto" if text == "auto" else at_least(MIN_TILE)(text)


def _threshold(text: str) -> tuple[str | None, float]:
    name, separator, value = text.rpartition("=")
    return (name if separator else None), share(value)
