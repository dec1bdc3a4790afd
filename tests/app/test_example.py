"""The example is a project with marks and targets, made once."""

from __future__ import annotations

import pytest

from app.example import fill_example
from dinov.errors import InvalidReferences
from dinov.masks import rasterise


def test_the_example_has_marks_on_references_and_targets_to_segment(studio):
    project = studio.open_example()
    images, counts = studio.images(project.id), studio.counts(project.id)
    marked = [image for image in images if counts[image.id].prompts]
    assert marked
    assert all(image.is_reference for image in marked)
    assert len(images) > len(marked)
    assert all(studio.prompt_counts(project.id).values())
    for image in marked:
        for stored in studio.prompts(image.id)[1]:
            assert rasterise(stored.prompt, (image.height, image.width)).any()


def test_the_example_is_opened_again_as_it_was_left(studio):
    project = studio.open_example()
    first = studio.images(project.id)[0]
    studio.remove_image(first.id)
    studio.create_project("Mine")
    assert studio.open_example().id == project.id == studio.last_project().id
    assert first.id not in [image.id for image in studio.images(project.id)]


def test_an_example_that_is_not_there_leaves_no_project(studio, tmp_path, monkeypatch):
    with pytest.raises(InvalidReferences):
        fill_example(studio, studio.create_project("x").id, tmp_path)
    monkeypatch.setattr("app.segmentation.fill_example", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        studio.open_example()
    assert [project.name for project in studio.projects()] == ["x"]
