"""One history of undo and redo for each image: of its prompts, instances and reviews together.

Every step is kept in the database with what it changed, so that it outlives the page and the
server. Taking a step back touches exactly the rows that it changed, and only while they are as it
left them: what came about otherwise since is never overwritten.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from app.project import InvalidInput, StaleEdit
from app.store import Store
from app.store.edits import Change, Columns, Edit

HISTORY_LIMIT = 200
"""Steps that are kept for each image."""

_ELSEWHERE = (
    "This image was changed in another window meanwhile. It is shown as it is now; undo or redo "
    "again to go on from there."
)


@dataclass(frozen=True)
class Changes:
    """What an edit changed on an image: whether its prompts, and which instances, even if gone."""

    prompts: bool = False
    instances: tuple[int, ...] = ()


@dataclass(frozen=True)
class HistoryView:
    """Where the history of an image stands.

    ``head`` is the id of the last step that is in force, 0 before the first. ``undo`` and ``redo``
    say in words what would be taken back and done again; None: nothing.
    """

    head: int
    undo: str | None
    redo: str | None


NO_HISTORY = HistoryView(head=0, undo=None, redo=None)


@dataclass(frozen=True)
class BulkView:
    """A decision about many images at once: how many instances in how many images it changed."""

    id: str
    title: str
    instances: int
    images: int


@dataclass
class Step:
    """An edit in the making; ``changes`` are known once it is complete."""

    changes: Changes = Changes()


class History:
    """Records edits of images and takes them back. Every method is one transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @contextlib.contextmanager
    def step(
        self,
        image_id: int,
        title: str,
        tables: Sequence[str] = ("instances",),
        merge_key: str | None = None,
    ) -> Iterator[Step]:
        """Whatever is changed inside in some tables becomes one step, or nothing if it fails.

        Args:
            image_id: the image.
            title: what is done, in words that read well after "Undo: ".
            tables: of "instances", "prompts" and "images" those in question.
            merge_key: a step that follows one with the same key is undone together with it.
        """
        with self._store.transaction():
            step = Step()
            before = {table: self._store.tracked_rows(image_id, table) for table in tables}
            yield step
            old: Change = {}
            new: Change = {}
            for table, rows in before.items():
                was, now = _difference(rows, self._store.tracked_rows(image_id, table))
                if was:
                    old[table], new[table] = was, now
            if old:
                self._add(Edit(0, image_id, title, old, new, merge_key))
                step.changes = _changes(new)

    def add_bulk(
        self, title: str, steps: dict[int, tuple[dict[str, Columns], dict[str, Columns]]]
    ) -> str:
        """Record changes of instances on many images as one decision, and return its id.

        Args:
            title: what was done, in words.
            steps: the columns of instances before and after, by image id and instance id.
        """
        bulk_id = uuid.uuid4().hex
        with self._store.transaction():
            for image_id, (old, new) in steps.items():
                before: Change = {"instances": {**old}}
                after: Change = {"instances": {**new}}
                self._add(Edit(0, image_id, title, before, after, bulk_id=bulk_id))
        return bulk_id

    @contextlib.contextmanager
    def together(self, image_id: int) -> Iterator[None]:
        """Make a check of an image and the edit that follows it one."""
        with self._store.transaction():
            self._store.image(image_id)
            yield

    def view(self, image_id: int) -> HistoryView:
        """Say what can be taken back and done again on an image."""
        last, following = self._store.history_ends(image_id)
        return HistoryView(
            head=last[0] if last else 0,
            undo=last[1] if last else None,
            redo=following[1] if following else None,
        )

    def undo(self, image_id: int, head: int | None = None) -> Changes:
        """Take the last step of an image back.

        Args:
            image_id: the image.
            head: the step that is meant, as ``view`` said; whichever is the last by default.

        Raises:
            InvalidInput: if there is none.
            StaleEdit: if it is not the last step any more; or if what it changed was changed again
                outside of the history. Then it is forgotten.
        """
        return self._travel(image_id, head, is_undo=True)

    def redo(self, image_id: int, head: int | None = None) -> Changes:
        """Do the step again that was taken back last on an image; see ``undo``."""
        return self._travel(image_id, head, is_undo=False)

    def latest_bulk(self, project_id: str) -> BulkView | None:
        """Return the last decision about the whole project, as far as it is in force."""
        found = self._store.latest_bulk(project_id)
        return BulkView(*found) if found and found[3] else None

    def undo_bulk(self, project_id: str, bulk: str) -> tuple[BulkView, int]:
        """Take a decision about many images back, where nothing was done since on the image.

        Args:
            project_id: the project.
            bulk: the id of the decision.

        Returns:
            What was taken back, and the number of images that stay because they were edited since.

        Raises:
            InvalidInput: if nothing is left of it.
        """
        undone, kept = [], 0
        with self._store.transaction():
            own = {image.id for image in self._store.images(project_id)}
            edits = [
                edit
                for edit in self._store.bulk_edits(bulk)
                if not edit.is_undone and edit.image_id in own
            ]
            if not edits:
                raise InvalidInput("There is nothing left of it to take back.")
            for edit in edits:
                last = self._store.last_edit(edit.image_id)
                if last is None or last.id != edit.id or not self._is_as(edit, edit.after):
                    kept += 1
                    continue
                self._apply(edit, is_undo=True)
                undone.append(len(edit.after["instances"]))
        return BulkView(bulk, edits[0].title, sum(undone), len(undone)), kept

    def _add(self, edit: Edit) -> None:
        if edit.merge_key:
            last = self._store.last_edit(edit.image_id)
            if last and last.merge_key == edit.merge_key:
                self._store.remove_edit(last.id)
                before, after = _joined(last, edit)
                edit = replace(edit, before=before, after=after)
        self._store.note_change(edit.image_id, edit.after)
        self._store.add_edit(edit, HISTORY_LIMIT)

    def _travel(self, image_id: int, head: int | None, *, is_undo: bool) -> Changes:
        with self._store.transaction():
            if head is not None and head != self.view(image_id).head:
                raise StaleEdit(_ELSEWHERE)
            edit = (self._store.last_edit if is_undo else self._store.next_edit)(image_id)
            if edit is None:
                raise InvalidInput(f"There is nothing to {'undo' if is_undo else 'redo'} here.")
            if self._is_as(edit, edit.after if is_undo else edit.before):
                return self._apply(edit, is_undo=is_undo)
            # It would stand in the way of the other steps for good.
            self._store.remove_edit(edit.id)
        raise StaleEdit(
            f"“{edit.title}” cannot be {'undone' if is_undo else 'done again'}: what it changed "
            "has been changed or removed since, and stays as it is."
        )

    def _apply(self, edit: Edit, *, is_undo: bool) -> Changes:
        old, new = (edit.after, edit.before) if is_undo else (edit.before, edit.after)
        image_id = edit.image_id
        had_prompts = bool(self._store.prompts(image_id))
        self._store.apply_change(image_id, old, new)
        self._store.note_change(image_id, new)
        if "prompts" in new:
            rev = self._store.image(image_id).prompts_rev + 1
            self._store.update_image(image_id, prompts_rev=rev)
            # As when prompts are saved: the first ones make a reference, without any it is none.
            has_prompts = bool(self._store.prompts(image_id))
            if had_prompts != has_prompts:
                self._store.update_image(image_id, is_reference=has_prompts)
        self._store.mark_undone(edit.id, is_undo)
        return _changes(new)

    def _is_as(self, edit: Edit, side: Change) -> bool:
        """Whether the rows are as one side of an edit says, and their categories still exist."""
        for table, rows in side.items():
            present = self._store.tracked_rows(edit.image_id, table)
            if not all(_agrees(present.get(key), columns) for key, columns in rows.items()):
                return False
        project_id = self._store.image(edit.image_id).project_id
        known = {category.id for category in self._store.categories(project_id)}
        return _categories(edit.before) | _categories(edit.after) <= known


def _difference(
    before: dict[str, Columns], after: dict[str, Columns]
) -> tuple[dict[str, Columns | None], dict[str, Columns | None]]:
    """What has to be known of rows to go from before to after, and back."""
    old: dict[str, Columns | None] = {}
    new: dict[str, Columns | None] = {}
    for key in before.keys() | after.keys():
        was, now = before.get(key), after.get(key)
        if was is None or now is None:
            old[key], new[key] = was, now
        elif changed := [name for name in was if was[name] != now[name]]:
            old[key] = {name: was[name] for name in changed}
            new[key] = {name: now[name] for name in changed}
    return old, new


def _joined(first: Edit, second: Edit) -> tuple[Change, Change]:
    """Two steps in a row as one."""
    before: Change = {}
    after: Change = {}
    for table in first.after.keys() | second.after.keys():
        sides = [edit.before.get(table, {}) for edit in (second, first)]
        before[table] = _overlaid(*sides)
        sides = [edit.after.get(table, {}) for edit in (first, second)]
        after[table] = _overlaid(*sides)
    return before, after


def _overlaid(
    lower: dict[str, Columns | None], upper: dict[str, Columns | None]
) -> dict[str, Columns | None]:
    result = dict(lower)
    for key, columns in upper.items():
        below = result.get(key)
        result[key] = columns if columns is None or below is None else {**below, **columns}
    return result


def _agrees(present: Columns | None, columns: Columns | None) -> bool:
    if present is None or columns is None:
        return present is columns
    return all(present[name] == value for name, value in columns.items())


def _categories(change: Change) -> set[int]:
    return {
        columns["category_id"]
        for rows in change.values()
        for columns in rows.values()
        if columns is not None and "category_id" in columns
    }


def _changes(change: Change) -> Changes:
    return Changes("prompts" in change, tuple(sorted(map(int, change.get("instances", {})))))
