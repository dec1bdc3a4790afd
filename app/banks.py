"""Concepts as files: the examples of categories, embedded, from one project into another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from app.concepts import Concept
from app.image_files import ImageFiles, display_name
from app.marks import embed_image, marks_of
from app.model_session import ModelSession
from app.project import InvalidInput
from app.store import Store
from app.workspace import Workspace

if TYPE_CHECKING:
    from torch import Tensor

    from dinov.types import Prompt


class Banks:
    """The use cases of prompt banks. A method that is given an id raises NotFound if it is gone."""

    def __init__(
        self, workspace: Workspace, store: Store, files: ImageFiles, model: ModelSession
    ) -> None:
        self._workspace = workspace
        self._store = store
        self._files = files
        self._model = model

    def concepts(self, project_id: str) -> list[Concept]:
        """List the concepts of a project that come from files."""
        return self._store.concepts(project_id)

    def foreign(self, project_id: str) -> set[int]:
        """Return the ids of concepts that another model made, once a model is in use."""
        if not self._model.is_loaded:
            return set()
        concepts, fingerprint = self._store.concepts(project_id), self._model.fingerprint
        return {one.id for one in concepts if one.fingerprint != fingerprint}

    def load(self, project_id: str, file_name: str, path: Path) -> list[Concept]:
        """Add all concepts of a prompt bank to a project, beside its marks.

        Categories are matched by name; those that are new are added. What the project has already
        is not added again. Loads the model.

        Returns:
            The concepts of this file that the project has now.

        Raises:
            InvalidBank: if the file is no prompt bank.
            FingerprintMismatch: if it was made with another checkpoint or input size.
        """
        self._store.project(project_id)
        bank = self._model.read_bank(path)
        digest = self._files.add_bank(project_id, path.read_bytes())
        with self._store.transaction():
            for wanted in bank.named_categories:
                category = self._workspace.find_or_add_category(project_id, wanted)
                self._store.add_concept(
                    Concept(
                        id=0,
                        category_id=category.id,
                        file_name=display_name(file_name),
                        file_sha256=digest,
                        file_category_id=wanted.id,
                        fingerprint=bank.fingerprint,
                        positives=len(bank.positives[wanted.id]),
                        negatives=len(bank.negatives.get(wanted.id, ())),
                        is_used=True,
                    )
                )
            return [one for one in self._store.concepts(project_id) if one.file_sha256 == digest]

    def set_used(self, concept_id: int, is_used: bool) -> None:
        """Switch a concept on or off; one that is off stays, but says nothing to the model."""
        self._store.set_concept_used(concept_id, is_used)

    def remove(self, concept_id: int) -> None:
        """Take a concept out of its project; marks and results stay."""
        with self._store.transaction():
            concept = self._store.concept(concept_id)
            project_id, _ = self._store.category(concept.category_id)
            self._store.remove_concept(concept_id)
            left = {one.file_sha256 for one in self._store.concepts(project_id)}
        if concept.file_sha256 not in left:
            self._files.remove_bank(project_id, concept.file_sha256)

    def save(
        self, project_id: str, destination: Path, category_ids: Sequence[int] | None = None
    ) -> Path:
        """Write what is in use of a project's examples as a prompt bank.

        Marks are embedded where that was not done before, which takes as long as segmenting their
        images. Loads the model.

        Args:
            project_id: the project.
            destination: a ``.safetensors`` file, which ``python -m dinov segment --bank`` reads.
            category_ids: the categories to write; all by default.

        Raises:
            InvalidInput: if a category is unknown, or none of them has a positive example in use.
            FingerprintMismatch: if a concept from a file was made with another model.
            InvalidImage: if an image cannot be read any more.
        """
        categories = self._store.categories(project_id)
        if category_ids is not None:
            unknown = set(category_ids) - {category.id for category in categories}
            if unknown:
                raise InvalidInput(f"This project has no category with the id {min(unknown)}.")
            categories = [category for category in categories if category.id in category_ids]
        marks = marks_of(self._store, project_id)
        wanted = {category.id for category in categories} & marks.sought
        if not wanted:
            raise InvalidInput(
                "There is nothing to save: no positive example is in use. Mark an object first."
            )
        with self._model.held():
            embedded: list[tuple[Prompt, Tensor]] = []
            for image, stored in marks.references:
                own = [one for one in stored if one.prompt.category_id in wanted]
                found = embed_image(self._files, self._model, image, own) if own else []
                embedded += [(one.prompt, embedding) for one, embedding in found]
            concepts = [
                self._model.concept(
                    self._model.read_bank(self._files.bank_path(project_id, one)),
                    one.file_category_id,
                    one.category_id,
                )
                for one in marks.concepts
                if one.category_id in wanted
            ]
            named = [category for category in categories if category.id in wanted]
            return self._model.bank(embedded, concepts, named).save(destination)
