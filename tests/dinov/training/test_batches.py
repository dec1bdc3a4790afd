from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from dinov.training.batches import Packed


@dataclass(frozen=True)
class Leaf:
    name: str
    masks: Tensor


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.bool, torch.bfloat16])
def test_packed_tensors_come_back_as_they_were(dtype: torch.dtype) -> None:
    odd = torch.tensor([True, False, True])  # three bytes: what follows must begin elsewhere
    turned = torch.arange(6).view(2, 3).T.to(dtype)
    value = {"a": [Leaf("one", odd), Leaf("two", turned)], "b": (torch.zeros(0, 4, dtype=dtype), 7)}
    back = Packed.of(value).value()
    assert back["a"][0].name == "one"
    assert torch.equal(back["a"][0].masks, odd)
    assert back["a"][1].masks.dtype == dtype
    assert torch.equal(back["a"][1].masks, turned)
    assert back["b"][0].shape == (0, 4)
    assert back["b"][1] == 7


def test_a_packed_value_is_sent_as_one_tensor() -> None:
    packed = Packed.of([torch.ones(2), torch.zeros(3, dtype=torch.bool)])
    assert [type(value) for value in vars(packed).values()].count(torch.Tensor) == 1
    assert len(packed.memory) == 16
