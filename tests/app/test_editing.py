from __future__ import annotations

import numpy as np
import pytest

from app.project import InstanceStatus, InvalidInput, NotFound, Origin, StaleEdit, StoredInstance
from dinov.errors import InvalidPrompt
from dinov.mask_edits import Stroke
from dinov.masks import decode_rle, encode_rle
from dinov.types import Prompt, PromptType

ACCEPTED, REJECTED, PROPOSED = (
    InstanceStatus.ACCEPTED,
    InstanceStatus.REJECTED,
    InstanceStatus.PROPOSED,
)


class Bench:
    """The segmented target of a marked project: two patches of 400 pixels and one of 16."""

    def __init__(self, marked) -> None:
        self.marked, self.studio = marked, marked.studio
        self.editing, self.image_id = marked.studio.editing, marked.target.id
        self.studio.segment_now(marked.id)
        self.first, self.second, self.small = [one.id for one in self.instances()]

    def instances(self, image_id: int | None = None) -> list[StoredInstance]:
        found = self.studio._store.instances(image_id or self.image_id)
        return sorted(found, key=lambda one: one.id)

    def one(self, instance_id: int) -> StoredInstance:
        return self.studio._store.instance(instance_id)

    def mask(self, instance_id: int) -> np.ndarray:
        return decode_rle(self.one(instance_id).rle)

    def undo(self) -> None:
        self.studio.history.undo(self.image_id)


@pytest.fixture
def bench(marked) -> Bench:
    return Bench(marked)


def test_decisions_are_kept_and_a_new_segmentation_leaves_them(bench):
    bench.editing.decide(bench.image_id, [bench.first], ACCEPTED)
    bench.editing.decide(bench.image_id, [bench.second, bench.small], REJECTED)
    decided = [(one.id, one.status) for one in bench.instances()]
    assert [status for _, status in decided] == [ACCEPTED, REJECTED, REJECTED]
    bench.studio.add_prompt(bench.marked.id, bench.marked.reference.id, "red", "point", [15, 15])
    bench.studio.segment_now(bench.marked.id)
    assert [(one.id, one.status) for one in bench.instances()] == decided
    bench.undo()
    assert bench.one(bench.small).status is PROPOSED


def test_what_was_edited_or_drawn_is_accepted_and_outlives_a_segmentation(bench):
    bench.editing.brush(bench.image_id, bench.first, [Stroke((5, 5), 4)])
    shape = Prompt(bench.marked.red.id, PromptType.BOX, (60, 5, 75, 20))
    (drawn,) = bench.editing.draw(bench.image_id, shape).instances
    bench.studio.add_prompt(bench.marked.id, bench.marked.reference.id, "red", "point", [15, 15])
    bench.studio.segment_now(bench.marked.id)
    kept = {one.id: (one.origin, one.status) for one in bench.instances()}
    assert kept[bench.first] == (Origin.EDITED, ACCEPTED)
    assert kept[drawn] == (Origin.DRAWN, ACCEPTED)
    assert len(kept) == 4


def test_relabelling_accepts_and_keeps_the_mask(bench):
    before = bench.one(bench.first)
    other = bench.studio.add_category(bench.marked.id, "other").id
    bench.editing.relabel(bench.image_id, [bench.first, bench.second], other)
    after = bench.one(bench.first)
    assert (after.category_id, after.status, after.rle) == (other, ACCEPTED, before.rle)
    assert after.origin is Origin.EDITED
    bench.undo()
    assert bench.one(bench.first) == StoredInstance(**{**vars(before), "rev": after.rev + 1})
    foreign = bench.studio.create_project("Foreign")
    strange = bench.studio.add_category(foreign.id, "strange").id
    with pytest.raises(InvalidInput, match="another project"):
        bench.editing.relabel(bench.image_id, [bench.first], strange)


def test_deleting_is_for_good_until_it_is_undone(bench):
    bench.editing.delete(bench.image_id, [bench.first, bench.small])
    assert [one.id for one in bench.instances()] == [bench.second]
    bench.undo()
    assert [one.id for one in bench.instances()] == [bench.first, bench.second, bench.small]


def test_merged_instances_are_one_with_all_pixels(bench):
    union = bench.mask(bench.first) | bench.mask(bench.small)
    bench.editing.merge(bench.image_id, [bench.first, bench.small])
    assert [one.id for one in bench.instances()] == [bench.first, bench.second]
    merged = bench.one(bench.first)
    assert np.array_equal(bench.mask(bench.first), union)
    assert (merged.area, merged.box_xyxy) == (416, (5, 5, 74, 54))
    bench.undo()
    assert [one.area for one in bench.instances()] == [400, 400, 16]
    with pytest.raises(InvalidInput, match="two or more"):
        bench.editing.merge(bench.image_id, [bench.first, bench.first])


def test_a_stroke_splits_an_instance_and_says_so_where_it_does_not(bench):
    whole = bench.mask(bench.first)
    changes = bench.editing.split(bench.image_id, bench.first, [12, 0, 12, 30])
    pieces = [bench.mask(instance_id) for instance_id in changes.instances]
    assert len(pieces) == 2
    assert bench.first in changes.instances
    assert np.array_equal(np.sum(pieces, axis=0), whole.astype(int))
    for instance_id in changes.instances:
        assert bench.one(instance_id).status is ACCEPTED
        assert bench.one(instance_id).category_id == bench.marked.red.id
    bench.undo()
    assert np.array_equal(bench.mask(bench.first), whole)
    assert len(bench.instances()) == 3
    with pytest.raises(InvalidInput, match="does not cut through"):
        bench.editing.split(bench.image_id, bench.first, [12, 0, 12, 15])


def test_separate_parts_become_instances(bench):
    bench.editing.merge(bench.image_id, [bench.first, bench.second])
    changes = bench.editing.separate(bench.image_id, bench.first)
    assert [bench.one(instance_id).area for instance_id in changes.instances] == [400, 400]
    with pytest.raises(InvalidInput, match="in one part"):
        bench.editing.separate(bench.image_id, bench.first)


def test_the_brush_adds_and_erases(bench):
    strokes = [Stroke((30, 15), 6), Stroke((0, 15, 40, 15), 3, erases=True)]
    bench.editing.brush(bench.image_id, bench.first, strokes)
    mask = bench.mask(bench.first)
    assert mask[13, 30]
    assert not mask[15].any()
    assert mask[10, 10]
    assert bench.one(bench.first).area == mask.sum()
    with pytest.raises(InvalidInput, match="Delete it instead"):
        bench.editing.brush(bench.image_id, bench.first, [Stroke((20, 15), 200, erases=True)])


def test_an_outline_replaces_the_mask_and_keeps_holes(bench):
    outer, hole = [0, 0, 20, 0, 20, 20, 0, 20], [5, 5, 10, 5, 10, 10, 5, 10]
    bench.editing.outline(bench.image_id, bench.first, [outer, hole])
    assert bench.one(bench.first).area == 375
    bench.editing.fill_holes(bench.image_id, [bench.first])
    assert bench.one(bench.first).area == 400
    with pytest.raises(InvalidPrompt):
        bench.editing.outline(bench.image_id, bench.first, [[0, 0, 1, 1]])
    with pytest.raises(InvalidInput, match="Delete it instead"):
        bench.editing.outline(bench.image_id, bench.first, [[900, 900, 950, 900, 950, 950]])


def test_specks_go_and_outlines_become_simpler(bench):
    bench.editing.brush(bench.image_id, bench.first, [Stroke((70, 5), 1), Stroke((25, 15), 3)])
    assert bench.one(bench.first).box_xyxy[2] == 71
    bench.editing.remove_specks(bench.image_id, [bench.first])
    assert bench.one(bench.first).box_xyxy[2] < 30
    bench.editing.simplify(bench.image_id, [bench.first], tolerance=3)
    assert bench.one(bench.first).area == 400
    with pytest.raises(InvalidInput, match="tolerance"):
        bench.editing.simplify(bench.image_id, [bench.first], tolerance=0)


def test_what_changes_nothing_is_no_step(bench):
    bench.editing.fill_holes(bench.image_id, [bench.first])
    assert bench.studio.history.view(bench.image_id).undo is None
    assert bench.one(bench.first).status is PROPOSED


def test_stacking_goes_above_and_below_what_is_overlapped(bench):
    bench.editing.brush(bench.image_id, bench.second, [Stroke((15, 15), 6)])
    bench.editing.bring_forward(bench.image_id, [bench.first])
    assert bench.one(bench.first).z_order > bench.one(bench.second).z_order
    bench.editing.send_back(bench.image_id, [bench.first])
    assert bench.one(bench.first).z_order < bench.one(bench.second).z_order
    bench.editing.bring_forward(bench.image_id, [bench.small])
    assert bench.one(bench.small).z_order == 0


@pytest.mark.parametrize(
    ("type_", "points", "area"),
    [(PromptType.BOX, (10, 10, 20, 30), 200), (PromptType.POLYGON, (0, 0, 20, 0, 20, 20), 200)],
)
def test_drawing_needs_no_model(marked, predictor, type_, points, area):
    shape = Prompt(marked.red.id, type_, points)
    (drawn,) = marked.studio.editing.draw(marked.empty.id, shape).instances
    one = marked.studio._store.instance(drawn)
    assert one.area == pytest.approx(area, abs=15)
    assert (one.status, one.origin, one.score) == (ACCEPTED, Origin.DRAWN, 1.0)
    assert marked.studio.counts(marked.id)[marked.empty.id].shown == 1
    assert not marked.studio.counts(marked.id)[marked.empty.id].is_segmented
    assert predictor.segmented == 0
    marked.studio.history.undo(marked.empty.id)
    assert marked.studio.results(marked.empty.id)["instances"] == []


def test_drawing_with_the_brush(marked):
    painted = np.zeros((60, 80), np.bool_)
    painted[5:15, 10:40] = True
    shape = Prompt(marked.red.id, PromptType.MASK, rle=encode_rle(painted))
    (drawn,) = marked.studio.editing.draw(marked.empty.id, shape).instances
    assert np.array_equal(decode_rle(marked.studio._store.instance(drawn).rle), painted)
    nothing = Prompt(marked.red.id, PromptType.BOX, (900, 900, 950, 950))
    with pytest.raises(InvalidPrompt, match="no area"):
        marked.studio.editing.draw(marked.empty.id, nothing)
    point = Prompt(marked.red.id, PromptType.POINT, (1, 1))
    with pytest.raises(InvalidInput, match="box, a polygon or a brush"):
        marked.studio.editing.draw(marked.empty.id, point)


def test_many_are_decided_at_once_and_taken_back_as_one(bench):
    more = bench.studio._store.instances(bench.marked.empty.id)
    assert more == []
    bulk = bench.editing.decide_by_score(bench.marked.id, ACCEPTED, at_least=0.5)
    assert (bulk.instances, bulk.images, bulk.title) == (2, 1, "2 objects accepted")
    assert [one.status for one in bench.instances()] == [ACCEPTED, ACCEPTED, PROPOSED]
    bench.undo()
    assert [one.status for one in bench.instances()] == [PROPOSED] * 3
    rejected = bench.editing.decide_by_score(bench.marked.id, REJECTED, below=0.5)
    assert rejected.instances == 1
    assert bench.one(bench.small).status is REJECTED
    nothing = bench.editing.decide_by_score(bench.marked.id, REJECTED, below=0.5)
    assert nothing is None


def test_a_decision_about_the_project_is_taken_back_where_nothing_was_done_since(bench):
    studio = bench.studio
    studio.set_role(bench.marked.reference.id, is_target=True)
    studio.segment_now(bench.marked.id)
    bulk = bench.editing.decide_by_score(bench.marked.id, ACCEPTED, category_id=bench.marked.red.id)
    assert (bulk.instances, bulk.images) == (4, 2)
    assert bulk.title == "4 objects accepted on 2 images"
    assert studio.history.latest_bulk(bench.marked.id) == bulk
    studio.editing.decide(bench.image_id, [bench.first], REJECTED)
    undone, kept = studio.history.undo_bulk(bench.marked.id, bulk.id)
    assert (undone.images, kept) == (1, 1)
    (other,) = bench.instances(bench.marked.reference.id)
    assert other.status is PROPOSED
    assert [one.status for one in bench.instances()] == [REJECTED, ACCEPTED, ACCEPTED]
    bench.undo()
    undone, kept = studio.history.undo_bulk(bench.marked.id, bulk.id)
    assert (undone.instances, kept) == (3, 0)
    assert studio.history.latest_bulk(bench.marked.id) is None
    with pytest.raises(InvalidInput):
        studio.history.undo_bulk(bench.marked.id, bulk.id)


def test_a_bulk_decision_can_be_for_one_image_or_category(bench):
    studio = bench.studio
    other = studio.add_category(bench.marked.id, "other").id
    assert bench.editing.decide_by_score(bench.marked.id, ACCEPTED, category_id=other) is None
    nothing = bench.editing.decide_by_score(
        bench.marked.id, ACCEPTED, image_id=bench.marked.empty.id
    )
    assert nothing is None


def test_what_was_seen_otherwise_is_not_edited(bench):
    seen = {bench.first: bench.one(bench.first).rev}
    bench.editing.require_seen(bench.image_id, seen)
    bench.editing.decide(bench.image_id, [bench.first], ACCEPTED)
    with pytest.raises(StaleEdit, match="another window"):
        bench.editing.require_seen(bench.image_id, seen)
    with pytest.raises(StaleEdit):
        bench.editing.require_seen(bench.image_id, {999: 0})


def test_instances_of_other_images_and_unknown_ones_are_refused(bench):
    with pytest.raises(InvalidInput, match="not on this image"):
        bench.editing.delete(bench.marked.empty.id, [bench.first])
    with pytest.raises(NotFound):
        bench.editing.decide(bench.image_id, [999], ACCEPTED)
    with pytest.raises(InvalidInput, match="Select"):
        bench.editing.simplify(bench.image_id, [])


def test_large_photos_are_edited_at_full_size(studio):
    from tests.app.conftest import as_bytes, draw

    project_id = studio.create_project("Large").id
    picture = as_bytes(draw((300, 4200)))
    (image,) = studio.add_images(project_id, [("large.png", picture)]).added
    category = studio.add_category(project_id, "thing").id
    shape = Prompt(category, PromptType.BOX, (4001.0, 100.0, 4101.0, 201.0))
    (drawn,) = studio.editing.draw(image.id, shape).instances
    assert studio._store.instance(drawn).area == 100 * 101
    studio.editing.brush(image.id, drawn, [Stroke((4150, 150), 5)])
    one = studio._store.instance(drawn)
    assert one.box_xyxy == (4001, 100, 4153, 201)
    assert one.display_counts is not None
