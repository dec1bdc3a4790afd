"""How an annotator decides on instances and corrects them, or draws some without the model.

Every use case is one step of the image's history, or one decision about a whole project. What is
corrected by hand is accepted by that: a new segmentation leaves it alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from app.history import BulkView, Changes, History
from app.project import (
    IMPORTED,
    InstanceStatus,
    InvalidInput,
    Origin,
    RunOptions,
    StaleEdit,
    StoredInstance,
)
from app.provenance import Brought, FoundBy
from app.results import stored_instance, with_mask
from app.store import Store
from dinov import mask_edits
from dinov.mask_edits import Stroke
from dinov.masks import encode_rle, rasterise, rle_area, rle_box_xyxy, rle_iou, unite_rles
from dinov.types import Instance, Prompt, PromptType, Rle

SMALLEST_SHARE = 0.02
"""Of a mask's area: connected parts below this share are specks."""

_STATUS_WORDS = {
    InstanceStatus.ACCEPTED: "accepted",
    InstanceStatus.REJECTED: "rejected",
    InstanceStatus.PROPOSED: "proposed again",
}


class Editing:
    """Decides on, corrects and draws the instances of images.

    A method that is given ids raises NotFound if there is no such image, category or instance any
    more, and InvalidInput if an instance is on another image. It returns what it has changed.
    """

    def __init__(self, store: Store, history: History) -> None:
        self._store = store
        self._history = history

    def require_seen(self, image_id: int, revs: Mapping[int, int]) -> None:
        """Make sure that instances are as someone has seen them, by their revisions.

        Raises:
            StaleEdit: if one was changed or removed since.
        """
        present = {one.id: one.rev for one in self._store.instances(image_id)}
        if any(present.get(instance_id) != rev for instance_id, rev in revs.items()):
            raise StaleEdit(
                "This object was changed in another window meanwhile. It is shown as it is now; "
                "nothing was done to it."
            )

    # Decisions

    def decide(self, image_id: int, ids: Sequence[int], status: InstanceStatus) -> Changes:
        """Accept or reject instances, or make them proposals again."""
        with self._history.step(image_id, _counted(ids, _STATUS_WORDS[status])) as step:
            for one in self._chosen(image_id, ids):
                self._store.update_instance(replace(one, status=status))
        return step.changes

    def relabel(self, image_id: int, ids: Sequence[int], category_id: int) -> Changes:
        """Give instances another category, and accept them."""
        with self._history.step(image_id, _counted(ids, "relabelled")) as step:
            self._require_category(image_id, category_id)
            for one in self._chosen(image_id, ids):
                if one.category_id != category_id:
                    self._store.update_instance(_edited(replace(one, category_id=category_id)))
        return step.changes

    def delete(self, image_id: int, ids: Sequence[int]) -> Changes:
        """Remove instances. A rejected one is remembered, a deleted one may be found again."""
        with self._history.step(image_id, _counted(ids, "deleted")) as step:
            for one in self._chosen(image_id, ids):
                self._store.remove_instance(one.id)
        return step.changes

    def decide_by_score(
        self,
        project_id: str,
        status: InstanceStatus,
        *,
        at_least: float = 0.0,
        below: float = 2.0,
        image_id: int | None = None,
        category_id: int | None = None,
    ) -> BulkView | None:
        """Accept or reject all proposals with a score from ``at_least`` to below ``below``.

        Args:
            project_id: the project.
            status: what becomes of them.
            at_least: the lowest score.
            below: the first score that is too high; a proposal may have any up to 1.
            image_id: only those on this image; all of the project by default.
            category_id: only those of this category; of all by default.

        Returns:
            What was decided, or None if there is no such proposal.
        """
        with self._store.transaction():
            self._store.project(project_id)
            found = self._store.proposals(
                project_id,
                image_id=image_id,
                category_id=category_id,
                at_least=at_least,
                below=below,
            )
            if not found:
                return None
            ids = [instance_id for group in found.values() for instance_id in group]
            self._store.decide(ids, status)
            before = {"status": InstanceStatus.PROPOSED.value}
            after = {"status": status.value}
            steps = {
                image: (
                    {str(instance_id): before for instance_id in group},
                    {str(instance_id): after for instance_id in group},
                )
                for image, group in found.items()
            }
            title = _counted(ids, _STATUS_WORDS[status])
            if len(found) > 1:
                title += f" on {len(found):,} images"
            bulk_id = self._history.add_bulk(title, steps)
        return BulkView(bulk_id, title, len(ids), len(found))

    # Corrections

    def merge(self, image_id: int, ids: Sequence[int]) -> Changes:
        """Make one instance of several. It keeps the id and category of the first."""
        if len(set(ids)) < 2:
            raise InvalidInput("Select two or more objects to merge them.")
        with self._history.step(image_id, _counted(ids, "merged")) as step:
            first, *others = self._chosen(image_id, ids)
            merged = with_mask(first, unite_rles([one.rle for one in (first, *others)]))
            score = max(one.score for one in (first, *others))
            self._store.update_instance(_edited(replace(merged, score=score)))
            for other in others:
                self._store.remove_instance(other.id)
        return step.changes

    def split(self, image_id: int, instance_id: int, points: Sequence[float]) -> Changes:
        """Cut an instance along a stroke; the largest piece keeps its id.

        Args:
            image_id: the image.
            instance_id: the instance.
            points: flat [x0, y0, x1, y1, ...] in image pixels.

        Raises:
            InvalidInput: if the stroke does not cut through.
        """
        return self._divide(
            image_id,
            instance_id,
            lambda rle: mask_edits.cut_rle(rle, points),
            "The stroke does not cut through the object. Draw it right across, from outside to "
            "outside.",
        )

    def separate(self, image_id: int, instance_id: int) -> Changes:
        """Make every connected part of an instance one of its own; the largest keeps the id."""
        return self._divide(
            image_id,
            instance_id,
            mask_edits.connected_rles,
            "This object is in one part already. Draw a stroke across to cut it.",
        )

    def brush(self, image_id: int, instance_id: int, strokes: Sequence[Stroke]) -> Changes:
        """Paint on the mask of an instance, or erase from it."""
        return self._reshape(
            image_id, [instance_id], "outline painted", lambda r: mask_edits.brush_rle(r, strokes)
        )

    def outline(self, image_id: int, instance_id: int, rings: Sequence[Sequence[float]]) -> Changes:
        """Replace the mask of an instance by what closed rings enclose; one in another is a hole.

        Raises:
            InvalidPrompt: if a ring has fewer than three points.
        """
        image = self._store.image(image_id)
        rle = encode_rle(mask_edits.fill_rings(rings, (image.height, image.width)))
        return self._reshape(image_id, [instance_id], "outline changed", lambda _: rle)

    def fill_holes(self, image_id: int, ids: Sequence[int]) -> Changes:
        """Fill everything that the masks enclose."""
        return self._reshape(
            image_id,
            ids,
            "holes filled",
            lambda rle: mask_edits.change_rle(rle, mask_edits.fill_holes),
        )

    def remove_specks(self, image_id: int, ids: Sequence[int]) -> Changes:
        """Drop the parts of each mask that are small beside it; see ``SMALLEST_SHARE``."""

        def change(rle: Rle) -> Rle:
            smallest = max(2, round(SMALLEST_SHARE * rle_area(rle)))
            return mask_edits.change_rle(rle, lambda m: mask_edits.remove_specks(m, smallest))

        return self._reshape(image_id, ids, "specks removed", change)

    def simplify(self, image_id: int, ids: Sequence[int], tolerance: float = 1.5) -> Changes:
        """Straighten outlines; they move by at most ``tolerance`` pixels."""
        if not 0 < tolerance <= 100:
            raise InvalidInput(f"The tolerance is {tolerance}; it must be from 0 to 100 pixels.")
        return self._reshape(
            image_id,
            ids,
            "outline simplified",
            lambda rle: mask_edits.change_rle(rle, lambda m: mask_edits.simplify(m, tolerance)),
        )

    def bring_forward(self, image_id: int, ids: Sequence[int]) -> Changes:
        """Put instances above all that they overlap."""
        return self._stack(image_id, ids, "brought forward", 1)

    def send_back(self, image_id: int, ids: Sequence[int]) -> Changes:
        """Put instances below all that they overlap."""
        return self._stack(image_id, ids, "sent back", -1)

    # By hand

    def draw(self, image_id: int, shape: Prompt) -> Changes:
        """Add an accepted instance that was drawn without the model: a box, polygon or mask.

        Raises:
            InvalidPrompt: if the shape lies outside the image or has no area.
        """
        image = self._store.image(image_id)
        if shape.type not in (PromptType.BOX, PromptType.POLYGON, PromptType.MASK):
            raise InvalidInput("An object is drawn with a box, a polygon or a brush.")
        rle = encode_rle(rasterise(shape, (image.height, image.width)))
        with self._history.step(image_id, "object drawn") as step:
            self._require_category(image_id, shape.category_id)
            found = Instance(shape.category_id, 1.0, rle, rle_box_xyxy(rle), rle_area(rle))
            run_id = self._store.drawn_run(image.project_id)
            drawn = stored_instance(image_id, run_id, found, InstanceStatus.ACCEPTED)
            self._store.add_instance(replace(drawn, origin=Origin.DRAWN))
        return step.changes

    # From elsewhere

    def add_annotations(
        self, project_id: str, source: str, brought: Mapping[int, Sequence[Brought]]
    ) -> tuple[int, int]:
        """Add instances of a file to images, by image id, but none that an image has already.

        An instance of the same category and mask that is there, even a deleted one, gets the status
        that it has in the file, unless it was accepted here.

        Args:
            project_id: the project.
            source: where they come from; stays with those that no model found.
            brought: with masks of the size of their image.

        Returns:
            How many were added, and how many were there.
        """
        runs: dict[tuple[FoundBy | None, int | None], int] = {}
        added = present = 0
        for image_id, wanted in brought.items():
            with self._history.step(image_id, "annotations imported"):
                known = {
                    (one.category_id, one.rle["counts"]): one
                    for one in self._store.instances(image_id)
                }
                new: dict[int, list[StoredInstance]] = {}
                for one in wanted:
                    same = known.get((one.instance.category_id, one.instance.rle["counts"]))
                    if same is not None:
                        present += 1
                        new.setdefault(same.run_id, [])
                        if same.status not in (InstanceStatus.ACCEPTED, one.status):
                            self._store.decide([same.id], one.status)
                        continue
                    key = (one.found_by, one.sequence_id)
                    if key not in runs:
                        runs[key] = self._run_of_file(project_id, source, *key)
                    if one.sequence_id is not None:
                        self._store.add_track(one.sequence_id, one.instance.category_id)
                    made = stored_instance(image_id, runs[key], one.instance, one.status)
                    made = replace(made, origin=one.origin, z_order=one.z_order)
                    new.setdefault(runs[key], []).append(made)
                    added += 1
                for run_id, instances in new.items():
                    self._store.add_instances(image_id, run_id, instances)
        return added, present

    def _run_of_file(
        self, project_id: str, source: str, found_by: FoundBy | None, sequence_id: int | None
    ) -> int:
        """Note a run that was not made here, and return its id."""
        if found_by is None:
            run_id = self._store.add_run(
                project_id, checkpoint=IMPORTED, fingerprint=source, prompt_ids={}
            )
        else:
            run_id = self._store.add_run(
                project_id,
                checkpoint=found_by.checkpoint,
                fingerprint=found_by.fingerprint,
                prompt_ids={},
                options=RunOptions(found_by.task),
                checkpoint_sha256=found_by.checkpoint_sha256,
            )
        if sequence_id is not None:
            self._store.add_track_run(run_id, sequence_id)
        return run_id

    def _chosen(self, image_id: int, ids: Sequence[int]) -> list[StoredInstance]:
        chosen = [self._store.instance(instance_id) for instance_id in dict.fromkeys(ids)]
        if not chosen:
            raise InvalidInput("Select an object first.")
        for one in chosen:
            if one.image_id != image_id:
                raise InvalidInput(f"Instance {one.id} is not on this image.")
        return chosen

    def _require_category(self, image_id: int, category_id: int) -> None:
        project_id, _ = self._store.category(category_id)
        if project_id != self._store.image(image_id).project_id:
            raise InvalidInput("This category belongs to another project.")

    def _reshape(
        self, image_id: int, ids: Sequence[int], title: str, change: Callable[[Rle], Rle]
    ) -> Changes:
        with self._history.step(image_id, title) as step:
            for one in self._chosen(image_id, ids):
                rle = change(one.rle)
                if rle_area(rle) == 0:
                    raise InvalidInput("Nothing of the object would be left. Delete it instead.")
                if rle != one.rle:
                    self._store.update_instance(_edited(with_mask(one, rle)))
        return step.changes

    def _divide(
        self, image_id: int, instance_id: int, divide: Callable[[Rle], list[Rle]], if_not: str
    ) -> Changes:
        with self._history.step(image_id, "object split") as step:
            (whole,) = self._chosen(image_id, [instance_id])
            first, *others = divide(whole.rle)
            if not others:
                raise InvalidInput(if_not)
            self._store.update_instance(_edited(with_mask(whole, first)))
            for rle in others:
                self._store.add_instance(_edited(with_mask(whole, rle)))
        return step.changes

    def _stack(self, image_id: int, ids: Sequence[int], title: str, direction: int) -> Changes:
        with self._history.step(image_id, _counted(ids, title)) as step:
            chosen = self._chosen(image_id, ids)
            others = [
                other
                for other in self._store.instances(image_id)
                if other.id not in ids and other.status is not InstanceStatus.REJECTED
            ]
            for one in chosen:
                levels = [o.z_order for o in others if rle_iou(o.rle, one.rle) > 0]
                if not levels:
                    continue
                beyond = max(levels) + 1 if direction > 0 else min(levels) - 1
                if (one.z_order - beyond) * direction < 0:
                    self._store.update_instance(replace(one, z_order=beyond))
        return step.changes


def _edited(instance: StoredInstance) -> StoredInstance:
    """Note that a hand was at it, and that it is accepted by that."""
    origin = Origin.DRAWN if instance.origin is Origin.DRAWN else Origin.EDITED
    return replace(instance, origin=origin, status=InstanceStatus.ACCEPTED)


def _counted(ids: Sequence[int], what: str) -> str:
    count = len(set(ids))
    return f"1 object {what}" if count == 1 else f"{count:,} objects {what}"
