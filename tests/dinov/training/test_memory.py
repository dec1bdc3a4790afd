from __future__ import annotations

import torch
from torch import Tensor

from dinov.training.memory import CategoryMemory


def uniform(shape: tuple[int, ...]) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(3))


def filled(drawn: int) -> CategoryMemory:
    memory = CategoryMemory(drawn, 2)
    memory.remember(["cat", "dog", "cow"], torch.tensor([[1.0, 1], [2, 2], [3, 3]]))
    return memory


def test_an_empty_memory_draws_nothing() -> None:
    assert CategoryMemory(5, 2).draw([], uniform)[1].shape == (0, 2)
    assert filled(0).draw([], uniform)[1].shape == (0, 2)


def test_what_the_batch_shows_is_not_drawn() -> None:
    names, drawn = filled(5).draw(["dog", "horse"], uniform)
    assert dict(zip(names, drawn[:, 0].tolist(), strict=True)) == {"cat": 1, "cow": 3}


def test_at_most_so_many_are_drawn_and_without_gradient() -> None:
    memory = filled(2)
    memory.remember(["cat"], torch.full((1, 2), 7.0, requires_grad=True))
    assert memory.draw([], uniform)[1].shape == (2, 2)
    assert not any(embedding.requires_grad for embedding in memory.embeddings.values())


def test_the_latest_embedding_counts() -> None:
    memory = filled(5)
    memory.remember(["cow"], torch.tensor([[9.0, 9]]))
    assert memory.draw(["cat", "dog"], uniform)[1].tolist() == [[9, 9]]
