from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dinov.training.losses import (
    box_losses,
    draw_uncertain_points,
    focal_terms,
    mask_losses,
    pairwise_giou,
    pairwise_mask_costs,
    sample_points,
)


def uniform(shape: tuple[int, ...]) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(3))


def half_mask(side: int) -> Tensor:
    mask = torch.zeros(1, side, side)
    mask[:, :, : side // 2] = 1
    return mask


def test_points_are_read_in_x_y_order_at_pixel_centres() -> None:
    maps = torch.arange(12.0).view(1, 3, 4)
    centre_of_row_2_column_1 = torch.tensor([[[1.5 / 4, 2.5 / 3]]])
    assert sample_points(maps, centre_of_row_2_column_1).item() == pytest.approx(9.0)


def test_uncertain_points_gather_at_the_border_of_the_mask() -> None:
    distance_to_middle = torch.linspace(-1, 1, 64)[None, None].expand(1, 64, 64)
    points = draw_uncertain_points(20 * distance_to_middle, 100, uniform)
    assert points.shape == (1, 100, 2)
    near = (points[0, :75, 0] - 0.5).abs()
    assert near.max() < (points[0, 75:, 0] - 0.5).abs().max()
    assert near.mean() < 0.15


def test_focal_loss_forgives_what_is_nearly_right() -> None:
    targets = torch.tensor([1.0, 0.0])
    sure, unsure, wrong = (
        focal_terms(torch.tensor([z, -z]), targets).sum() for z in (4.0, 0.0, -4.0)
    )
    assert sure < 0.001
    assert sure < unsure < wrong


def test_a_perfect_mask_costs_nothing_and_an_inverse_one_much() -> None:
    truth = half_mask(64)
    perfect = mask_losses(40 * half_mask(16) - 20, truth, 256, uniform)
    inverse = mask_losses(20 - 40 * half_mask(16), truth, 256, uniform)
    assert inverse[0] > 5
    assert inverse[1] > 0.7
    assert perfect[0] < inverse[0] / 5
    assert perfect[1] < 0.3


def test_equal_boxes_cost_nothing_and_distant_ones_more_than_near_ones() -> None:
    box = torch.tensor([[0.3, 0.3, 0.2, 0.2]])
    assert [loss.item() for loss in box_losses(box, box)] == pytest.approx([0, 0], abs=1e-4)
    near, far = box + torch.tensor([0.3, 0, 0, 0]), box + torch.tensor([0.6, 0, 0, 0])
    assert box_losses(near, box)[1] < box_losses(far, box)[1]


def test_pairwise_giou_of_known_boxes() -> None:
    unit = torch.tensor([[0.5, 0.5, 1.0, 1.0]])
    others = torch.tensor([[0.5, 0.5, 1.0, 1.0], [1.0, 0.5, 1.0, 1.0], [2.5, 0.5, 1.0, 1.0]])
    # Half shifted: a third; one width apart: 0 - 1/3 of the hull.
    torch.testing.assert_close(
        pairwise_giou(unit, others), torch.tensor([[1.0, 1 / 3, -1 / 3]]), rtol=0, atol=1e-4
    )


def test_pairwise_mask_costs_equal_the_losses_of_each_pair() -> None:
    logits = torch.randn(3, 40, generator=torch.Generator().manual_seed(0))
    labels = (torch.rand(2, 40, generator=torch.Generator().manual_seed(1)) > 0.5).float()
    bce, dice = pairwise_mask_costs(logits, labels)
    for q in range(3):
        for n in range(2):
            expected = torch.nn.functional.binary_cross_entropy_with_logits(logits[q], labels[n])
            torch.testing.assert_close(bce[q, n], expected)
            p = logits[q].sigmoid()
            overlap = (2 * (p * labels[n]).sum() + 1) / (p.sum() + labels[n].sum() + 1)
            torch.testing.assert_close(dice[q, n], 1 - overlap)


@pytest.mark.parametrize("count", [0, 3])
def test_empty_and_filled_batches_of_masks_have_finite_gradients(count: int) -> None:
    logits = torch.zeros(count, 8, 8, requires_grad=True)
    bce, dice = mask_losses(logits, torch.ones(count, 16, 16), 32, uniform)
    assert bce.shape == dice.shape == (count,)
    (bce + dice).sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
