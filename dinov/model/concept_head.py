"""A second opinion on the generic task: one map per concept, from the backbone's own maps.

Not part of the paper's model. The decoder compares embeddings of whole proposals; this head
compares the prompt with every position of the target, in several layers of the backbone at once.
Its maps say where a concept is, the decoder's proposals say what is one object; a proposal's score
is made of both (see ``concept_maps.agreed_logits``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

OUTPUT_STRIDE = 8
_NOTHING = 1e-8
"""Share of a position that a prompt does not touch: hardly chosen beside one that it touches."""
_UNLIKELY = -2.0
"""Initial logit of the maps: most of a photo is something else."""
_DILATIONS = (1, 2, 1)


class ConceptHead(nn.Module):
    """Prompts become vectors of fixed length, and those become maps of a target.

    From each coarse layer, ``slots`` learned queries gather what lies under the prompt, and one
    vector gathers what lies around it. A target's positions are compared with all of them;
    convolutions that the vectors modulate turn the comparisons into one map. The vector of a
    category is the mean of those of its prompts, as that of the embeddings. Means and norms are
    those of whole maps, which therefore are squares with an empty rest, as they are in training.

    Args:
        fine: channels of the layers of stride 8, which only lend detail.
        coarse: channels of the layers of stride 16 and 32, which are compared.
        slots: queries per layer.
        slot_dim: length of what each of them gathers.
        width: channels of the convolutions at stride 16.
        fine_width: and of those at stride 8.
    """

    def __init__(
        self,
        *,
        fine: Sequence[int],
        coarse: Sequence[int],
        slots: int = 4,
        slot_dim: int = 24,
        width: int = 96,
        fine_width: int = 64,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_Comparison(c, slots, slot_dim) for c in coarse)
        self.layer_dim = (slots + 1) * slot_dim
        self.dim = len(coarse) * self.layer_dim
        self.appearance = nn.ModuleList(nn.Conv2d(c, fine_width, 1) for c in coarse)
        self.detail = nn.ModuleList(nn.Conv2d(c, fine_width // 2, 1) for c in fine)
        compared = len(coarse) * (self.layer_dim + slots + 1)
        self.join = _ConvStep(compared + fine_width, width, kernel_size=1)
        self.modulation = nn.Sequential(
            nn.Linear(self.dim, fine_width),
            nn.ReLU(),
            nn.Linear(fine_width, 2 * width * len(_DILATIONS)),
        )
        self.coarse_steps = nn.ModuleList(_ConvStep(width, width, dilation=d) for d in _DILATIONS)
        self.whole = nn.Linear(2 * width, width)
        self.enlarge = nn.Conv2d(width, fine_width, 1)
        self.refine = nn.Conv2d(fine_width + len(fine) * (fine_width // 2), fine_width, 1)
        self.fine_steps = nn.ModuleList(_ConvStep(fine_width, fine_width) for _ in range(2))
        self.out = nn.Conv2d(fine_width, 1, 1)
        for parameter in self.modulation[2].parameters():
            nn.init.zeros_(parameter)
        nn.init.constant_(self.out.bias, _UNLIKELY)  # type: ignore[arg-type]

    def encode_prompts(
        self, maps: Sequence[Tensor], prompt_masks: Tensor, image_index: Tensor | None = None
    ) -> Tensor:
        """Gather what lies under and around prompts.

        Args:
            maps: [B, C, H / stride, W / stride] of the references, fine ones first.
            prompt_masks: [P, H, W] in the padded input frame, bool or shares in 0–1, of any
                resolution. An all-false mask stands for everything.
            image_index: [P] int64, the reference each prompt was drawn on; all 0 if left out.

        Returns:
            [P, dim].
        """
        if image_index is None:
            image_index = torch.zeros(len(prompt_masks), dtype=torch.int64, device=maps[0].device)
        masks = prompt_masks.float()
        masks = squared(torch.where(masks.amax((1, 2), keepdim=True) > 0, masks, 1.0))
        coarse = [squared(m) for m in maps[len(self.detail) :]]
        vectors = []
        for layer, features in zip(self.layers, coarse, strict=True):
            assert isinstance(layer, _Comparison)
            shares = F.interpolate(masks[:, None], features.shape[-2:], mode="area")[:, 0]
            vectors.append(layer.gather(features[image_index], shares))
        return torch.cat(vectors, dim=1)

    def forward(self, maps: Sequence[Tensor], concepts: Tensor) -> Tensor:
        """Where each concept is.

        Args:
            maps: [B, C, H / stride, W / stride] of the targets, fine ones first.
            concepts: [K, dim], looked for in all targets, or [B, K, dim], each in its own.

        Returns:
            [B, K, H / 8, W / 8] raw logits.
        """
        height, width = maps[0].shape[-2:]
        maps = [squared(m) for m in maps]
        fine, coarse = maps[: len(self.detail)], maps[len(self.detail) :]
        count = concepts.shape[-2]
        concepts = concepts.expand(len(fine[0]), -1, -1)  # [B, K, dim]
        joint = self._compared(coarse, concepts, fine[0].shape[-1] // 2)
        x = self._modulated(self.join(joint), concepts.flatten(0, 1))
        x = F.interpolate(self.enlarge(x), scale_factor=2, mode="bilinear")
        details = [_repeated(p(m), count) for p, m in zip(self.detail, fine, strict=True)]
        x = self.refine(torch.cat([x, *details], dim=1))
        for step in self.fine_steps:
            x = x + step(x)
        logits: Tensor = self.out(x).unflatten(0, (-1, count))[:, :, 0]
        return logits[..., :height, :width]

    def _compared(self, coarse: Sequence[Tensor], concepts: Tensor, side: int) -> Tensor:
        """All comparisons and what the target looks like: [B * K, ..., side, side]."""
        count = concepts.shape[1]
        vectors = concepts.split(self.layer_dim, dim=2)
        parts = [
            _resized(layer(features, of_layer).flatten(0, 1), side)
            for layer, features, of_layer in zip(self.layers, coarse, vectors, strict=True)
        ]
        looks = [_resized(p(m), side) for p, m in zip(self.appearance, coarse, strict=True)]
        return torch.cat([*parts, _repeated(torch.stack(looks).sum(0), count)], dim=1)

    def _modulated(self, x: Tensor, concepts: Tensor) -> Tensor:
        changes = self.modulation(concepts)[:, :, None, None].chunk(2 * len(_DILATIONS), dim=1)
        for number, step in enumerate(self.coarse_steps):
            x = x * (1 + changes[2 * number]) + changes[2 * number + 1]
            x = x + step(x)
            if number == 0:
                summary = torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=1)
                x = x + self.whole(summary)[:, :, None, None]
        return x


class _Comparison(nn.Module):
    """Compares one layer of targets with what prompts gathered from the same layer."""

    def __init__(self, channels: int, slots: int, slot_dim: int) -> None:
        super().__init__()
        self.slot_dim = slot_dim
        self.norm = nn.LayerNorm(channels)
        self.choose = nn.Linear(channels, slots)
        self.gathered = nn.Linear(channels, slots * slot_dim)
        self.around = nn.Linear(channels, slot_dim)
        self.target = nn.Linear(channels, (slots + 1) * slot_dim)

    def gather(self, features: Tensor, shares: Tensor) -> Tensor:
        """[P, C, h, w] features and [P, h, w] shares of prompts to [P, (slots + 1) * slot_dim]."""
        tokens = self.norm(features.flatten(2).mT)
        under = shares.flatten(1)[:, :, None]
        chance = (self.choose(tokens) + under.clamp(min=_NOTHING).log()).softmax(dim=1)
        values = self.gathered(tokens).unflatten(-1, (-1, self.slot_dim))
        inside = (chance[..., None] * values).sum(1)  # [P, slots, slot_dim]
        rest = 1 - under
        outside = (rest * self.around(tokens)).sum(1, keepdim=True) / (
            rest.sum(1)[..., None] + 1e-6
        )
        return F.normalize(torch.cat([inside, outside], dim=1), dim=-1).flatten(1)

    def forward(self, features: Tensor, vectors: Tensor) -> Tensor:
        """[B, C, h, w] and [B, K, (slots + 1) * slot_dim] to products and their sums.

        Returns:
            [B, K, (slots + 1) * slot_dim + slots + 1, h, w].
        """
        size = features.shape[-2:]
        own = self.target(self.norm(features.flatten(2).mT)).unflatten(-1, (-1, self.slot_dim))
        own = F.normalize(own, dim=-1) * math.sqrt(self.slot_dim)  # [B, hw, slots + 1, slot_dim]
        wanted = vectors.unflatten(-1, (-1, self.slot_dim))[:, :, None]
        products = own[:, None] * wanted  # [B, K, hw, slots + 1, slot_dim]
        both = torch.cat([products.flatten(3), products.sum(-1)], dim=-1)
        return both.mT.unflatten(-1, size)


class _ConvStep(nn.Sequential):
    """Convolution, norm and ReLU; the size stays."""

    def __init__(self, in_dim: int, out_dim: int, kernel_size: int = 3, dilation: int = 1) -> None:
        super().__init__(
            nn.Conv2d(in_dim, out_dim, kernel_size, padding="same", dilation=dilation, bias=False),
            nn.GroupNorm(8, out_dim),
            nn.ReLU(),
        )


def squared(features: Tensor) -> Tensor:
    """[..., h, w] with zeros at the bottom or the right, up to the longer side."""
    height, width = features.shape[-2:]
    side = max(height, width)
    return F.pad(features, (0, side - width, 0, side - height))


def _resized(x: Tensor, side: int) -> Tensor:
    return x if x.shape[-1] == side else F.interpolate(x, (side, side), mode="bilinear")


def _repeated(x: Tensor, count: int) -> Tensor:
    """[B, ...] to [B * count, ...], each so often in a row."""
    return x.repeat_interleave(count, dim=0)
