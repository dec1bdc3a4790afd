"""Users reach only what is theirs or shared, whatever use case they try."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from app import door
from app.access import acting_as
from app.project import AppError, NotFound
from app.segmentation import Studio
from tests.app.conftest import Marked

# Named together with the image or sequence that it lies on, which is checked.
WITHIN = {"prompt_id", "from_image_id"}


@pytest.fixture
def users(studio: Studio) -> Studio:
    return studio.for_users()


@pytest.fixture
def annas(studio: Studio) -> Marked:
    """Anna's project with images, a prompt and results."""
    with acting_as("anna"):
        marked = Marked(studio)
        studio.segment_now(marked.id)
    return marked


def use_cases(studio: Studio):
    """Every method that users can reach, with its name; parts of the studio included."""
    parts = [studio, *(part for name, part in vars(studio).items() if not name.startswith("_"))]
    for part in parts:
        for name, method in inspect.getmembers(part, inspect.isroutine):
            if not name.startswith("_"):
                yield name, method


def ids_of(studio: Studio, marked: Marked, bank: Path) -> dict[str, object]:
    instance = studio.results(marked.target.id)["instances"][0]["id"]
    job = studio.latest_job(marked.id)
    assert job
    frames = studio.videos.make_sequence(marked.id, "all", [marked.reference.id, marked.target.id])
    (concept,) = studio.banks.load(marked.id, "red.safetensors", bank)
    ids: dict[str, object] = {
        "project_id": marked.id,
        "image_id": marked.target.id,
        "category_id": marked.red.id,
        "instance_id": instance,
        "job_id": job.id,
        "concept_id": concept.id,
        "sequence_id": frames.id,
    }
    return ids | {f"{name}s": [id_] for name, id_ in ids.items()}


def test_every_use_case_that_names_something_is_checked(studio, users, annas, tmp_path):
    """Also those that will be written: whatever takes an id is refused to whom it is not open."""
    bank = studio.banks.save(annas.id, tmp_path / "red.safetensors")
    known = ids_of(studio, annas, bank)
    checked = set()
    for name, method in use_cases(studio):
        parameters = inspect.signature(method).parameters
        named = [parameter for parameter in parameters if parameter in door.IDS]
        unknown = {p for p in parameters if p.endswith(("_id", "_ids"))} - set(door.IDS) - WITHIN
        assert not unknown, f"{name} names things by {unknown}, which the door does not know"
        for parameter in named:
            guarded = door._Door(method.__self__, studio._store)
            only_this = {p: known[p] if p == parameter else None for p in parameters}
            with acting_as("ben"), pytest.raises(NotFound, match="not shared with you"):
                getattr(guarded, name)(**only_this)
            checked.add(name)
    assert {"prompts", "save_prompts", "relabel", "rename_category", "cancel"} <= checked
    assert studio.projects()[0].id == annas.id


def test_what_names_nothing_is_closed_unless_it_is_said_to_be_open(users):
    with acting_as("anna"):
        assert users.projects() == []
        with pytest.raises(PermissionError):
            users.close()
        with pytest.raises(AttributeError):
            users._files  # noqa: B018


def test_a_request_without_a_user_sees_nothing(users, annas):
    with pytest.raises(NotFound):
        users.project(annas.id)


def test_projects_are_their_owners_until_they_are_shared(studio, users, annas):
    with acting_as("anna"):
        assert users.project(annas.id).owner == "anna"
        assert [one.id for one in users.projects()] == [annas.id]
    with acting_as("ben"):
        assert users.projects() == []
        assert users.last_project() is None
    with acting_as("anna"):
        users.sharing.set_shared(annas.id, True)
    with acting_as("ben"):
        assert [one.id for one in users.projects()] == [annas.id]
        users.rename_category(annas.red.id, "crimson")
        with pytest.raises(NotFound, match="belongs to anna"):
            users.sharing.set_shared(annas.id, False)
        with pytest.raises(NotFound, match="belongs to anna"):
            users.library.delete_project(annas.id)
    with acting_as("anna"):
        users.sharing.set_shared(annas.id, False)
    with acting_as("ben"), pytest.raises(NotFound):
        users.project(annas.id)


def test_a_project_from_before_there_were_accounts_is_everybodys(studio, users):
    project = studio.create_project("Old")
    with acting_as("ben"):
        assert users.open_project(project.id).owner is None
        users.library.delete_project(project.id)
    assert studio.projects() == []


def test_the_trash_and_background_work_are_everybodys_own(studio, users, annas):
    with acting_as("anna"):
        copy = studio.jobs.wait(users.library.duplicate(annas.id), timeout=60)
        assert users.project(copy.result["project_id"]).owner == "anna"
        users.library.delete_project(annas.id)
        assert [one.id for one in users.library.trash()] == [annas.id]
    with acting_as("ben"):
        assert users.library.summaries() == []
        assert users.library.trash() == []
        users.library.empty_trash()
        for use in (users.library.restore, lambda id_: users.jobs.recent([id_])):
            with pytest.raises(NotFound):
                use(annas.id)
        with pytest.raises(NotFound):
            users.jobs.go_on(copy.id)
    with acting_as("anna"):
        assert users.library.restore(annas.id).name == "Patches"


def test_one_of_several_ids_that_is_not_open_closes_the_call(studio, users, annas):
    with acting_as("ben"):
        own = users.create_project("Ben's")
        with pytest.raises(NotFound):
            users.start_segmentation(own.id, [annas.target.id])


def test_everybody_has_an_example_of_their_own(users):
    with acting_as("anna"):
        first = users.open_example()
        assert users.open_example().id == first.id
    with acting_as("ben"):
        second = users.open_example()
        assert second.id != first.id
        assert users.open_example().id == second.id


def test_without_accounts_everything_is_open(studio):
    project = studio.create_project("Mine")
    assert studio.project(project.id).owner is None
    with pytest.raises(AppError):
        studio.for_users().project(project.id)
