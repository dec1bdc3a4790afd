"""The refer task equals the recorded results of the published model, from points to masks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pytest
import torch
from torch import Tensor

from dinov.model.dinov import PointProposals
from dinov.refer import (
    ReferOptions,
    final_mask_logits,
    mask_areas,
    match_probabilities,
    surviving,
    take,
)
from tests.parity.archive import Parity, needs_cuda

# Recommended tolerances, section 2 of the notes beside the recorded tensors.
IOUS, LOGITS, BOXES, MASKS, SCORES, PIXELS = 5e-5, 1e-4, 1e-5, 3e-4, 1e-5, 1e-5

KINDS = ("mask", "box", "scribble")
OBJECTS = [1, 2, 3]

ParityOf = Callable[[str], Parity]


@dataclass(frozen=True)
class Referred:
    """One recorded case, computed."""

    parity: Parity
    options: ReferOptions

    @cached_property
    def points(self) -> PointProposals:
        with torch.inference_mode():
            return self.parity.model.decode_points(
                self.parity.pyramid("target"), grid=self.options.grid
            )

    @cached_property
    def prompts(self) -> Tensor:
        tokens = self.parity.tokens("refA", *KINDS)
        with torch.inference_mode():
            return self.parity.model.decode_prompts(self.parity.pyramid("target"), tokens)

    @property
    def mask_features(self) -> Tensor:
        return self.parity.pyramid("target").mask_features

    def survivors(self, **options: Any) -> Tensor:
        return surviving(self.points, self.mask_features, replace(self.options, **options))

    @cached_property
    def probabilities(self) -> Tensor:
        """[3, Q] over all proposals, zero for those that do not survive."""
        kept = self.survivors()
        scores = (self.prompts @ self.points.vectors.mT)[0]
        spread = torch.zeros_like(scores)
        spread[:, kept] = match_probabilities(scores[:, kept], OBJECTS, [])
        return spread

    @property
    def final_masks(self) -> Tensor:
        transform = self.parity.transform("target")
        best = self.probabilities.argmax(1).tolist()
        masks = [final_mask_logits(self.points, self.mask_features, q, transform) for q in best]
        return torch.stack(masks)


@pytest.fixture(
    scope="module",
    params=[
        ("tiny", 6),
        ("tiny", 20),
        ("tiny5", 6),
        pytest.param(("tiny on cuda", 20), marks=needs_cuda),
        pytest.param(("tiny5 on cuda", 6), marks=needs_cuda),
        pytest.param(("swinT", 6), marks=pytest.mark.slow),
        pytest.param(("swinT", 20), marks=pytest.mark.slow),
    ],
    ids=lambda case: f"{case[0]}-{case[1]}",
)
def referred(request: pytest.FixtureRequest, parity_of: ParityOf) -> Referred:
    name, grid = request.param
    return Referred(parity_of(name), ReferOptions(grid=grid))


def test_points_and_prompts_decoded_apart(referred: Referred) -> None:
    parity, points = referred.parity, referred.points
    name = f"refer{referred.options.grid}"
    with torch.inference_mode():
        masks = torch.einsum("bqc,bchw->bqhw", points.mask_vectors, referred.mask_features)
    parity.check(f"{name}/pred_match_score", referred.prompts @ points.vectors.mT, LOGITS)
    parity.check(f"{name}/pred_ious", points.ious.unflatten(1, (-1, 6)), IOUS)
    parity.check(f"{name}/pred_boxes", points.boxes_cxcywh, BOXES)
    parity.check(f"{name}/pred_masks", masks, MASKS)


def test_the_same_proposals_survive_every_filter(referred: Referred) -> None:
    recorded = referred.parity.golden.meta
    name = f"refer{referred.options.grid}"
    after_iou = referred.survivors(nms_threshold=1.0, min_area=-1)
    after_nms = referred.survivors(min_area=-1)
    assert set(after_iou.tolist()) == set(recorded[f"{name}/after_iou"])
    assert set(after_nms.tolist()) == set(recorded[f"{name}/after_nms"])
    kept = referred.survivors()
    assert set(kept.tolist()) == set(recorded[f"{name}/after_area"])
    # The order is that of falling IoU scores; near ties may swap.
    order = recorded[f"{name}/after_area"]
    torch.testing.assert_close(
        referred.points.ious[0, kept], referred.points.ious[0, order], atol=IOUS, rtol=0
    )


def test_the_same_proposals_win_with_the_same_masks(referred: Referred) -> None:
    parity, name = referred.parity, f"refer{referred.options.grid}"
    best = referred.probabilities.max(1)
    assert best.indices.tolist() == parity.golden.meta[f"{name}/selected"]
    parity.check(f"{name}/final_probability", best.values, SCORES)
    parity.check(f"{name}/final_masks", referred.final_masks, MASKS)
    parity.check(f"{name}/final_masks_binary", referred.final_masks > 0, PIXELS)
    # The recorded output has the size of the input, so the last resize changes nothing.
    parity.check(f"{name}/final_masks_padded", referred.final_masks, MASKS)


def test_some_granularities_only(parity_of: ParityOf) -> None:
    referred = Referred(parity_of("tiny"), ReferOptions(grid=6, granularities=(0, 2, 5)))
    probability = referred.probabilities.max(1).values
    referred.parity.check("refer6_levels025/final_probability", probability, SCORES)
    referred.parity.check("refer6_levels025/final_masks", referred.final_masks, MASKS)


def test_the_filters_on_given_proposals(parity_of: ParityOf) -> None:
    parity = parity_of("tiny")
    given = {
        key: parity.golden.stored(f"filter_refer/in_{key}")
        for key in ("boxes", "ious", "scores", "areas")
    }
    # The first `areas` pixels of a 24 x 20 mask are positive: one feature per pixel makes them.
    pixels = torch.arange(24 * 20)
    vectors = torch.where(pixels < given["areas"][:, None], 1.0, -1.0)[None]
    features = torch.eye(24 * 20).reshape(1, -1, 24, 20)
    assert torch.equal(mask_areas(vectors, features), given["areas"])
    points = PointProposals(
        torch.zeros(1, 60, 1), given["ious"][None], given["boxes"][None], vectors
    )
    kept = surviving(points, features, ReferOptions(grid=1))
    parity.check("filter_refer/out_boxes_kept", take(points, kept).boxes_cxcywh[0], 0)
    best = match_probabilities(given["scores"][:, kept], [1, 2, 3, 4], []).max(1)
    parity.check("filter_refer/out_probability", best.values[:, None], SCORES)
    selected = kept[best.indices]
    parity.check("filter_refer/out_selected", selected, 0)
    parity.check("filter_refer/out_iou", given["ious"][selected[:1]], 0)
