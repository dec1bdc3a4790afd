"""Categories of earlier batches, to be told apart from those of the present one."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from dinov.training.losses import UniformDraw


class CategoryMemory:
    """The latest embedding of every category seen so far, without gradient.

    The paper compares with the categories of 64 images at once; a batch of eight shows about as
    many, and what tells a dog from a cat is hardly ever asked. Embeddings change slowly, so those
    of earlier batches will do.
    """

    def __init__(self, drawn: int, dim: int) -> None:
        self.drawn, self.dim = drawn, dim
        self.embeddings: dict[str, Tensor] = {}

    def remember(self, names: Sequence[str], embeddings: Tensor) -> None:
        """Keep the embeddings [K, C] of K categories, in place of older ones of theirs."""
        for name, embedding in zip(names, embeddings.detach().float(), strict=True):
            self.embeddings[name] = embedding.clone()

    def draw(
        self, exclude: Collection[str], uniform: UniformDraw
    ) -> tuple[tuple[str, ...], Tensor]:
        """Names and [R, C] embeddings of at most ``drawn`` random categories not in ``exclude``."""
        names = sorted(set(self.embeddings) - set(exclude))
        order = uniform((len(names),)).argsort()[: self.drawn].tolist() if self.drawn else []
        chosen = tuple(names[i] for i in order)
        if not chosen:
            return (), torch.zeros(0, self.dim)
        return chosen, torch.stack([self.embeddings[name] for name in chosen])
