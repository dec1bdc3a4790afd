"""Projects, images, categories and prompts, as an annotator edits them."""

from __future__ import annotations

import pytest

from app.project import PALETTE, InvalidInput, StaleRevision, StoredPrompt, Task
from app.segmentation import Studio
from app.settings import Settings
from dinov.errors import InvalidPrompt
from dinov.types import Prompt, PromptType
from tests.app.conftest import as_bytes, draw


def a_prompt(image_id: int, category_id: int, name: str = "p1") -> StoredPrompt:
    return StoredPrompt(name, image_id, Prompt(category_id, PromptType.POINT, (3.0, 4.0)))


def test_everything_is_there_again_after_a_restart(marked, tmp_path):
    marked.studio.set_current_image(marked.id, marked.target.id)
    marked.studio.set_score_threshold(marked.id, 0.7)
    marked.studio.create_project("Another")
    marked.studio.open_project(marked.id)
    before = marked.studio.prompts(marked.reference.id)
    marked.studio.close()

    studio = Studio.open(Settings(data_dir=tmp_path / "data"))
    project = studio.last_project()
    assert project.id == marked.id
    assert (project.last_image_id, project.score_thresholds[Task.GENERIC]) == (
        marked.target.id,
        0.7,
    )
    assert [i.file_name for i in studio.images(marked.id)] == [
        "reference.png",
        "target.png",
        "empty.png",
    ]
    assert studio.prompts(marked.reference.id) == before
    assert studio.image_path(marked.target.id).is_file()
    studio.close()
    marked.studio = studio


def test_a_taken_project_name_gets_a_number(studio):
    names = [studio.create_project("Deer").name for _ in range(3)]
    assert names == ["Deer", "Deer 2", "Deer 3"]
    second = studio.projects()[1]
    assert studio.rename_project(second.id, second.name).name == second.name
    assert studio.rename_project(second.id, "  Red \n deer ").name == "Red deer"
    with pytest.raises(InvalidInput, match="Give the project a name"):
        studio.create_project("  ")


def test_bad_and_repeated_files_are_named_and_the_rest_goes_on(studio, tmp_path):
    project = studio.create_project()
    picture = as_bytes(draw())
    (tmp_path / "from disk.png").write_bytes(as_bytes(draw((5, 6))))
    report = studio.add_images(
        project.id,
        [
            ("empty.jpg", b""),
            ("good.png", picture),
            ("same.png", picture),
            tmp_path / "missing.png",
            tmp_path / "from disk.png",
        ],
    )
    assert [image.file_name for image in report.added] == ["good.png", "from disk.png"]
    assert [(i.width, i.height, i.is_target) for i in report.added] == [
        (80, 60, True),
        (6, 5, True),
    ]
    empty, same, missing = report.problems
    assert empty.startswith("empty.jpg is empty")
    assert same == "same.png is already in this project, as good.png."
    assert missing.startswith("missing.png: ")


def test_an_image_with_prompts_is_a_reference(marked):
    studio = marked.studio
    assert studio.image(marked.reference.id).is_reference
    assert not studio.image(marked.target.id).is_reference
    # The annotator's own choice stands until the last prompt goes.
    assert not studio.set_role(marked.reference.id, is_reference=False).is_reference
    studio.add_prompt(marked.id, marked.reference.id, "red", "point", [15, 15])
    assert not studio.image(marked.reference.id).is_reference
    studio.set_role(marked.reference.id, is_reference=True)
    rev, _ = studio.prompts(marked.reference.id)
    studio.save_prompts(marked.reference.id, rev, [])
    assert not studio.image(marked.reference.id).is_reference


def test_removing_an_image_removes_its_file_and_prompts(marked):
    path = marked.studio.image_path(marked.reference.id)
    thumbnail = marked.studio.thumbnail_path(marked.reference.id)
    marked.studio.remove_image(marked.reference.id)
    assert not path.exists()
    assert not thumbnail.exists()
    assert marked.studio.prompt_counts(marked.id) == {marked.red.id: 0}
    # The same photo can come back, under an id of its own.
    added = marked.studio.add_images(marked.id, [("r.png", as_bytes(draw((7, 7))))]).added
    assert added[0].id > marked.empty.id


def test_category_names_are_unique_and_colours_differ(studio):
    project = studio.create_project()
    cats = [studio.add_category(project.id, f" c{n} ") for n in range(len(PALETTE) + 1)]
    assert [c.name for c in cats[:2]] == ["c0", "c1"]
    assert [c.color for c in cats] == [*PALETTE, PALETTE[0]]
    for name in ("c0", "C0", " c0"):
        with pytest.raises(InvalidInput, match="already"):
            studio.add_category(project.id, name)
    assert studio.rename_category(cats[0].id, "C0").name == "C0"
    with pytest.raises(InvalidInput, match="already"):
        studio.rename_category(cats[0].id, "c1")
    assert studio.recolor_category(cats[0].id, "#ABCDEF").color == "#abcdef"
    with pytest.raises(InvalidInput, match="not a colour"):
        studio.recolor_category(cats[0].id, "red")


def test_removing_a_category_takes_its_prompts_and_nothing_else(marked):
    studio, image_id = marked.studio, marked.reference.id
    green = studio.add_prompt(marked.id, image_id, "green", "point", [60, 20])
    rev, _ = studio.prompts(image_id)
    studio.remove_category(marked.red.id)
    new_rev, prompts = studio.prompts(image_id)
    assert new_rev == rev + 1
    assert [stored.id for stored in prompts] == [green]
    assert [category.name for category in studio.categories(marked.id)] == ["green"]
    with pytest.raises(InvalidInput, match="removed"):
        studio.save_prompts(image_id, new_rev, [a_prompt(image_id, marked.red.id)])


def test_prompts_are_saved_by_revision(marked):
    studio, image_id = marked.studio, marked.target.id
    prompt = a_prompt(image_id, marked.red.id)
    assert studio.save_prompts(image_id, 0, [prompt]) == 1
    assert studio.save_prompts(image_id, 1, []) == 2
    with pytest.raises(StaleRevision) as stale:
        studio.save_prompts(image_id, 0, [prompt])
    assert stale.value.current_rev == 2
    assert studio.prompts(image_id) == (2, [])


def test_saving_the_same_prompts_again_changes_nothing(marked):
    image_id = marked.target.id
    prompts = [a_prompt(image_id, marked.red.id)]
    marked.studio.save_prompts(image_id, 0, prompts)
    # A retry after a lost answer comes with the old revision.
    assert marked.studio.save_prompts(image_id, 0, prompts) == 1


def test_two_prompts_of_one_id_are_refused(marked):
    prompt = a_prompt(marked.target.id, marked.red.id)
    other = StoredPrompt(
        "p1", marked.target.id, Prompt(marked.red.id, PromptType.POINT, (9.0, 9.0))
    )
    with pytest.raises(InvalidInput, match="same id"):
        marked.studio.save_prompts(marked.target.id, 0, [prompt, other])
    assert marked.studio.prompts(marked.target.id) == (0, [])


def test_a_prompt_added_by_name_makes_the_category_once(marked):
    for name in ("green", " Green ", "green"):
        marked.studio.add_prompt(marked.id, marked.reference.id, name, "point", [60, 20])
    counts = marked.studio.prompt_counts(marked.id)
    assert [c.name for c in marked.studio.categories(marked.id)] == ["red", "green"]
    assert list(counts.values()) == [1, 3]


@pytest.mark.parametrize(
    ("kind", "points", "message"),
    [
        ("point", [500, 500], "outside"),
        ("box", [10, 10, 10, 40], "no area"),
        ("box", [1, 2], "points"),
        ("scribble", [], "points"),
        ("point", [float("nan"), 1], "no pixels"),
    ],
)
def test_a_prompt_that_marks_nothing_is_refused_whole(marked, kind, points, message):
    with pytest.raises(InvalidPrompt, match=message):
        marked.studio.add_prompt(marked.id, marked.reference.id, "new", kind, points)
    assert [c.name for c in marked.studio.categories(marked.id)] == ["red"]


def test_prompts_of_a_wrong_kind_or_place_are_refused(marked):
    add = marked.studio.add_prompt
    with pytest.raises(InvalidInput, match="Use one of: point, box"):
        add(marked.id, marked.reference.id, "red", "lasso", [1, 1])
    with pytest.raises(InvalidInput, match="another project"):
        add(marked.studio.create_project().id, marked.reference.id, "red", "point", [1, 1])
    with pytest.raises(InvalidInput, match="no category"):
        add(marked.id, marked.reference.id, 99, "point", [1, 1])


@pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan")])
def test_a_score_threshold_outside_its_range_is_refused(marked, threshold):
    with pytest.raises(InvalidInput, match="from 0 to 1"):
        marked.studio.set_score_threshold(marked.id, threshold)
