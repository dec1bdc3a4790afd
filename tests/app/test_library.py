"""Projects as a whole: summed up, copied, deleted and taken back."""

from __future__ import annotations

import json

import pytest

from app.project import JobState, NotFound
from app.segmentation import Studio
from app.settings import Settings
from tests.app.conftest import RED, as_bytes, decide, draw


def duplicate(marked) -> str:
    studio = marked.studio
    job = studio.jobs.wait(studio.library.duplicate(marked.id), timeout=60)
    assert job.state is JobState.DONE, job.message
    return job.result["project_id"]


def export(studio, project_id, path) -> dict:
    studio.export_coco(project_id, path)
    document = json.loads(path.read_text())
    del document["info"]
    return document


def statuses(studio, image_id) -> set[str]:
    return {one["status"] for one in studio.results(image_id)["instances"]}


def without_ids(document) -> str:
    """The same for what was exported of a project and of its copy."""
    order = {
        f"{kind}_id": {row["id"]: number for number, row in enumerate(document[rows])}
        for kind, rows in (("image", "images"), ("category", "categories"))
    }
    for row in [*document["images"], *document["categories"], *document["annotations"]]:
        del row["id"]
        row |= {key: numbers[row[key]] for key, numbers in order.items() if key in row}
    return json.dumps(document, sort_keys=True)


def test_a_copy_has_everything_and_shares_only_the_room_on_disk(marked, tmp_path):
    studio = marked.studio
    studio.segment_now(marked.id)
    decide(studio, studio.results(marked.target.id)["instances"][0]["id"])
    studio.set_current_image(marked.id, marked.target.id)
    copy_id = duplicate(marked)
    copy = studio.project(copy_id)
    assert copy.name == "Patches (copy)"
    image = studio.image(copy.last_image_id)
    assert image.file_name == "target.png"
    assert studio.image_path(image.id).samefile(studio.image_path(marked.target.id))
    assert [len(studio.prompts(one.id)[1]) for one in studio.images(copy_id)] == [1, 0, 0]
    assert without_ids(export(studio, copy_id, tmp_path / "copy.json")) == without_ids(
        export(studio, marked.id, tmp_path / "original.json")
    )
    (category,) = studio.categories(copy_id)
    assert [list(run.prompt_ids) for run in studio._store.runs(copy_id)] == [[category.id]]

    # What happens to one does not happen to the other.
    studio.remove_category(category.id)
    studio.remove_image(image.id)
    assert len(studio.images(marked.id)) == 3
    assert studio.image_path(marked.target.id).is_file()
    assert studio.counts(marked.id)[marked.target.id].shown == 2


def test_a_copy_keeps_reviews_and_sequences(marked):
    studio = marked.studio
    studio.segment_now(marked.id)
    studio.review.mark(marked.target.id)
    frames = [image.id for image in studio.images(marked.id)][1:]
    studio.videos.make_sequence(marked.id, "clip", frames)
    copy_id = duplicate(marked)
    copies = [image.id for image in studio.images(copy_id)]
    (sequence,) = studio.videos.sequences(copy_id)
    assert (sequence.name, list(sequence.image_ids)) == ("clip", copies[1:])
    target = next(i for i in studio.images(copy_id) if i.file_name == "target.png").id
    assert "accepted" in statuses(studio, target)
    studio.review.unmark(target)
    assert "accepted" not in statuses(studio, target)
    assert "accepted" in statuses(studio, marked.target.id)


def test_a_copy_is_segmented_like_any_project(marked):
    copy_id = duplicate(marked)
    counts = marked.studio.segment_now(copy_id)
    assert sorted(counts.values()) == [0, 2]
    assert marked.studio.library.duplicate(copy_id)


def test_a_deleted_project_can_be_restored_until_the_trash_is_emptied(marked):
    studio, library = marked.studio, marked.studio.library
    path = studio.image_path(marked.target.id)
    studio.segment_now(marked.id)
    library.delete_project(marked.id)
    assert studio.projects() == []
    for use in (studio.project, library.delete_project, studio.open_project, library.duplicate):
        with pytest.raises(NotFound):
            use(marked.id)
    (trashed,) = library.trash()
    assert (trashed.id, trashed.name) == (marked.id, "Patches")

    # Its name is free meanwhile.
    assert studio.create_project("Patches").name == "Patches"
    assert library.restore(marked.id).name == "Patches 2"
    assert studio.counts(marked.id)[marked.target.id].shown == 2
    with pytest.raises(NotFound):
        library.restore(marked.id)

    library.delete_project(marked.id)
    library.empty_trash(older_than_days=1)
    assert path.exists()
    library.empty_trash()
    assert not path.exists()
    assert library.trash() == []


def test_old_trash_is_removed_at_the_next_start(marked, tmp_path):
    studio = marked.studio
    studio.library.delete_project(marked.id)
    young = studio.create_project("young")
    studio.library.delete_project(young.id)
    studio._store._update("projects", marked.id, {"deleted_at": "2020-01-01T00:00:00+00:00"})
    studio.close()
    marked.studio = Studio.open(Settings(data_dir=tmp_path / "data"))
    assert [trashed.id for trashed in marked.studio.library.trash()] == [young.id]
    marked.studio.close()


def test_summaries_count_what_is_shown_and_the_room_it_takes(marked):
    studio = marked.studio
    studio.segment_now(marked.id)
    empty = studio.create_project("Nothing yet")
    none, (some, size) = studio.library.summaries()
    assert (none[0].project.id, none[0].images, none[1]) == (empty.id, 0, 0)
    assert (some.images, some.segmented_images, some.reviewed_images) == (3, 2, 0)
    assert (some.prompts, some.instances) == (1, 2)
    assert [image.file_name for image in some.covers] == [
        "reference.png",
        "target.png",
        "empty.png",
    ]
    assert size >= studio.image_path(marked.target.id).stat().st_size


def test_the_last_change_is_a_change_and_not_a_look(marked):
    studio = marked.studio
    before = studio.project(marked.id).updated_at
    studio.open_project(marked.id)
    studio.set_current_image(marked.id, marked.target.id)
    assert studio.project(marked.id).updated_at == before
    studio.add_prompt(marked.id, marked.reference.id, "red", "point", [15, 15])
    after = studio.project(marked.id).updated_at
    assert after > before
    studio.add_images(marked.id, [("new.png", as_bytes(draw(patches=[(0, 0, 9, 9, RED)])))])
    assert studio.project(marked.id).updated_at > after
