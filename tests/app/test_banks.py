"""Concepts as files: saved in one project, used in another beside its marks."""

from __future__ import annotations

import pytest

from app.project import InvalidInput, NotFound
from dinov.errors import FingerprintMismatch, InvalidBank
from dinov.prompt_bank import PromptBank
from tests.app.conftest import GREEN, RED, REFERENCE, TARGET, as_bytes


@pytest.fixture
def bank_file(studio, marked, tmp_path):
    studio.add_prompt(marked.id, marked.reference.id, "green", "box", [52, 12, 68, 28])
    return studio.banks.save(marked.id, tmp_path / "colours.safetensors")


@pytest.fixture
def other(studio):
    """A project with the target alone."""
    project_id = studio.create_project("Other").id
    (image,) = studio.add_images(project_id, [("target.png", as_bytes(TARGET))]).added
    return project_id, image.id


def test_a_bank_holds_what_is_in_use_and_names_it(studio, marked, bank_file, tmp_path):
    bank = PromptBank.load(bank_file)
    assert [category.name for category in bank.named_categories] == ["red", "green"]
    red, green = (bank.positives[i].tolist() for i in bank.category_ids)
    assert (red, green) == ([list(map(float, RED))], [list(map(float, GREEN))])
    one = studio.banks.save(marked.id, tmp_path / "red.safetensors", [marked.red.id])
    assert PromptBank.load(one).category_ids == [marked.red.id]
    studio.references.set_used(marked.reference.id, marked.prompt_id, False)
    with pytest.raises(InvalidInput, match="nothing to save"):
        studio.banks.save(marked.id, tmp_path / "no.safetensors", [marked.red.id])
    with pytest.raises(InvalidInput, match="no category"):
        studio.banks.save(marked.id, tmp_path / "no.safetensors", [99])
    assert not (tmp_path / "no.safetensors").exists()


def test_a_concept_finds_its_objects_in_a_project_without_marks(studio, bank_file, other):
    project_id, image_id = other
    loaded = studio.banks.load(project_id, "colours.safetensors", bank_file)
    assert [(one.file_name, one.positives, one.is_used) for one in loaded] == [
        ("colours.safetensors", 1, True),
        ("colours.safetensors", 1, True),
    ]
    names = {category.name: category.id for category in studio.categories(project_id)}
    assert list(names) == ["red", "green"]
    assert studio.segment_now(project_id, [image_id]) == {image_id: 2}
    found = studio.results(image_id)
    assert {one["category_id"] for one in found["instances"] if one["score"] > 0.5} == {
        names["red"]
    }
    assert found["sought"] == list(names.values())


def test_it_is_used_together_with_the_marks_of_its_category(studio, marked, bank_file):
    studio.add_category(marked.id, "blue")
    before = PromptBank.load(bank_file).positives[marked.red.id]
    (red, green) = studio.banks.load(marked.id, "colours.safetensors", bank_file)
    assert red.category_id == marked.red.id
    again = studio.banks.save(marked.id, bank_file.with_name("again.safetensors"))
    assert PromptBank.load(again).positives[marked.red.id].tolist() == 2 * before.tolist()
    studio.banks.set_used(red.id, False)
    once = studio.banks.save(marked.id, bank_file.with_name("once.safetensors"))
    assert len(PromptBank.load(once).positives[marked.red.id]) == 1
    assert len(PromptBank.load(once).positives[green.category_id]) == 2


def test_switching_and_removing_change_what_is_looked_for(studio, bank_file, other, predictor):
    project_id, image_id = other
    red, green = studio.banks.load(project_id, "colours.safetensors", bank_file)
    studio.segment_now(project_id, [image_id])
    studio.banks.set_used(red.id, False)
    assert studio.segment_now(project_id, [image_id]) == {image_id: 0}
    path = studio._files.bank_path(project_id, green)
    studio.banks.remove(red.id)
    assert path.exists()
    studio.banks.remove(green.id)
    assert not path.exists()
    assert studio.banks.concepts(project_id) == []
    with pytest.raises(InvalidInput, match="Nothing is marked"):
        studio.start_segmentation(project_id)
    with pytest.raises(NotFound):
        studio.banks.remove(red.id)


def test_loading_twice_adds_nothing(studio, bank_file, other):
    project_id, _ = other
    first = studio.banks.load(project_id, "colours.safetensors", bank_file)
    assert studio.banks.load(project_id, "again.safetensors", bank_file) == first


def test_a_bank_of_another_model_is_refused_and_leaves_nothing(studio, bank_file, other, predictor):
    project_id, _ = other
    predictor.fingerprint = "color-2-64"
    with pytest.raises(FingerprintMismatch, match="--checkpoint, --input-size"):
        studio.banks.load(project_id, "colours.safetensors", bank_file)
    assert studio.categories(project_id) == []
    assert not list(studio._files._root.rglob("*.safetensors"))


def test_what_is_no_bank_is_refused(studio, other, tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(as_bytes(REFERENCE))
    with pytest.raises(InvalidBank, match="cannot be read"):
        studio.banks.load(other[0], "x.safetensors", path)


def test_with_another_model_in_use_a_concept_is_left_out_and_said_so(
    studio, marked, bank_file, predictor
):
    (red, _) = studio.banks.load(marked.id, "colours.safetensors", bank_file)
    assert studio.banks.foreign(marked.id) == set()
    predictor.fingerprint = "color-2-64"
    assert red.id in studio.banks.foreign(marked.id)
    job = studio.jobs.wait(studio.start_segmentation(marked.id))
    assert job.found == 2
    assert "colours.safetensors were left out" in job.problems[0]
    with pytest.raises(FingerprintMismatch):
        studio.banks.save(marked.id, bank_file)


def test_the_examples_of_a_file_count_among_the_others(studio, marked, bank_file):
    studio.banks.load(marked.id, "colours.safetensors", bank_file)
    job = studio.jobs.wait(studio.references.start_scoring(marked.id), timeout=60)
    assert not job.problems
    red, _ = studio.references.examples(marked.id)
    assert red.score > 0.7
    assert not red.is_stale
    studio.banks.set_used(studio.banks.concepts(marked.id)[0].id, False)
    red, _ = studio.references.examples(marked.id)
    assert red.is_stale


def test_a_correction_is_no_example_of_its_own(studio, marked, tmp_path):
    studio.add_prompt(
        marked.id, marked.reference.id, "red", "box", [13, 13, 15, 15], positive=False
    )
    bank = PromptBank.load(studio.banks.save(marked.id, tmp_path / "red.safetensors"))
    assert not bank.negatives
    assert len(bank.positives[marked.red.id]) == 1
