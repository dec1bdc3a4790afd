"""Exponential moving average of the trained weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Average of the trainable parameters over recent steps; short at first, then ``decay``."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.average = {n: p.detach().clone() for n, p in self.parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after ``step`` steps."""
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(
            list(self.average.values()), [p.data for p in self.parameters.values()], weight
        )

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within the context the model has the averaged weights."""
        own = {name: p.data for name, p in self.parameters.items()}
        for name, p in self.parameters.items():
            p.data = self.average[name]
        try:
            yield
        finally:
            for name, p in self.parameters.items():
                p.data = own[name]

    def state_dict(self) -> dict[str, Tensor]:
        """The averages by parameter name."""
        return self.average

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take over saved averages."""
        for name, value in self.average.items():
            value.copy_(state[name])
