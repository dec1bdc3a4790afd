"""The options of the commands that run the model. What is not given is as chosen on the page."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import Any

from app.settings import INPUT_SIZES, ModelSettings
from app.store import Store
from dinov.arguments import at_least
from dinov.options import PRECISIONS

_DEFAULT = ModelSettings()


def add_model(command: argparse.ArgumentParser) -> None:
    """Declare the options. They stand in no namespace unless they are given."""
    group = command.add_argument_group(
        "model", "What is not given here is as it was chosen under Settings on the page."
    )

    def add(name: str, text: str, **how: Any) -> None:
        group.add_argument(name, help=text, default=argparse.SUPPRESS, **how)

    first = f"(at first: {_DEFAULT.checkpoint})"
    add("--checkpoint", f"lite, swin-t, swin-l or a file {first}")
    add("--device", f"auto, cpu, mps or a name PyTorch knows (at first: {_DEFAULT.device})")
    add(
        "--precision",
        f"the lower ones are faster where the hardware knows them (at first: {_DEFAULT.precision})",
        choices=PRECISIONS,
    )
    add(
        "--input-size",
        "side in pixels to which images are resized (at first: the checkpoint's own)",
        type=at_least(INPUT_SIZES[0]),
        metavar="PIXELS",
    )
    add(
        "--cache-mb",
        f"memory for images seen before, in MB (at first: {_DEFAULT.cache_mb})",
        type=at_least(0),
        metavar="MB",
    )


def given(chosen: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that the command line names."""
    words = vars(chosen)
    return {one.name: words[one.name] for one in fields(ModelSettings) if one.name in words}


def model_settings(chosen: argparse.Namespace, store: Store) -> ModelSettings:
    """Return the settings in use: the command line's, then those chosen on the page."""
    return ModelSettings.of(store.model_settings(), given(chosen))
