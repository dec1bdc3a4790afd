"""The database keeps what was saved and forgets what failed."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from app.migrations import MIGRATIONS
from app.project import (
    InvalidInput,
    NotFound,
    RunOptions,
    ServerError,
    StoredPrompt,
    Task,
)
from app.store import Store
from dinov.types import Category, Prompt, PromptType, Rle


@pytest.fixture
def store(tmp_path: Path) -> Store:
    opened = Store(tmp_path / "studio.sqlite3")
    yield opened
    opened.close()


def add_image(store: Store, project_id: str, digest: str = "a"):
    return store.add_image(
        project_id, file_name=f"{digest}.png", suffix=".png", sha256=digest, width=8, height=6
    )


def test_a_failed_transaction_leaves_the_old_data(store):
    project = store.add_project("one")

    def rename_and_fail() -> None:
        with store.transaction():
            store.update_project(project.id, name="two")
            store.add_project("three")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        rename_and_fail()
    assert [p.name for p in store.projects()] == ["one"]


def test_a_nested_failure_undoes_the_outer_transaction(store):
    def add_and_fail() -> None:
        with store.transaction():
            store.add_project("one")
            with store.transaction():
                store.image(7)

    with pytest.raises(NotFound):
        add_and_fail()
    assert store.projects() == []


def test_ids_are_not_used_again(store):
    project = store.add_project("one")
    first = add_image(store, project.id)
    store.remove_image(first.id)
    assert add_image(store, project.id).id > first.id >= 1


def test_the_same_content_is_not_stored_twice_in_a_project(store):
    project, other = store.add_project("one"), store.add_project("two")
    add_image(store, project.id)
    add_image(store, other.id)
    with pytest.raises(InvalidInput, match=r"a\.png is already"):
        add_image(store, project.id)


def test_prompts_survive_the_round_trip(store, tmp_path):
    project = store.add_project("one")
    image = add_image(store, project.id)
    category = store.add_category(project.id, Category(0, "Büffel", "#00ff00"))
    prompts = [
        StoredPrompt(
            "s", image.id, Prompt(category.id, PromptType.SCRIBBLE, (1.5, 2.0, 3.0, 4.1), 3.0)
        ),
        StoredPrompt(
            "m",
            image.id,
            Prompt(
                category.id, PromptType.MASK, rle=Rle(size=[6, 8], counts="0`1"), positive=False
            ),
        ),
    ]
    store.replace_prompts(image.id, prompts, rev=1)
    reopened = Store(tmp_path / "studio.sqlite3")
    assert reopened.prompts(image.id) == reopened.project_prompts(project.id) == prompts
    assert reopened.image(image.id).prompts_rev == 1
    reopened.close()


def test_removing_a_project_removes_all_its_rows(store, tmp_path):
    project = store.add_project("one")
    image = add_image(store, project.id)
    store.add_category(project.id, Category(0, "cat", "#00ff00"))
    run_id = store.add_run(project.id, checkpoint="c", fingerprint="f", prompt_ids={})
    store.replace_proposals(image.id, run_id, "key", [])
    store.add_job(project.id, "segment", "{}", title="Segment")
    store.remove_project(project.id)
    with sqlite3.connect(tmp_path / "studio.sqlite3") as connection:
        tables = ("projects", "images", "categories", "runs", "instances", "jobs")
        counts = [connection.execute(f"SELECT COUNT(*) FROM {t}").fetchone()[0] for t in tables]
    connection.close()
    assert counts == [0] * len(tables)


def test_changing_what_is_gone_says_so(store):
    with pytest.raises(NotFound):
        store.update_project("gone", name="x")
    with pytest.raises(NotFound):
        store.update_image(3, is_target=True)
    store.update_job("gone", done=1)  # its project may be deleted while it runs


def test_threads_write_side_by_side(store):
    project = store.add_project("one")
    errors = []

    def write(number: int) -> None:
        try:
            for step in range(20):
                add_image(store, project.id, f"{number}-{step}")
        except sqlite3.Error as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    positions = [image.position for image in store.images(project.id)]
    assert positions == list(range(1, 101))


def test_a_database_of_the_first_version_is_brought_up_to_date(tmp_path):
    path = tmp_path / "studio.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.executescript(MIGRATIONS[0])
        connection.executescript(
            """
            PRAGMA user_version = 1;
            INSERT INTO projects VALUES ('p', 'Deer', 'now', 'now', 'now', 0.7, NULL);
            INSERT INTO runs VALUES (1, 'p', 'now', 'lite', 'f', '{"3": ["a"]}');
            INSERT INTO runs VALUES (2, 'p', 'now', 'imported', 'deer.json', '{}');
            """
        )
    connection.close()
    store = Store(path)
    project = store.project("p")
    assert project.run_options == RunOptions(Task.GENERIC, in_tiles=False)
    assert project.score_thresholds == {Task.GENERIC: 0.7, Task.REFER: 0.0}
    assert [store.run(1).options, store.run(2).options] == [RunOptions(), None]
    assert store.run(1).prompt_ids == {3: ["a"]}
    store.close()


def test_a_database_of_a_newer_version_is_left_alone(tmp_path):
    path = tmp_path / "studio.sqlite3"
    Store(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    with pytest.raises(ServerError, match="newer version"):
        Store(path)


def test_a_file_that_is_no_database_is_named(tmp_path):
    path = tmp_path / "studio.sqlite3"
    path.write_bytes(b"not a database, but long enough to be looked at by sqlite")
    with pytest.raises(ServerError, match=r"studio\.sqlite3"):
        Store(path)
    assert path.read_bytes().startswith(b"not a database")


def test_a_folder_in_the_place_of_the_file_is_named(tmp_path):
    with pytest.raises(ServerError, match="--data-dir"):
        Store(tmp_path)
