"""Prompt embeddings of a concept: the examples by which categories are found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dinov.errors import FingerprintMismatch, InvalidPrompt

MAX_EXAMPLES = 16
"""A category is the mean of at most so many embeddings, as in the paper's evaluation."""


@dataclass(frozen=True)
class PromptBank:
    """Embeddings [P, C] of each category's prompts, and the model they were made with.

    ``negatives`` are examples of what a category is not; they are optional.
    """

    fingerprint: str
    positives: Mapping[int, Tensor] = field(default_factory=dict)
    negatives: Mapping[int, Tensor] = field(default_factory=dict)

    @property
    def category_ids(self) -> list[int]:
        """Categories with at least one positive prompt, in ascending order."""
        return sorted(self.positives)

    @property
    def negative_ids(self) -> list[int]:
        """Categories that have negative prompts beside positive ones, in ascending order."""
        return sorted(set(self.negatives) & set(self.positives))

    def concept_embeddings(self, max_examples: int = MAX_EXAMPLES, seed: int = 0) -> Tensor:
        """One embedding per concept: the categories first, then their negatives.

        Args:
            max_examples: of more prompts, so many are drawn at random.
            seed: of that draw; the same seed draws the same.

        Returns:
            [len(category_ids) + len(negative_ids), C].

        Raises:
            InvalidPrompt: if no category has a positive prompt.
        """
        if not self.positives:
            raise InvalidPrompt("There is no positive prompt. Mark at least one object first.")
        generator = torch.Generator().manual_seed(seed)
        examples = [self.positives[i] for i in self.category_ids]
        examples += [self.negatives[i] for i in self.negative_ids]
        return torch.stack([_mean(e, max_examples, generator) for e in examples])

    @classmethod
    def merge(cls, banks: Sequence[PromptBank]) -> PromptBank:
        """All prompts of several banks together.

        Raises:
            FingerprintMismatch: if they were made with different models or input sizes.
            InvalidPrompt: if there are no banks.
        """
        if not banks:
            raise InvalidPrompt("There are no prompts. Mark at least one object first.")
        for bank in banks:
            bank.require(banks[0].fingerprint)
        return cls(
            banks[0].fingerprint,
            _concatenate([bank.positives for bank in banks]),
            _concatenate([bank.negatives for bank in banks]),
        )

    def require(self, fingerprint: str) -> None:
        """Make sure that this bank belongs to a model.

        Raises:
            FingerprintMismatch: if it does not.
        """
        if self.fingerprint != fingerprint:
            raise FingerprintMismatch(
                f"These prompt embeddings were made with model {self.fingerprint}, but model "
                f"{fingerprint} is in use. Embed the references again."
            )


def _mean(examples: Tensor, max_examples: int, generator: torch.Generator) -> Tensor:
    if len(examples) > max_examples:
        chosen = torch.randperm(len(examples), generator=generator)[:max_examples]
        examples = examples[chosen.sort().values.to(examples.device)]
    return examples.mean(0)


def _concatenate(parts: Sequence[Mapping[int, Tensor]]) -> dict[int, Tensor]:
    ids = sorted({i for part in parts for i in part})
    return {i: torch.cat([part[i] for part in parts if i in part]) for i in ids}
