"""Few-shot episodes: references with one marked object each, and a target."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dinov.errors import InvalidDataset
from dinov.images import read_rgb
from dinov.masks import encode_rle
from dinov.training.prompt_sampling import sample_prompt
from dinov.training.samples import Folder, Sample, TrueMask
from dinov.types import Mask, Prompt, PromptType, Reference


@dataclass(frozen=True)
class Episode:
    """Find a category in the target, given one example in each reference.

    In an ``absent`` episode the target is known not to show the category. With ``drawn`` a
    scribble is the one that a person drew on the photo.
    """

    folder: str
    category: str
    examples: tuple[tuple[Sample, TrueMask], ...]
    target: Sample
    seed: int
    absent: bool = False
    drawn: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What results are averaged over."""
        return self.folder, self.category

    def references(self, kind: PromptType) -> list[Reference]:
        """The reference photos with their prompts of one kind; the same at every call."""
        rng = np.random.default_rng(self.seed)
        return [
            Reference(read_rgb(sample.path), [self._prompt(sample, truth, kind, rng)])
            for sample, truth in self.examples
        ]

    def with_references(self, count: int) -> Episode:
        """The same target with the first ``count`` of the references."""
        return replace(self, examples=self.examples[:count])

    def truth(self) -> Mask:
        """[H, W] union of all objects of the category in the target."""
        mask = np.zeros(self.target.size_hw, np.bool_)
        for truth in self.target.truths:
            if truth.category == self.category:
                mask |= truth.mask()
        return mask

    def _prompt(
        self, sample: Sample, truth: TrueMask, kind: PromptType, rng: np.random.Generator
    ) -> Prompt:
        if self.drawn and kind is PromptType.SCRIBBLE:
            return Prompt(1, PromptType.MASK, rle=encode_rle(drawn_scribble(sample)))
        return sample_prompt(truth.mask(), kind, rng)


def draw_episodes(
    references: Sequence[Folder],
    targets: Sequence[Folder],
    *,
    shots: int,
    per_category: int,
    seed: int = 0,
    drawn: bool = False,
) -> list[Episode]:
    """Draw up to ``per_category`` targets of every category, and one absent target.

    References come from the folder of the same name in ``references`` and show an object of the
    category that is not the smallest there; the target is never among them. Absent targets are
    drawn from exhaustive folders only. With ``drawn`` references are photos on which a person has
    drawn a scribble.

    Raises:
        InvalidDataset: if no category has a reference and a target.
    """
    rng = np.random.default_rng(seed)
    known: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    for folder in references:
        for sample in folder.samples:
            for category in sample.categories if sample.scribble or not drawn else ():
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
                        Episode(folder.name, category, examples, target, number, is_absent, drawn)
                    )
    if not episodes:
        raise InvalidDataset(
            "No category has an object both in a reference and in a target. References are read "
            "from train.json, targets from val.json"
            + (", and references need a scribble_file." if drawn else ".")
        )
    return episodes


def drawn_scribble(sample: Sample) -> Mask:
    """[H, W]: what a person marked as the object on a photo that has a ``scribble``.

    Raises:
        InvalidDataset: if nothing is marked, or the picture has another size than the photo.
    """
    assert sample.scribble is not None
    marked: Mask = read_rgb(sample.scribble)[..., 0] == 1
    if marked.shape != sample.size_hw or not marked.any():
        raise InvalidDataset(
            f"{sample.scribble} must have the size {sample.size_hw} of its photo and the value 1 "
            f"where the object is marked; it has the size {marked.shape}."
        )
    return marked


def clear_example(sample: Sample, category: str, rng: np.random.Generator) -> TrueMask:
    """Any of the larger half of the objects: an annotator marks one that can be seen."""
    own = [truth for truth in sample.truths if truth.category == category]
    own.sort(key=lambda truth: -truth.area)
    return own[int(rng.integers((len(own) + 1) // 2))]


def _draw_examples(
    pool: Sequence[Sample], category: str, target: Sample, shots: int, rng: np.random.Generator
) -> tuple[tuple[Sample, TrueMask], ...]:
    others = [sample for sample in pool if sample.path != target.path]
    chosen = [others[i] for i in rng.permutation(len(others))[:shots]]
    return tuple((sample, clear_example(sample, category, rng)) for sample in chosen)
