"""Banks: means, sampling, merging, and the refusal to mix models."""

from __future__ import annotations

import pytest
import torch

from dinov.errors import FingerprintMismatch, InvalidPrompt
from dinov.prompt_bank import PromptBank


def test_a_concept_is_the_mean_of_its_prompts_and_negatives_come_last() -> None:
    bank = PromptBank(
        "m",
        {7: torch.tensor([[1.0, 1.0]]), 2: torch.tensor([[0.0, 2.0], [2.0, 4.0]])},
        {7: torch.tensor([[5.0, 5.0]]), 9: torch.tensor([[8.0, 8.0]])},
    )
    assert bank.category_ids == [2, 7]
    assert bank.negative_ids == [7]
    assert bank.concept_embeddings().tolist() == [[1.0, 3.0], [1.0, 1.0], [5.0, 5.0]]


def test_of_many_prompts_a_seeded_sample_is_taken() -> None:
    bank = PromptBank("m", {1: torch.arange(100.0)[:, None]})
    a, b, c = (bank.concept_embeddings(max_examples=4, seed=s) for s in (0, 0, 1))
    assert a.equal(b)
    assert not a.equal(c)


def test_merging_keeps_every_prompt() -> None:
    one = PromptBank("m", {1: torch.ones(2, 3)})
    two = PromptBank("m", {1: torch.zeros(1, 3), 4: torch.ones(1, 3)}, {4: torch.ones(2, 3)})
    merged = PromptBank.merge([one, two])
    assert {i: len(p) for i, p in merged.positives.items()} == {1: 3, 4: 1}
    assert len(merged.negatives[4]) == 2


def test_banks_of_different_models_do_not_mix() -> None:
    with pytest.raises(FingerprintMismatch, match="Embed the references again"):
        PromptBank.merge([PromptBank("a", {}), PromptBank("b", {})])


def test_no_positive_prompt_is_an_error() -> None:
    with pytest.raises(InvalidPrompt, match="Mark at least one object"):
        PromptBank("m", {}, {1: torch.ones(1, 2)}).concept_embeddings()
