"""Prompt embeddings of a concept: the examples by which categories are found."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from dinov.errors import FingerprintMismatch, InvalidBank, InvalidPrompt
from dinov.files import written_whole
from dinov.options import MAX_EXAMPLES
from dinov.types import Category, Prompt

_FORMAT = "dinov-prompt-bank-1"
_SIGNS = ("positive", "negative")


@dataclass(frozen=True)
class PromptBank:
    """Embeddings [P, C] of each category's prompts, on the CPU, and the model they were made with.

    ``negatives`` are examples of what a category is not; they are optional. ``categories`` says how
    they are called; a bank that is not stored can do without.
    """

    fingerprint: str
    positives: Mapping[int, Tensor] = field(default_factory=dict)
    negatives: Mapping[int, Tensor] = field(default_factory=dict)
    categories: tuple[Category, ...] = ()

    @classmethod
    def of(
        cls,
        fingerprint: str,
        embedded: Iterable[tuple[Prompt, Tensor]],
        categories: Sequence[Category] = (),
        others: Sequence[PromptBank] = (),
    ) -> PromptBank:
        """Group prompts with their embeddings [C] by category, in the given order.

        Args:
            fingerprint: of the model that made the embeddings.
            embedded: the prompts.
            categories: how they are called, for a bank that is to be stored.
            others: banks whose examples follow, under the same ids.

        Raises:
            FingerprintMismatch: if another bank was made with another model.
            InvalidPrompt: if none of the prompts is positive.
        """
        groups: dict[bool, dict[int, list[Tensor]]] = {True: {}, False: {}}
        for prompt, embedding in embedded:
            groups[prompt.positive].setdefault(prompt.category_id, []).append(embedding)
        positives, negatives = (
            {category_id: torch.stack(group) for category_id, group in groups[sign].items()}
            for sign in (True, False)
        )
        for other in others:
            other.require(fingerprint)
        bank = cls(
            fingerprint,
            _concatenate([positives, *(other.positives for other in others)]),
            _concatenate([negatives, *(other.negatives for other in others)]),
            tuple(categories),
        )
        bank._require_positive()
        return bank

    @property
    def category_ids(self) -> list[int]:
        """Categories with at least one positive prompt, in ascending order."""
        return sorted(self.positives)

    @property
    def negative_ids(self) -> list[int]:
        """Categories that have negative prompts beside positive ones, in ascending order."""
        return sorted(set(self.negatives) & set(self.positives))

    @property
    def named_categories(self) -> tuple[Category, ...]:
        """Everything that is known of the categories, in the order of ``category_ids``."""
        known = {category.id: category for category in self.categories}
        return tuple(known.get(i) or Category(i, f"category {i}") for i in self.category_ids)

    def concept_embeddings(self, max_examples: int = MAX_EXAMPLES, seed: int = 0) -> Tensor:
        """One embedding per concept: the categories first, then their negatives.

        Args:
            max_examples: of more prompts, so many are drawn at random.
            seed: of that draw; the same seed draws the same, whatever other categories there are.

        Returns:
            [len(category_ids) + len(negative_ids), C].

        Raises:
            InvalidPrompt: if no category has a positive prompt.
        """
        self._require_positive()
        groups = [(self.positives[i], (seed, i, 0)) for i in self.category_ids]
        groups += [(self.negatives[i], (seed, i, 1)) for i in self.negative_ids]
        return torch.stack([_mean(examples, max_examples, key) for examples, key in groups])

    @classmethod
    def merge(cls, banks: Sequence[PromptBank]) -> PromptBank:
        """All prompts of several banks together.

        Categories of one name become one, whatever their ids; an id that stands for another name
        in an earlier bank is replaced by a free one. Without names, ids are what counts.

        Raises:
            FingerprintMismatch: if they were made with different models or input sizes.
            InvalidPrompt: if there are no banks.
        """
        if not banks:
            raise InvalidPrompt("There are no prompts. Mark at least one object first.")
        for bank in banks:
            bank.require(banks[0].fingerprint)
        taken = {i for bank in banks for i in (*bank.positives, *bank.negatives)}
        categories: dict[int, Category] = {}
        positives: list[Mapping[int, Tensor]] = []
        negatives: list[Mapping[int, Tensor]] = []
        for bank in banks:
            ids = _common_ids(bank.categories, categories, taken)
            positives.append({ids.get(i, i): group for i, group in bank.positives.items()})
            negatives.append({ids.get(i, i): group for i, group in bank.negatives.items()})
        return cls(
            banks[0].fingerprint,
            _concatenate(positives),
            _concatenate(negatives),
            tuple(categories.values()),
        )

    def require(self, fingerprint: str) -> None:
        """Make sure that this bank belongs to a model.

        Raises:
            FingerprintMismatch: if it does not.
        """
        if self.fingerprint != fingerprint:
            raise FingerprintMismatch(
                f"These prompt embeddings were made with model {self.fingerprint}, but model "
                f"{fingerprint} is in use (variant, checkpoint, input size). Embed the references "
                "again, or use the model that made them: --checkpoint, --input-size."
            )

    def save(self, path: Path) -> Path:
        """Write everything to a safetensors file.

        Raises:
            OSError: if the place cannot be written to.
        """
        tensors = {
            f"{sign}.{category_id}": group.detach().float().contiguous()
            for sign, groups in zip(_SIGNS, (self.positives, self.negatives), strict=True)
            for category_id, group in groups.items()
        }
        metadata = {
            "format": _FORMAT,
            "fingerprint": self.fingerprint,
            "categories": json.dumps([asdict(category) for category in self.categories]),
        }
        with written_whole(path) as partial:
            # Not `save_file`, whose files nobody but their owner may read.
            partial.write_bytes(save(tensors, metadata=metadata))
        return path

    @classmethod
    def load(cls, path: Path) -> PromptBank:
        """Read a bank that ``save`` wrote.

        Raises:
            InvalidBank: if the file is missing, damaged or something else.
        """
        remedy = "Make one: python -m dinov embed --references REF.json --output bank.safetensors"
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if metadata.get("format") != _FORMAT:
                raise InvalidBank(f"{path} is not a prompt bank. {remedy}")
            groups: dict[str, dict[int, Tensor]] = {sign: {} for sign in _SIGNS}
            for name, tensor in tensors.items():
                sign, _, number = name.partition(".")
                groups[sign][int(number)] = tensor
            categories = tuple(Category(**row) for row in json.loads(metadata["categories"]))
            return cls(metadata["fingerprint"], groups["positive"], groups["negative"], categories)
        except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
            raise InvalidBank(
                f"{path} cannot be read as a prompt bank ({error}). {remedy}"
            ) from error

    def _require_positive(self) -> None:
        if not self.positives:
            raise InvalidPrompt("There is no positive prompt. Mark at least one object first.")


def _mean(examples: Tensor, max_examples: int, key: Sequence[int]) -> Tensor:
    if len(examples) > max_examples:
        chosen = np.random.default_rng(key).permutation(len(examples))[:max_examples]
        examples = examples[torch.from_numpy(np.sort(chosen))]
    return examples.mean(0)


def _common_ids(
    new: Sequence[Category], known: dict[int, Category], taken: set[int]
) -> dict[int, int]:
    """Ids of a bank's categories in the merged one; what is known and taken grows by them."""
    by_name = {category.name: category.id for category in known.values()}
    ids = {}
    for category in new:
        number = by_name.get(category.name)
        if number is None:
            number = max(taken, default=0) + 1 if category.id in known else category.id
            taken.add(number)
            known[number] = replace(category, id=number)
        ids[category.id] = number
    return ids


def _concatenate(parts: Sequence[Mapping[int, Tensor]]) -> dict[int, Tensor]:
    ids = sorted({i for part in parts for i in part})
    return {i: torch.cat([part[i] for part in parts if i in part]) for i in ids}
