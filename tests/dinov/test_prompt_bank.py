"""Banks: means, sampling, merging, files, and the refusal to mix models."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dinov.errors import FingerprintMismatch, InvalidBank, InvalidPrompt
from dinov.prompt_bank import PromptBank
from dinov.types import Category, Prompt, PromptType

LEAF, STONE = Category(7, "leaf", "#00ff00"), Category(2, "stone", is_thing=False)


def test_a_concept_is_the_mean_of_its_prompts_and_negatives_come_last() -> None:
    bank = PromptBank(
        "m",
        {7: torch.tensor([[1.0, 1.0]]), 2: torch.tensor([[0.0, 2.0], [2.0, 4.0]])},
        {7: torch.tensor([[5.0, 5.0]]), 9: torch.tensor([[8.0, 8.0]])},
    )
    assert bank.category_ids == [2, 7]
    assert bank.negative_ids == [7]
    assert bank.concept_embeddings().tolist() == [[1.0, 3.0], [1.0, 1.0], [5.0, 5.0]]


def test_prompts_are_grouped_by_category_and_sign() -> None:
    embedded = [
        (Prompt(number, PromptType.POINT, (1.0, 1.0), positive=positive), torch.full((2,), value))
        for number, positive, value in (
            (7, True, 1.0),
            (2, True, 2.0),
            (7, False, 3.0),
            (7, True, 4.0),
        )
    ]
    bank = PromptBank.of("m", embedded, [LEAF])
    assert bank.positives[7].tolist() == [[1.0, 1.0], [4.0, 4.0]]
    assert bank.negatives[7].tolist() == [[3.0, 3.0]]
    assert bank.named_categories == (Category(2, "category 2"), LEAF)


def test_of_many_prompts_a_seeded_sample_is_taken() -> None:
    bank = PromptBank("m", {1: torch.arange(100.0)[:, None]})
    a, b, c = (bank.concept_embeddings(max_examples=4, seed=s) for s in (0, 0, 1))
    assert a.equal(b)
    assert not a.equal(c)


def test_what_is_drawn_of_a_category_does_not_depend_on_the_others() -> None:
    many = torch.arange(100.0)[:, None]
    alone = PromptBank("m", {5: many}).concept_embeddings(max_examples=4)
    beside = PromptBank("m", {1: many, 5: many}, {1: many}).concept_embeddings(max_examples=4)
    assert beside[1].equal(alone[0])
    assert len({float(value) for value in beside}) == 3


class TestMerging:
    def test_every_prompt_is_kept(self) -> None:
        one = PromptBank("m", {1: torch.ones(2, 3)})
        two = PromptBank("m", {1: torch.zeros(1, 3), 4: torch.ones(1, 3)}, {4: torch.ones(2, 3)})
        merged = PromptBank.merge([one, two])
        assert {i: len(p) for i, p in merged.positives.items()} == {1: 3, 4: 1}
        assert len(merged.negatives[4]) == 2

    def test_names_say_which_categories_are_one(self) -> None:
        one = PromptBank("m", {7: torch.ones(1, 2)}, categories=(LEAF,))
        other_leaf, moss = Category(3, "leaf"), Category(7, "moss")
        two = PromptBank(
            "m",
            {3: torch.zeros(2, 2), 7: torch.full((1, 2), 5.0)},
            {7: torch.full((1, 2), 6.0)},
            (other_leaf, moss),
        )
        merged = PromptBank.merge([one, two])
        names = {category.name: category.id for category in merged.named_categories}
        assert names == {"leaf": 7, "moss": 8}
        assert merged.named_categories[0].color == "#00ff00"
        assert merged.positives[7].tolist() == [[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]]
        assert merged.positives[8].tolist() == [[5.0, 5.0]]
        assert merged.negatives[8].tolist() == [[6.0, 6.0]]

    def test_banks_of_different_models_do_not_mix(self) -> None:
        with pytest.raises(FingerprintMismatch, match="Embed the references again"):
            PromptBank.merge([PromptBank("a", {}), PromptBank("b", {})])


def test_no_positive_prompt_is_an_error() -> None:
    with pytest.raises(InvalidPrompt, match="Mark at least one object"):
        PromptBank("m", {}, {1: torch.ones(1, 2)}).concept_embeddings()
    with pytest.raises(InvalidPrompt, match="Mark at least one object"):
        PromptBank.of("m", [])


class TestFiles:
    bank = PromptBank(
        "lite-abc-384",
        {7: torch.randn(3, 4), 2: torch.randn(1, 4)},
        {7: torch.randn(2, 4)},
        (LEAF, STONE),
    )

    def test_a_bank_survives_its_file(self, tmp_path: Path) -> None:
        loaded = PromptBank.load(self.bank.save(tmp_path / "new/bank.safetensors"))
        assert loaded.fingerprint == self.bank.fingerprint
        assert loaded.categories == self.bank.categories
        assert loaded.concept_embeddings().equal(self.bank.concept_embeddings())
        assert {i: len(p) for i, p in loaded.positives.items()} == {2: 1, 7: 3}
        assert loaded.negatives[7].equal(self.bank.negatives[7])

    def test_a_file_that_is_no_bank_is_told(self, tmp_path: Path) -> None:
        path = self.bank.save(tmp_path / "bank.safetensors")
        whole = path.read_bytes()
        for content in (b"", b"<html>", whole[: len(whole) // 2]):
            path.write_bytes(content)
            with pytest.raises(InvalidBank, match="python -m dinov embed"):
                PromptBank.load(path)
        save_file({"weight": torch.ones(2)}, path)
        with pytest.raises(InvalidBank, match="is not a prompt bank"):
            PromptBank.load(path)
        with pytest.raises(InvalidBank, match="absent"):
            PromptBank.load(tmp_path / "absent.safetensors")
