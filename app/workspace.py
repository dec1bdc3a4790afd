"""The content of projects: images, categories and prompts, and how an annotator edits them."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from app.access import acting_user, is_open_to
from app.editing import Editing
from app.history import History
from app.image_files import ImageFiles, display_name
from app.names import LONGEST_NAME, checked_color, clean_name, free_category, prompt_type
from app.project import (
    PALETTE,
    AddReport,
    InvalidInput,
    Project,
    ProjectImage,
    StaleRevision,
    StoredInstance,
    StoredPrompt,
    Task,
)
from app.store import Store
from dinov.errors import InvalidImage
from dinov.masks import rasterise
from dinov.types import Category, Prompt, PromptType, Rle


class Workspace:
    """The use cases that need no model. Each is one transaction, and may come from any thread.

    A method that is given an id raises NotFound if there is no such thing (any more).
    """

    def __init__(self, store: Store, files: ImageFiles) -> None:
        self._store = store
        self._files = files
        self.history = History(store)
        self.editing = Editing(store, self.history)

    # Projects

    def create_project(self, name: str = "Untitled project") -> Project:
        """Begin an empty project. A name that is taken gets a number."""
        with self._store.transaction():
            return self._store.add_project(
                self.free_name(clean_name(name, "project")), acting_user()
            )

    def projects(self) -> list[Project]:
        """List the projects open to the acting user, the one opened last first."""
        return [one for one in self._store.projects() if is_open_to(one, acting_user())]

    def project(self, project_id: str) -> Project:
        """Return one project."""
        return self._store.project(project_id)

    def last_project(self) -> Project | None:
        """Return the project opened last, if there is any."""
        return next(iter(self.projects()), None)

    def open_project(self, project_id: str) -> Project:
        """Return a project and remember it as the one opened last."""
        with self._store.transaction():
            self._store.project(project_id)
            self._store.mark_opened(project_id)
        return self._store.project(project_id)

    def rename_project(self, project_id: str, name: str) -> Project:
        """Give a project another name. A name that is taken gets a number."""
        with self._store.transaction():
            cleaned = clean_name(name, "project")
            if cleaned != self._store.project(project_id).name:
                self._store.update_project(project_id, name=self.free_name(cleaned))
        return self._store.project(project_id)

    def free_name(self, name: str) -> str:
        """Return a name for a project, with a number if it is taken."""
        taken = {project.name for project in self._store.projects()}
        number, free = 1, name
        while free in taken:
            number += 1
            free = f"{name} {number}"
        return free

    def set_current_image(self, project_id: str, image_id: int | None) -> None:
        """Remember the image the annotator is looking at."""
        self._store.set_last_image(project_id, image_id)

    def set_score_threshold(
        self, project_id: str, score_threshold: float, task: Task = Task.GENERIC
    ) -> Project:
        """Set the lowest score that is shown and exported of what a task has found, in [0, 1]."""
        if not 0 <= score_threshold <= 1:
            raise InvalidInput(f"The score threshold is {score_threshold}; it must be from 0 to 1.")
        column = "refer_score_threshold" if task is Task.REFER else "score_threshold"
        self._store.update_project(project_id, **{column: float(score_threshold)})
        return self._store.project(project_id)

    def set_overlap_threshold(self, project_id: str, overlap_threshold: float) -> Project:
        """Set the IoU, in [0, 1], above which two masks found are one object; for runs to come."""
        if not 0 <= overlap_threshold <= 1:
            raise InvalidInput(f"The overlap is {overlap_threshold}; it must be from 0 to 1.")
        self._store.update_project(project_id, overlap_threshold=float(overlap_threshold))
        return self._store.project(project_id)

    # Images

    def add_images(self, project_id: str, sources: Sequence[Path | tuple[str, bytes]]) -> AddReport:
        """Add image files to a project, as targets.

        Args:
            project_id: the project.
            sources: paths, or pairs of a file name and the bytes of the file.

        Returns:
            What was added. A file that cannot be used is named among the problems.
        """
        self._store.project(project_id)
        added: list[ProjectImage] = []
        problems: list[str] = []
        for source in sources:
            try:
                added.append(self._add_image(project_id, source))
            except (InvalidImage, InvalidInput) as error:
                problems.append(str(error))
        return AddReport(tuple(added), tuple(problems))

    def images(self, project_id: str) -> list[ProjectImage]:
        """List the images of a project in the order they were added."""
        return self._store.images(project_id)

    def image(self, image_id: int) -> ProjectImage:
        """Return one image."""
        return self._store.image(image_id)

    def find_image(self, project_id: str, content: bytes) -> ProjectImage | None:
        """Return the image of this content, under whatever name, if the project has it."""
        return self._store.find_image(project_id, hashlib.sha256(content).hexdigest())

    def set_role(
        self, image_id: int, *, is_reference: bool | None = None, is_target: bool | None = None
    ) -> ProjectImage:
        """Say whether an image's prompts are used, and whether it is segmented."""
        with self._store.transaction():
            image = self._store.image(image_id)
            self._store.update_image(
                image_id,
                is_reference=image.is_reference if is_reference is None else is_reference,
                is_target=image.is_target if is_target is None else is_target,
            )
            return self._store.image(image_id)

    def remove_image(self, image_id: int) -> None:
        """Remove an image with its prompts and results."""
        image = self._store.image(image_id)
        self._store.remove_image(image_id)
        self._files.remove(image)

    def image_path(self, image_id: int) -> Path:
        """Return the upright copy of an image, in a format browsers show."""
        return self._files.path(self._store.image(image_id))

    def thumbnail_path(self, image_id: int) -> Path:
        """Return a small JPEG of an image."""
        return self._files.thumbnail_path(self._store.image(image_id))

    def find_or_add_sequence(self, project_id: str, name: str, image_ids: Sequence[int]) -> int:
        """Make images a sequence, in their order, unless they are on one; return its id."""
        with self._store.transaction():
            for sequence in self._store.sequences(project_id):
                if set(image_ids) <= set(sequence.image_ids):
                    return sequence.id
            sequence_id = self._store.add_sequence(project_id, clean_name(name, "sequence"))
            self._store.add_frames(sequence_id, image_ids)
        return sequence_id

    # Categories

    def categories(self, project_id: str) -> list[Category]:
        """List the categories of a project in the order they were added."""
        return self._store.categories(project_id)

    def add_category(self, project_id: str, name: str, color: str | None = None) -> Category:
        """Add a category; without a colour it gets one that is not in use yet.

        Raises:
            InvalidInput: if the name is empty or taken (capitals make no difference), or the colour
                is not of the form "#rrggbb".
        """
        with self._store.transaction():
            self._store.project(project_id)
            existing = self._store.categories(project_id)
            color = checked_color(color) if color else self._next_color(existing)
            new = Category(0, free_category(name, existing), color)
            return self._store.add_category(project_id, new)

    def find_or_add_category(self, project_id: str, wanted: Category) -> Category:
        """Return the category of this name; where there is none it is added as it is.

        Capitals make no difference, a name that is too long is cut, and a colour that is none is
        replaced by one that is not in use.
        """
        with self._store.transaction():
            name = clean_name(wanted.name[:LONGEST_NAME], "category")
            existing = self._store.categories(project_id)
            for category in existing:
                if category.name.casefold() == name.casefold():
                    return category
            try:
                color = checked_color(wanted.color)
            except InvalidInput:
                color = self._next_color(existing)
            return self._store.add_category(project_id, replace(wanted, name=name, color=color))

    def rename_category(self, category_id: int, name: str) -> Category:
        """Give a category another name; it must not be taken."""
        with self._store.transaction():
            project_id, _ = self._store.category(category_id)
            others = [c for c in self._store.categories(project_id) if c.id != category_id]
            self._store.update_category(category_id, name=free_category(name, others))
            return self._store.category(category_id)[1]

    def recolor_category(self, category_id: int, color: str) -> Category:
        """Give a category another colour, "#rrggbb"."""
        with self._store.transaction():
            self._store.update_category(category_id, color=checked_color(color))
            return self._store.category(category_id)[1]

    def remove_category(self, category_id: int) -> None:
        """Remove a category with its prompts and instances."""
        with self._store.transaction():
            project_id, _ = self._store.category(category_id)
            for image in self._store.images(project_id):
                rev, prompts = image.prompts_rev, self._store.prompts(image.id)
                kept = [s for s in prompts if s.prompt.category_id != category_id]
                if len(kept) < len(prompts):
                    self._replace_prompts(image, kept, rev + 1)
            self._store.remove_category(category_id)

    # Instances

    def instances(self, image_id: int, ids: Sequence[int] | None = None) -> list[StoredInstance]:
        """List the instances of an image, best score first, or those among them with some ids."""
        found, wanted = self._store.instances(image_id), set(ids or ())
        return found if ids is None else [one for one in found if one.id in wanted]

    # Prompts

    def prompts(self, image_id: int) -> tuple[int, list[StoredPrompt]]:
        """Return the revision and the prompts of an image."""
        with self._store.transaction():
            return self._store.image(image_id).prompts_rev, self._store.prompts(image_id)

    def prompt_counts(self, project_id: str) -> dict[int, int]:
        """Count the prompts of each category of a project."""
        counts = dict.fromkeys((c.id for c in self._store.categories(project_id)), 0)
        for stored in self._store.project_prompts(project_id):
            counts[stored.prompt.category_id] += 1
        return counts

    def save_prompts(
        self,
        image_id: int,
        base_rev: int,
        prompts: Sequence[StoredPrompt],
        merge_key: str | None = None,
    ) -> int:
        """Make these all the prompts of an image, as one step of its history.

        An image that gets its first prompts becomes a reference; one that loses all no longer is.

        Args:
            image_id: the image.
            base_rev: the revision the prompts were edited from.
            prompts: all prompts, in the order they were drawn.
            merge_key: saves in a row with the same key are undone together.

        Returns:
            The new revision; the old one if nothing differs.

        Raises:
            StaleRevision: if the stored revision is another one.
            InvalidInput: if a category is unknown, or two prompts have the same id.
        """
        with self._store.transaction():
            image = self._store.image(image_id)
            if list(prompts) == self._store.prompts(image_id):
                return image.prompts_rev
            if base_rev != image.prompts_rev:
                raise StaleRevision(image_id, base_rev, image.prompts_rev)
            known = {category.id for category in self._store.categories(image.project_id)}
            if any(stored.prompt.category_id not in known for stored in prompts):
                raise InvalidInput(
                    "A mark belongs to a category that was removed. Reload the page."
                )
            if len({stored.id for stored in prompts}) < len(prompts):
                raise InvalidInput("Two marks have the same id. Reload the page.")
            self._record_prompts(image, prompts, merge_key)
            return base_rev + 1

    def add_prompt(
        self,
        project_id: str,
        image_id: int,
        category: str | int,
        type: PromptType | str,  # noqa: A002 - the field's word, and the API's
        points: Sequence[float],
        positive: bool = True,
        width: float | None = None,
        rle: Rle | None = None,
    ) -> str:
        """Add one prompt to an image.

        Args:
            project_id: the project.
            image_id: one of its images.
            category: the id of a category or its name; an unknown name makes a new category.
            type: "point", "box", "scribble", "polygon" or "mask".
            points: flat [x0, y0, x1, y1, ...] in pixels of the upright image.
            positive: false for an example of what is not meant.
            width: of a scribble, in pixels.
            rle: of a mask prompt, in place of points.

        Returns:
            The id of the prompt.

        Raises:
            InvalidPrompt: if it is outside the image, or has no area, or a wrong number of points.
            InvalidInput: if the image or category belongs to another project.
        """
        with self._store.transaction():
            image = self._store.image(image_id)
            if image.project_id != project_id:
                raise InvalidInput(f"Image {image_id} belongs to another project.")
            category_id = self._category_id(project_id, category)
            places = tuple(map(float, points))
            prompt = Prompt(category_id, prompt_type(type), places, width, rle, positive)
            rasterise(prompt, (image.height, image.width))
            stored = StoredPrompt(str(uuid.uuid4()), image_id, prompt)
            self._record_prompts(image, [*self._store.prompts(image_id), stored])
            return stored.id

    def extend_prompts(self, prompts: Mapping[int, Sequence[Prompt]]) -> tuple[int, int]:
        """Add prompts to images, by image id, but none that an image has already.

        Returns:
            How many were added, and how many were there.
        """
        added = present = 0
        for image_id, wanted in prompts.items():
            with self._store.transaction():
                image, kept = self._store.image(image_id), self._store.prompts(image_id)
                known = [stored.prompt for stored in kept]
                new = [prompt for prompt in wanted if prompt not in known]
                stored = [StoredPrompt(str(uuid.uuid4()), image_id, prompt) for prompt in new]
                if stored:
                    self._record_prompts(image, [*kept, *stored])
            added, present = added + len(new), present + len(wanted) - len(new)
        return added, present

    @staticmethod
    def _next_color(existing: Sequence[Category]) -> str:
        used = [category.color for category in existing]
        # Once all are in use, the one used least comes again.
        return min(PALETTE, key=used.count)

    def _add_image(self, project_id: str, source: Path | tuple[str, bytes]) -> ProjectImage:
        if isinstance(source, tuple):
            name, content = source
        else:
            try:
                name, content = source.name, source.read_bytes()
            except OSError as error:
                raise InvalidImage(
                    f"{display_name(source.name)}: cannot be opened ({error.strerror})."
                ) from error
        same = self.find_image(project_id, content)
        if same:
            raise InvalidInput(
                f"{display_name(name)} is already in this project, as {same.file_name}."
            )
        stored = self._files.add(project_id, name, content)
        return self._store.add_image(
            project_id,
            file_name=stored.file_name,
            suffix=stored.suffix,
            sha256=stored.sha256,
            width=stored.width,
            height=stored.height,
        )

    def _record_prompts(
        self, image: ProjectImage, prompts: Sequence[StoredPrompt], merge_key: str | None = None
    ) -> None:
        grown = len(prompts) - len(self._store.prompts(image.id))
        title = "mark added" if grown > 0 else "mark deleted" if grown < 0 else "mark changed"
        with self.history.step(image.id, title, ("prompts",), merge_key):
            self._replace_prompts(image, prompts, image.prompts_rev + 1)

    def _replace_prompts(
        self, image: ProjectImage, prompts: Sequence[StoredPrompt], rev: int
    ) -> None:
        had_prompts = bool(self._store.prompts(image.id))
        self._store.replace_prompts(image.id, prompts, rev)
        # In between, the annotator's own choice of the role stands.
        if had_prompts != bool(prompts):
            self._store.update_image(image.id, is_reference=bool(prompts))

    def _category_id(self, project_id: str, category: str | int) -> int:
        existing = self._store.categories(project_id)
        if isinstance(category, int):
            if all(category != known.id for known in existing):
                raise InvalidInput(f"This project has no category with the id {category}.")
            return category
        name = clean_name(category, "category").casefold()
        same = [known.id for known in existing if known.name.casefold() == name]
        return same[0] if same else self.add_category(project_id, category).id
