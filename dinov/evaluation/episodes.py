"""Few-shot episodes: references with one marked object each, and a target."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dinov.images import read_rgb
from dinov.training.prompt_sampling import sample_prompt
from dinov.training.samples import Folder, Sample, TrueMask
from dinov.types import Mask, PromptType, Reference


@dataclass(frozen=True)
class Episode:
    """Find a category in the target, given one example in each reference.

    In an ``absent`` episode the target is known not to show the category.
    """

    folder: str
    category: str
    examples: tuple[tuple[Sample, TrueMask], ...]
    target: Sample
    seed: int
    absent: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What results are averaged over."""
        return self.folder, self.category

    def references(self, kind: PromptType) -> list[Reference]:
        """The reference photos with their prompts of one kind; the same at every call."""
        rng = np.random.default_rng(self.seed)
        return [
            Reference(read_rgb(sample.path), [sample_prompt(truth.mask(), kind, rng)])
            for sample, truth in self.examples
        ]

    def truth(self) -> Mask:
        """[H, W] union of all objects of the category in the target."""
        mask = np.zeros(self.target.size_hw, np.bool_)
        for truth in self.target.truths:
            if truth.category == self.category:
                mask |= truth.mask()
        return mask


def draw_episodes(
    references: Sequence[Folder],
    targets: Sequence[Folder],
    *,
    shots: int,
    per_category: int,
    seed: int = 0,
) -> list[Episode]:
    """Draw up to ``per_category`` targets of every category, and one absent target.

    References come from the folder of the same name in ``references`` and show an object of the
    category that is not the smallest there; the target is never among them. Absent targets are
    drawn from exhaustive folders only.
    """
    rng = np.random.default_rng(seed)
    known: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    for folder in references:
        for sample in folder.samples:
            for category in sample.categories:
                known[folder.name, category].append(sample)
    episodes: list[Episode] = []
    for folder in targets:
        for category in folder.categories:
            pool = known[folder.name, category]
            present = [s for s in folder.samples if category in s.categories]
            absent = [s for s in folder.samples if category in s.known - s.categories]
            if not pool or not present:
                continue
            chosen = [present[i] for i in rng.permutation(len(present))[:per_category]]
            negative = [absent[i] for i in rng.permutation(len(absent))[:1]]
            for target in chosen + negative:
                examples = _draw_examples(pool, category, target, shots, rng)
                if examples:
                    number = int(rng.integers(2**31))
                    is_absent = category not in target.categories
                    episodes.append(
                        Episode(folder.name, category, examples, target, number, is_absent)
                    )
    return episodes


def _draw_examples(
    pool: Sequence[Sample], category: str, target: Sample, shots: int, rng: np.random.Generator
) -> tuple[tuple[Sample, TrueMask], ...]:
    others = [sample for sample in pool if sample.path != target.path]
    chosen = [others[i] for i in rng.permutation(len(others))[:shots]]
    return tuple((sample, _clear_example(sample, category, rng)) for sample in chosen)


def _clear_example(sample: Sample, category: str, rng: np.random.Generator) -> TrueMask:
    """Any of the larger half of the objects: an annotator marks one that can be seen."""
    own = [truth for truth in sample.truths if truth.category == category]
    own.sort(key=lambda truth: -truth.area)
    return own[int(rng.integers((len(own) + 1) // 2))]
