"""Official DINOv checkpoints: their state-dict names to ours. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from dinov.errors import CheckpointMismatch

UNUSED_KEYS = {
    "sem_seg_head.predictor.class_embed_part": "a projection that neither task ever reads",
}
"""Official names that are dropped on purpose, with the reason."""

_ALIASES = (
    (r"sem_seg_head\.predictor\.(?:decoder\.)?bbox_embed\.\d+\.", "decoder.bbox_embed."),
    (r"sem_seg_head\.predictor\.(?:decoder\.norm|decoder_norm)\.", "decoder.norm."),
    (r"sem_seg_head\.predictor\._bbox_embed\.", "decoder.bbox_embed."),
)
_MOVES = (
    (r"sem_seg_head\.pixel_decoder\.transformer\.encoder\.", "pixel_decoder."),
    (r"sem_seg_head\.pixel_decoder\.transformer\.", "pixel_decoder."),
    (r"sem_seg_head\.pixel_decoder\.", "pixel_decoder."),
    (
        r"sem_seg_head\.predictor\.project_cross_attention_layers\.(\d+)\.multihead_attn\.",
        r"prompt_encoder.layers.\1.attention.",
    ),
    (r"sem_seg_head\.predictor\.project_cross_attention_layers\.", "prompt_encoder.layers."),
    (r"sem_seg_head\.predictor\.(content_tokens|pos_embed)\.", r"prompt_encoder.\1."),
    (
        r"sem_seg_head\.predictor\.(query_feat|query_embed|mask_tokens|label_enc|pb_embedding)\.",
        r"queries.\1.",
    ),
    (r"sem_seg_head\.predictor\.decoder\.", "decoder."),
    (r"sem_seg_head\.predictor\.", "heads."),
)


def our_name(official: str) -> str:
    """Our parameter name of an official one without its "model." prefix; aliases share a name."""
    for pattern, replacement in (*_ALIASES, *_MOVES):
        name, changed = re.subn(f"^{pattern}", replacement, official)
        if changed:
            return name
    return official


def is_official(keys: Mapping[str, object]) -> bool:
    """Do these names (without prefix) follow the official layout?"""
    return any(key.startswith("sem_seg_head.") for key in keys)


def from_official(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename an official state dict to ours.

    Args:
        state_dict: official names, the "model." prefix already removed.

    Returns:
        Our names. Unused tensors are left out, names of one shared tensor become one.

    Raises:
        CheckpointMismatch: if names that stand for one tensor hold different values.
    """
    ours: dict[str, Tensor] = {}
    for key, value in state_dict.items():
        if key in UNUSED_KEYS:
            continue
        name = our_name(key)
        if name in ours and not ours[name].equal(value):
            raise CheckpointMismatch(
                f"The checkpoint is inconsistent: '{key}' differs from another copy of the same "
                "tensor. Download it again: python -m dinov download swin-t"
            )
        ours[name] = value
    return ours
