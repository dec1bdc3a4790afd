"""The true instances that predictions are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Truth:
    """The true instances of one training image, in the padded input frame.

    Attributes:
        labels: [N] category numbers of the batch; −1 for a category without prompts.
        boxes_cxcywh: [N, 4] in 0–1.
        masks: [N, H, W] float in 0–1, at any resolution.
        known: [K] bool, true where every object of the category is annotated in this image.
    """

    labels: Tensor
    boxes_cxcywh: Tensor
    masks: Tensor
    known: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class ReferTruth:
    """What an image is asked about in the refer task, as numbers of its true instances.

    Attributes:
        covered: [P, N] bool, the instances at each of the points.
        wanted: [K] the instance that each prompt stands for.
    """

    covered: NDArray[np.bool_]
    wanted: NDArray[np.int64]


@dataclass(frozen=True)
class Truths:
    """The true instances of a batch, image after image, so that all are compared at once.

    Attributes:
        labels, boxes_cxcywh, masks: those of every ``Truth``, [N, ...].
        known: [B, K].
        counts: how many instances each of the B images has.
    """

    labels: Tensor
    boxes_cxcywh: Tensor
    masks: Tensor
    known: Tensor
    counts: tuple[int, ...]

    @staticmethod
    def of(truths: Sequence[Truth]) -> Truths:
        """Join the truths of B images."""
        return Truths(
            torch.cat([truth.labels for truth in truths]),
            torch.cat([truth.boxes_cxcywh for truth in truths]),
            torch.cat([truth.masks for truth in truths]),
            torch.stack([truth.known for truth in truths]),
            tuple(len(truth) for truth in truths),
        )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def largest(self) -> int:
        """The most instances that an image has."""
        return max(self.counts)

    @property
    def starts(self) -> tuple[int, ...]:
        """The number of each image's first instance."""
        return (0, *accumulate(self.counts))[: len(self.counts)]

    @cached_property
    def places(self) -> Tensor:
        """[N, 2] the image of every instance, and its number there."""
        pairs = [(image, i) for image, count in enumerate(self.counts) for i in range(count)]
        return torch.tensor(pairs, dtype=torch.long, device=self.labels.device).view(-1, 2)

    def padded(self, values: Tensor) -> Tensor:
        """Values [N, ...] of the instances as [B, M, ...], zero where an image has fewer than M."""
        laid = values.new_zeros(len(self.counts), self.largest, *values.shape[1:])
        laid[self.places[:, 0], self.places[:, 1]] = values
        return laid

    def with_absent(self, known: Sequence[Sequence[bool]]) -> Truths:
        """The same beside more categories, which have no objects here where they are ``known``."""
        more = torch.tensor(known, dtype=torch.bool, device=self.known.device)
        return replace(self, known=torch.cat([self.known, more], dim=1))

    def concepts(self) -> tuple[Tensor, Tensor]:
        """The categories of which an image has objects, all of them annotated.

        Returns:
            Their [C] places in ``known`` as one row, and [C, H, W] all objects of each.
        """
        images = self.places[:, 0]
        shown = self.labels >= 0
        shown &= self.known[images, self.labels.clamp(min=0)] if self.known.numel() else False
        numbers = (images * self.known.shape[1] + self.labels)[shown]
        concepts, concept = numbers.unique(return_inverse=True)
        masks = self.masks[shown]
        unions = masks.new_zeros(len(concepts), *masks.shape[1:])
        unions.scatter_reduce_(0, concept[:, None, None].expand_as(masks), masks, "amax")
        return concepts, unions


@dataclass(frozen=True)
class Assignment:
    """Queries of a batch, and the true instances they stand for; all [P].

    Attributes:
        image: the image of each query.
        query: its number among the queries of the image.
        instance: the number of the instance among those of the batch.
    """

    image: Tensor
    query: Tensor
    instance: Tensor

    @staticmethod
    def of(
        pairs: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]], truths: Truths
    ) -> Assignment:
        """Join the assignments of B images: query numbers, and instance numbers of the image."""
        rows = [
            np.stack([np.full_like(queries, image), queries, start + instances])
            for image, (start, (queries, instances)) in enumerate(
                zip(truths.starts, pairs, strict=True)
            )
        ]
        joined = torch.from_numpy(np.concatenate(rows, axis=1)).to(truths.labels.device)
        return Assignment(*joined)

    def __add__(self, other: Assignment) -> Assignment:
        return Assignment(
            torch.cat([self.image, other.image]),
            torch.cat([self.query, other.query]),
            torch.cat([self.instance, other.instance]),
        )
