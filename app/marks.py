"""What a project shows the model: the marks in use, and concepts from files beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from app.concepts import Concept
from app.image_files import ImageFiles
from app.model_session import ModelSession
from app.project import InvalidInput, NotFound, ProjectImage, StoredPrompt
from app.store import Store
from dinov.corrections import corrected
from dinov.errors import FingerprintMismatch, InvalidBank, InvalidImage, InvalidPrompt
from dinov.types import Category

if TYPE_CHECKING:
    from torch import Tensor

    from dinov.prompt_bank import PromptBank


class Progress(Protocol):
    """What the work reports to while it goes on: ``app.jobs.JobControl``, or a terminal."""

    @property
    def found(self) -> int:
        """How many instances were found so far."""

    def is_cancelled(self) -> bool:
        """Whether to stop here. To be asked between items."""

    def say(self, message: str) -> None:
        """Show what is being done."""

    def start_clock(self) -> None:
        """Preparations are over: the time per item is measured from here."""

    def advance(self, *, found: int = 0, is_timed: bool = True) -> None:
        """One more item is done."""

    def add_problem(self, problem: str) -> None:
        """Note something that went wrong with one item; the work goes on."""

    def add_loss(self, loss: str) -> None:
        """Note something that was found and cannot be kept."""


References = Sequence[tuple[ProjectImage, Sequence[StoredPrompt]]]
"""Images with the prompts on them that are used."""


@dataclass(frozen=True)
class Marks:
    """All that is in use of a project's prompts and of its concepts from files."""

    references: References
    concepts: Sequence[Concept]

    @property
    def prompts(self) -> list[StoredPrompt]:
        """The prompts on all references."""
        return [stored for _, prompts in self.references for stored in prompts]

    @property
    def named(self) -> list[Any]:
        """Everything that results depend on, as JSON can hold it."""
        marks = [
            (image.sha256, [repr(s.prompt) for s in prompts]) for image, prompts in self.references
        ]
        files = [(c.category_id, c.file_sha256, c.file_category_id) for c in self.concepts]
        return [marks, files] if files else [marks]

    @property
    def sought(self) -> set[int]:
        """The categories that can be looked for: those with a positive example."""
        marked = {s.prompt.category_id for s in self.prompts if s.prompt.positive}
        return marked | {concept.category_id for concept in self.concepts}

    @property
    def ids(self) -> dict[int, list[str]]:
        """The examples of the categories that are looked for; those of files are called so."""
        ids: dict[int, list[str]] = {category_id: [] for category_id in sorted(self.sought)}
        for stored in self.prompts:
            if stored.prompt.category_id in ids:
                ids[stored.prompt.category_id].append(stored.id)
        for concept in self.concepts:
            ids[concept.category_id].append(f"file {concept.file_name}")
        return ids

    def missing(self, categories: Sequence[Category]) -> list[str]:
        """Say which categories cannot be looked for, for want of positive prompts."""
        sought = self.sought
        return [
            f"Category “{one.name}” was not looked for: it has no positive mark on a reference."
            for one in categories
            if one.id not in sought
        ]


def marks_of(store: Store, project_id: str) -> Marks:
    """Gather what is in use of a project's prompts and concepts."""
    concepts = [concept for concept in store.concepts(project_id) if concept.is_used]
    return Marks(references_of(store, project_id), concepts)


def references_of(store: Store, project_id: str) -> list[tuple[ProjectImage, list[StoredPrompt]]]:
    """List the images of a project that are references, with those prompts that are in use."""
    unused = store.unused_prompts(project_id)
    prompts: dict[int, list[StoredPrompt]] = {}
    for stored in store.project_prompts(project_id):
        if (stored.image_id, stored.id) not in unused:
            prompts.setdefault(stored.image_id, []).append(stored)
    return [
        (image, prompts[image.id])
        for image in store.images(project_id)
        if image.is_reference and image.id in prompts
    ]


def require_marks(store: Store, project_id: str) -> None:
    """Make sure that there is something to look for.

    Raises:
        InvalidInput: if nothing positive is in use; the message says what to do.
    """
    marks = marks_of(store, project_id)
    if marks.sought:
        return
    if marks.prompts:
        raise InvalidInput("There are only negative marks. Mark at least one object to be found.")
    if store.project_prompts(project_id) or store.concepts(project_id):
        raise InvalidInput(
            "No mark is used. Turn on 'reference' for a marked image, or one of its examples under "
            "References."
        )
    raise InvalidInput(
        "Nothing is marked yet. Choose a category, then mark an object with a point, a box or a "
        "scribble."
    )


def embed_marks(
    files: ImageFiles, model: ModelSession, references: References, control: Progress
) -> list[tuple[StoredPrompt, Tensor]]:
    """Embed the prompts of all references; an image that fails is noted and the others go on.

    Returns:
        Each prompt with its embedding [C]; those reached before the job was cancelled. Negative
        ones that correct others have none.
    """
    embedded: list[tuple[StoredPrompt, Tensor]] = []
    for image, stored_prompts in references:
        if control.is_cancelled():
            break
        try:
            embedded += embed_image(files, model, image, stored_prompts)
        except (InvalidImage, InvalidPrompt, NotFound) as error:
            control.add_problem(f"{image.file_name}: {error}")
    return embedded


def embed_image(
    files: ImageFiles,
    model: ModelSession,
    image: ProjectImage,
    stored_prompts: Sequence[StoredPrompt],
) -> list[tuple[StoredPrompt, Tensor]]:
    """Embed the prompts of one reference; negative ones that correct others are left out.

    Raises:
        InvalidImage: if the file cannot be read.
        InvalidPrompt: if a prompt marks nothing on it.
        NotFound: if the file is gone.
    """
    prompts = [stored.prompt for stored in stored_prompts]
    meant = corrected(prompts, (image.height, image.width))
    used = [(s, p) for s, p in zip(stored_prompts, meant, strict=True) if p is not None]
    embeddings = model.embed(files.path(image), image.sha256, [p for _, p in used])
    return list(zip((stored for stored, _ in used), embeddings, strict=True))


def read_concepts(
    files: ImageFiles,
    model: ModelSession,
    project_id: str,
    concepts: Sequence[Concept],
    control: Progress,
) -> list[PromptBank]:
    """Read concepts from their files; one that fails is noted and the others go on.

    Returns:
        One bank for each, under the id of the project's category.
    """
    banks = []
    for concept in concepts:
        try:
            bank = model.read_bank(files.bank_path(project_id, concept))
        except (InvalidBank, FingerprintMismatch, NotFound) as error:
            control.add_problem(f"The examples from {concept.file_name} were left out: {error}")
        else:
            banks.append(model.concept(bank, concept.file_category_id, concept.category_id))
    return banks
