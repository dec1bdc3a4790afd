"""Figures say what is in a project: what is shown, and what was decided."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from app.project import Origin, Task
from app.statistics import Counts, Rows, TimeBin
from tests.app.conftest import BLUE, as_bytes, decide, draw


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture
def searched(marked):
    """Two red patches shown, one of which is accepted; a small one is below the threshold."""
    marked.studio.segment_now(marked.id)
    first = marked.studio.results(marked.target.id)["instances"][0]
    decide(marked.studio, first["id"])
    return marked


def test_an_empty_project_has_figures_too(studio):
    figures = studio.statistics.figures(studio.create_project().id)
    assert (figures.images, figures.counts.instances, figures.categories) == (0, 0, ())
    assert (figures.sizes, figures.scores, figures.counts.acceptance) == ((), {}, None)
    time = figures.time
    assert (time.total, time.median, time.per_accepted, time.per_image) == (0, None, None, ())


def test_what_is_shown_is_counted_by_category_image_size_and_score(searched):
    figures = searched.studio.statistics.figures(searched.id)
    assert (figures.images, figures.segmented, figures.reviewed) == (3, 2, 0)
    assert figures.counts == Counts(2, 1, 0, 0, 0, 1.0)
    assert figures.per_image == ((0, 2), (2, 1))
    (red,) = figures.categories
    assert (red.name, red.counts.instances, red.images, red.median_area) == ("red", 2, 1, 400)
    assert red.mean_score == pytest.approx(0.9)
    # Patches of 20 by 20 pixels; each bar tells what was accepted from what was not.
    assert [(one.low, one.high, one.accepted, one.proposed) for one in figures.sizes] == [
        (16, 32, 1, 1)
    ]
    assert list(figures.scores) == [Task.GENERIC]
    (scored,) = (one for one in figures.scores[Task.GENERIC] if one.accepted + one.proposed)
    assert (scored.low, scored.accepted, scored.proposed) == (0.9, 1, 1)


def test_thresholds_and_what_was_rejected_change_the_figures(searched):
    studio = searched.studio
    studio.set_score_threshold(searched.id, 0.1)
    assert studio.statistics.figures(searched.id).counts.instances == 3
    studio.review.set_category_threshold(searched.red.id, 0.95)
    assert studio.statistics.figures(searched.id).counts == Counts(1, 1, 0, 0, 0, 1.0)
    studio.review.set_category_threshold(searched.red.id, None)
    worst = studio.results(searched.target.id)["instances"][-1]
    decide(studio, worst["id"], "rejected")
    figures = studio.statistics.figures(searched.id)
    assert figures.counts == Counts(2, 1, 0, 0, 1, 0.5)
    assert figures.categories[0].counts == figures.counts
    studio.review.mark(searched.target.id)
    assert studio.statistics.figures(searched.id).reviewed == 1


def test_what_was_made_by_hand_says_nothing_of_the_model(searched):
    """A drawn instance counts, but nobody had to accept it, and it has no score of a run."""
    studio, store = searched.studio, searched.studio._store
    (accepted,) = (
        one for one in store.instances(searched.target.id) if one.status.value == "accepted"
    )
    run_id = store.drawn_run(searched.id)
    drawn = replace(accepted, run_id=run_id, origin=type(accepted.origin).DRAWN, score=1.0)
    store.add_instance(drawn)
    store.update_instance(replace(accepted, origin=type(accepted.origin).EDITED))
    rejected = next(i for i in store.instances(searched.target.id) if i.status.value == "proposed")
    decide(studio, rejected.id, "rejected")
    figures = studio.statistics.figures(searched.id)
    assert figures.counts == Counts(2, 2, 1, 1, 1, 0.5)
    assert figures.categories[0].mean_score == pytest.approx(0.9)
    assert sum(one.accepted for one in figures.scores[Task.GENERIC]) == 1
    assert sum(one.accepted for one in figures.sizes) == 2


def test_tables_hold_a_row_for_everything(searched):
    studio = searched.studio
    (category,) = read(studio.statistics.table(searched.id, Rows.CATEGORIES))
    shown = (category["category"], category["instances"], category["acceptance"])
    assert shown == ("red", "2", "1.0")
    images = read(studio.statistics.table(searched.id, Rows.IMAGES))
    assert [(one["image"], one["status"], one["instances"]) for one in images] == [
        ("reference.png", "proposed", "0"),
        ("target.png", "proposed", "2"),
        ("empty.png", "proposed", "0"),
    ]
    instances = read(studio.statistics.table(searched.id, Rows.INSTANCES))
    assert {one["status"] for one in instances} == {"accepted", "proposed"}
    assert {(one["area"], one["origin"], one["task"]) for one in instances} == {
        ("400", "found", "generic")
    }


def test_time_spent_is_told_by_image_and_by_accepted_instance(searched):
    studio, store = searched.studio, searched.studio._store
    for image, seconds in (
        (searched.reference, 12.0),
        (searched.target, 100),
        (searched.target, 8),
    ):
        store.add_seconds_spent(image.id, seconds)
    studio.review.mark(searched.target.id)
    time = studio.statistics.figures(searched.id).time
    # Two accepted instances; the image that nobody has worked on is left out of the median.
    assert (time.total, time.images, time.median) == (120.0, 2, 60.0)
    assert time.per_accepted == pytest.approx(60.0)
    filled = [one for one in time.per_image if one.reviewed + one.to_review]
    assert filled == [TimeBin(10, 20, 0, 1), TimeBin(60, 120, 1, 0)]
    assert time.per_image[-1] == filled[-1]
    images = read(studio.statistics.table(searched.id, Rows.IMAGES))
    assert [one["seconds"] for one in images] == ["12.0", "108.0", "0.0"]
    # Nobody spent time on what came from a file.
    first = next(one for one in store.instances(searched.target.id) if one.score > 0.5)
    store.update_instance(replace(first, origin=Origin.IMPORTED))
    assert studio.statistics.figures(searched.id).time.per_accepted == pytest.approx(120.0)


def test_a_name_is_no_formula_for_a_spreadsheet(marked):
    studio = marked.studio
    blue = as_bytes(draw(patches=[(0, 0, 20, 20, BLUE)]))
    image = studio.add_images(marked.id, [("-1+2.png", blue)]).added[0]
    studio.add_prompt(marked.id, image.id, "=SUM(A1)", "point", [5, 5])
    names = [one["category"] for one in read(studio.statistics.table(marked.id, Rows.CATEGORIES))]
    assert names == ["red", "'=SUM(A1)"]
    images = read(studio.statistics.table(marked.id, Rows.IMAGES))
    assert images[-1]["image"] == "'-1+2.png"
