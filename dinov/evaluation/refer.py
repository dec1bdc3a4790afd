"""The refer task: is that very object found again, on the photo of the mark and on others?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from dinov.errors import InvalidDataset
from dinov.images import read_rgb
from dinov.masks import decode_rle, mask_iou
from dinov.predictor import Predictor
from dinov.training.prompt_sampling import sample_prompt
from dinov.training.samples import Folder, Sample, TrueMask
from dinov.types import Mask, Prompt, PromptType, Reference

SAME, CROSS = "same image", "cross-image"


@dataclass(frozen=True)
class ReferEpisode:
    """Find the object of a mark on the reference in the target, which may be the same photo."""

    folder: str
    reference: Sample
    example: TrueMask
    target: Sample
    truth: TrueMask
    seed: int

    @property
    def setting(self) -> str:
        """``SAME`` or ``CROSS``."""
        return SAME if self.reference.path == self.target.path else CROSS

    def prompt(self, kind: PromptType) -> Prompt:
        """The mark; the same at every call."""
        return sample_prompt(self.example.mask(), kind, np.random.default_rng(self.seed))


@dataclass
class ReferResult:
    """IoU of the best candidate, 0 if there is none, per prompt type in the order of episodes.

    ``still`` is that of the baseline: the object is where it was on the reference.
    """

    episodes: list[ReferEpisode] = field(default_factory=list)
    ious: dict[PromptType, list[float]] = field(default_factory=dict)
    still: list[float | None] = field(default_factory=list)

    def rows(self, setting: str, folder: str | None = None) -> list[int]:
        """Numbers of the episodes of a setting, of one folder or all."""
        return [
            row
            for row, episode in enumerate(self.episodes)
            if episode.setting == setting and folder in (None, episode.folder)
        ]


def draw_refer_episodes(
    folders: Sequence[Folder], *, per_folder: int, seed: int = 0
) -> list[ReferEpisode]:
    """Draw up to ``per_folder`` objects of each folder, and as many pairs of photos of one object.

    A photo with several objects is preferred for the same-image setting, since there the right
    one has to be told from others. What is seen on several photos says ``track_id`` in the file.

    Raises:
        InvalidDataset: if there are no objects: semantic masks are none.
    """
    rng = np.random.default_rng(seed)
    episodes: list[ReferEpisode] = []
    for folder in folders:
        single = [
            (sample, [truth for truth in sample.truths if not truth.is_semantic])
            for sample in (s.loaded() for s in folder.samples)
        ]
        objects = [(sample, truth) for sample, own in single for truth in own]
        several = [(sample, truth) for sample, own in single if len(own) > 1 for truth in own]
        pool = several or objects
        for i in rng.permutation(len(pool))[:per_folder]:
            sample, truth = pool[i]
            number = int(rng.integers(2**31))
            episodes.append(ReferEpisode(folder.name, sample, truth, sample, truth, number))
        seen: dict[str, list[tuple[Sample, TrueMask]]] = defaultdict(list)
        for sample, truth in objects:
            seen[truth.identity].append((sample, truth))
        again = [views for views in seen.values() if len({s.path for s, _ in views}) > 1]
        for _ in range(per_folder if again else 0):
            views = again[int(rng.integers(len(again)))]
            (reference, example), (target, truth) = _two_photos(views, rng)
            number = int(rng.integers(2**31))
            episodes.append(ReferEpisode(folder.name, reference, example, target, truth, number))
    if not episodes:
        raise InvalidDataset("There are no objects to refer to. Use data with instance masks.")
    return episodes


def evaluate_refer(
    predictor: Predictor, episodes: Iterable[ReferEpisode], kinds: Sequence[PromptType]
) -> ReferResult:
    """Solve every episode with every prompt type."""
    result = ReferResult(ious={kind: [] for kind in kinds})
    for episode in episodes:
        truth = episode.truth.mask()
        result.episodes.append(episode)
        result.still.append(_standing_still(episode, truth))
        for kind in kinds:
            found = find(predictor, episode, kind)
            result.ious[kind].append(0.0 if found is None else mask_iou(found, truth))
    return result


def find(predictor: Predictor, episode: ReferEpisode, kind: PromptType) -> Mask | None:
    """The best candidate [H, W] in the target, if there is any."""
    reference = Reference(read_rgb(episode.reference.path), [episode.prompt(kind)])
    bank = predictor.embed_references([reference])
    found = predictor.refer(read_rgb(episode.target.path), bank).best.instances
    return decode_rle(found[0].rle) if found else None


def _two_photos(
    views: Sequence[tuple[Sample, TrueMask]], rng: np.random.Generator
) -> tuple[tuple[Sample, TrueMask], tuple[Sample, TrueMask]]:
    first = views[int(rng.integers(len(views)))]
    others = [view for view in views if view[0].path != first[0].path]
    return first, others[int(rng.integers(len(others)))]


def _standing_still(episode: ReferEpisode, truth: Mask) -> float | None:
    """None on the photo of the mark, and where photos of different size cannot be compared."""
    before = episode.example.mask()
    if episode.setting == SAME or before.shape != truth.shape:
        return None
    return mask_iou(before, truth)
